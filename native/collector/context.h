// What is counted for each context: a thread, a stack and a kind of memory in one process.
#ifndef HEAPTIDE_COLLECTOR_CONTEXT_H
#define HEAPTIDE_COLLECTOR_CONTEXT_H

#include <array>
#include <cstdint>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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
  uint64_t bytes_in; // since the start; blocks are as many as by_size has
  uint64_t unused_word;
  uint64_t peak_bytes, peak_blocks; // live at the process's peak, if the stamp has its number
  uint64_t stamp;                   // the book's when this last changed
  Thread *thread;

  // Histograms since the start, modulo 2^16; Contexts has the rest. The first of by_time is not counted: it is
  // what by_allocations has more than the others.
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

// All counters of a context's histograms, and what follows from them.
struct Counted {
  uint64_t counters[kCounters];

  uint64_t blocks_in() const;
  uint64_t temporary() const { return counters[kByAllocations]; }
  uint64_t short_lived() const;
};

// Contexts of one process by a dense index. They move when one is added.
class Contexts {
 public:
  Contexts() = default;
  ~Contexts() { clear(); }
  Contexts(const Contexts &) = delete;
  Contexts &operator=(const Contexts &) = delete;

  HT_HOT Context &operator[](uint32_t index) { return contexts_[index]; }
  const Context &operator[](uint32_t index) const { return contexts_[index]; }
  Context *data() { return contexts_; }
  SliceStart &slice_start(uint32_t index) { return slice_starts_[index]; }
  const SliceStart &slice_start(uint32_t index) const { return slice_starts_[index]; }
  uint32_t row(uint32_t index) const { return rows_[index]; } // in the file
  uint32_t size() const { return static_cast<uint32_t>(rows_.size()); }

  void ask(uint32_t index) const {
    const Context &context = (*this)[index];
    __builtin_prefetch(&context.stamp, 1);
    __builtin_prefetch(&context.by_allocations[0], 1);
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
  // The same for one of eight counters that are aligned, all at once: after a store to one of them, by its
  // place, the load of any other would have to wait.
  HT_HOT void count_one_of_eight(Context &context, uint16_t *counters, unsigned bucket,
                                 unsigned first) {
#if defined(__SSE2__)
    __m128i *at = reinterpret_cast<__m128i *>(counters);
    __m128i one = _mm_load_si128(reinterpret_cast<const __m128i *>(&kOneOfEight[bucket]));
    __m128i sums = _mm_add_epi16(_mm_load_si128(at), one);
    _mm_store_si128(at, sums);
    if ((_mm_movemask_epi8(sums) & 0xaaaa) != 0) [[unlikely]] // bits 15
      spill_high(context, counters, first);
#else
    count_one(context, counters, bucket, first);
#endif
  }
  // What has been counted since the start.
  Counted counted(const Context &context) const;

 private:
  static constexpr size_t kFirst = 128;

  struct alignas(16) Eight {
    uint16_t counters[8];
  };
  static constexpr std::array<Eight, 8> kOneOfEight = [] {
    std::array<Eight, 8> ones{};
    for (unsigned i = 0; i < 8; i++) ones[i].counters[i] = 1;
    return ones;
  }();

  [[gnu::cold]] void spill(Context &context, unsigned counter, uint64_t by);
  [[gnu::cold]] void spill_high(Context &context, uint16_t *counters, unsigned first);
  void grow();

  Context *contexts_ = nullptr; // mapped
  size_t capacity_ = 0;
  std::vector<SliceStart> slice_starts_;
  std::vector<uint32_t> rows_;
  std::vector<Counted> spilled_;
};

} // namespace heaptide

#endif
