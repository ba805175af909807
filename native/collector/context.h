// What is counted for each context: a thread, a stack and a kind of memory in one process.
#ifndef HEAPTIDE_COLLECTOR_CONTEXT_H
#define HEAPTIDE_COLLECTOR_CONTEXT_H

#include <cstdint>
#include <vector>

#include "collector/buckets.h"

namespace heaptide {

// A thread's row in the file, as far as events change it. Its figures are in blocks and bytes; in a
// sampled session in what the samples stand for.
struct Thread {
  uint64_t sequence = 0; // allocations and reallocations: the clock of lifetimes
  uint64_t reallocations = 0;
  uint64_t deallocations = 0; // by this thread, whoever allocated
  uint64_t bytes = 0;
  uint64_t copied_bytes = 0; // by its reallocations
  // Of what it has allocated, if the ledger says so.
  uint64_t live_bytes = 0, live_blocks = 0;
  uint64_t peak_bytes = 0; // since the last sync
  uint64_t temporary = 0;
  uint32_t row = 0;
  uint32_t process = 0;
  uint32_t spread = 0; // its place in the book's Spreads + 1; 0: none in this slice

  uint64_t allocations() const { return sequence - reallocations; }
};

// Two cache lines, both touched by each allocation and each free.
struct alignas(128) Context {
  uint64_t live_bytes, live_blocks;
  uint64_t bytes_in, blocks_in;     // since the start
  uint64_t peak_bytes, peak_blocks; // live at the process's peak, if the stamp has its number
  uint64_t stamp;                   // the book's when this last changed
  Thread *thread;

  // Histograms since the start, modulo 2^16; Contexts has the rest.
  uint16_t by_allocations[kLifetimeBuckets];
  uint16_t by_time[kLifetimeBuckets];
  uint16_t by_size[kSizeBuckets];
  uint32_t spill; // where the rest is + 1, 0: there is none
  uint8_t kind;
  uint8_t unused[3];
};
static_assert(sizeof(Context) == 128);

// How things stood when the context's slice began, and what is counted by slice only.
struct SliceStart {
  uint64_t live_bytes, live_blocks, bytes_in, blocks_in;
  uint64_t temporary, short_lived;
  uint64_t reallocations, copied_bytes;
};

// One counter of a context's histograms, as an index over all of them.
inline constexpr unsigned kByAllocations = 0;
inline constexpr unsigned kByTime = kByAllocations + kLifetimeBuckets;
inline constexpr unsigned kBySize = kByTime + kLifetimeBuckets;
inline constexpr unsigned kCounters = kBySize + kSizeBuckets;

// Contexts of one process by a dense index. They do not move.
class Contexts {
 public:
  Contexts() = default;
  ~Contexts() { clear(); }
  Contexts(const Contexts &) = delete;
  Contexts &operator=(const Contexts &) = delete;

  HT_HOT Context &operator[](uint32_t index) { return pages_[index / kPage][index % kPage]; }
  const Context &operator[](uint32_t index) const { return pages_[index / kPage][index % kPage]; }
  SliceStart &slice_start(uint32_t index) { return slice_starts_[index]; }
  const SliceStart &slice_start(uint32_t index) const { return slice_starts_[index]; }
  uint32_t row(uint32_t index) const { return rows_[index]; } // in the file
  uint32_t size() const { return static_cast<uint32_t>(rows_.size()); }

  // By reading: collector_bench takes a third less time an event so than with prefetch instructions,
  // with a million live blocks.
  void ask(uint32_t index) const {
    const Context &context = (*this)[index];
    (void)*const_cast<const volatile uint64_t *>(&context.stamp);
    (void)*const_cast<const volatile uint16_t *>(&context.by_allocations[0]);
  }

  uint32_t add(Thread *thread, uint32_t row, uint8_t kind);
  void clear();

  // Adds to one counter: `first` and `bucket` name it, `counters` is where it stands.
  HT_HOT void count(Context &context, uint16_t *counters, unsigned bucket, unsigned first,
                    uint64_t by) {
    uint64_t value = counters[bucket] + by;
    counters[bucket] = static_cast<uint16_t>(value);
    if (value >> 16 != 0) [[unlikely]]
      spill(context, first + bucket, value >> 16 << 16);
  }
  HT_HOT void count_one(Context &context, uint16_t *counters, unsigned bucket, unsigned first) {
    uint16_t value = static_cast<uint16_t>(counters[bucket] + 1);
    counters[bucket] = value;
    if (value == 0) [[unlikely]]
      spill(context, first + bucket, uint64_t{1} << 16);
  }
  uint64_t counted(const Context &context, unsigned counter) const;
  // Adds all counters to `sums` (kCounters), or takes them away, modulo 2^64.
  template <bool kAdd>
  void sum_counters(const Context &context, uint64_t *sums) const {
    auto all = [sums](const auto *counters, unsigned count, unsigned first) {
      for (unsigned i = 0; i < count; i++) {
        if (kAdd) {
          sums[first + i] += counters[i];
        } else {
          sums[first + i] -= counters[i];
        }
      }
    };
    all(context.by_allocations, kLifetimeBuckets, kByAllocations);
    all(context.by_time, kLifetimeBuckets, kByTime);
    all(context.by_size, kSizeBuckets, kBySize);
    if (context.spill != 0) all(spilled_[context.spill - 1].counters, kCounters, 0);
  }

 private:
  static constexpr uint32_t kPage = 256;

  struct Spilled {
    uint64_t counters[kCounters];
  };

  void spill(Context &context, unsigned counter, uint64_t by);

  std::vector<Context *> pages_;
  std::vector<SliceStart> slice_starts_;
  std::vector<uint32_t> rows_;
  std::vector<Spilled> spilled_;
};

} // namespace heaptide

#endif
