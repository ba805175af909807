// The books of one process image: what lives, what it costs, and where it came from.
//
// The event functions are the hot path of the collector. They are exact in any order that alternates
// the beginnings and ends of each address; one that does not fit is dealt with as its caller says.
#ifndef HEAPTIDE_COLLECTOR_BOOK_H
#define HEAPTIDE_COLLECTOR_BOOK_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include "collector/context.h"
#include "collector/disorder.h"
#include "collector/intern_map.h"
#include "collector/ledger.h"
#include "collector/live_blocks.h"
#include "collector/mappings.h"
#include "collector/sampling.h"
#include "collector/spreads.h"
#include "wire/wire.h"

namespace heaptide {

// What a book says of one context, whether it is open or archived.
struct ContextSums : Counted {
  uint32_t row;
  uint8_t kind;
  uint64_t peak_bytes, peak_blocks; // at the process's peak
  uint64_t sum_bytes, sum_blocks;   // at the peak of the sum over all processes
};

class Book {
 public:
  Book(Ledger &ledger, uint32_t row)
      : ledger_(ledger), row_(row), born_(ledger.ticks), stamp_(ledger.slice) {}
  Book(const Book &) = delete;
  Book &operator=(const Book &) = delete;

  // ------------------------------------------------------------------------------- hot path

  // An allocation by `thread` at `address`; a misfit if a block lives there. False: refused.
  HT_HOT bool allocate(Thread &thread, uint64_t address, uint64_t size, uint32_t context,
                       Misfit misfit) {
    Life *life = live_.place(address, size);
    if (life == nullptr) [[unlikely]] {
      if (!make_room(address, misfit)) return false;
      life = live_.place(address, size);
    }
    Weight weight = begin_life(life, thread, address, size, context);
    Context &c = contexts_[context];
    enter(context, c, weight);
    contexts_.count(c, c.by_size, bucket_by_size(size), kBySize, weight.blocks);
    raised();
    return true;
  }

  // A free by `thread`; a misfit if nothing lives there.
  HT_HOT bool free(Thread &thread, uint64_t address, Misfit misfit) {
    LiveBlocks::Spot spot = live_.spot(address);
    if (spot.page == nullptr || disordered_) [[unlikely]]
      return free_with_care(thread, address, misfit);
    // Field by field, as they were written: a wider read of what has just been written would wait.
    const Life &kept = spot.life();
    const Life life{kept.size_low, kept.context, kept.sequence, kept.born};
    live_.take(spot, address);
    end_of_life(thread, address, life.size_low, life);
    return true;
  }

  // Every allocation is recorded, and of one process only: what need not be asked at each event.
  bool is_plain() const {
    return !ledger_.many && ledger_.sample_interval <= 1 && !ledger_.by_thread;
  }
  // Whether what events touch is too much for the nearer caches.
  bool is_disordered() const { return disordered_; }
  bool is_large() const { return live_.bytes() > kNearBytes; }
  // What the decoder asks memory for ahead of the events, see LiveBlocks.
  const LiveBlocks &live() const { return live_; }
  void ask_context(uint32_t context) const {
    if (context < contexts_.size()) contexts_.ask(context);
  }

  // ---------------------------------------------------------------------------- other events

  // The two halves of a realloc. Begin is a misfit like a free, end like an allocation. `address` 0:
  // the call failed, or (`freed`) it freed the block.
  bool begin_realloc(Thread &thread, uint64_t address, InFlight &flight, Misfit misfit);
  bool end_realloc(Thread &thread, InFlight &flight, uint64_t address, uint64_t size,
                   uint32_t context, bool freed, Misfit misfit);

  // Mappings (kinds mmap, sbrk, arena), never sampled. map is a misfit where something is mapped,
  // unmap and remap where nothing is; if counted, they replace, and take what is there.
  bool map(Thread &thread, uint64_t address, uint64_t length, uint32_t context, Misfit misfit);
  bool unmap(Thread &thread, uint64_t address, uint64_t length, Misfit misfit);
  bool unmap_at(Thread &thread, uint64_t address, Misfit misfit); // all of what starts there
  bool remap(Thread &thread, uint64_t old_address, uint64_t old_length, uint64_t address,
             uint64_t length, uint32_t context, Misfit misfit);

  // Misfits that were kept: more than one block lives at an address, or a free waits for its block.
  // What has not been put right after some calls of this will not be any more: all but the latest
  // block of an address are taken to have been freed unseen, and frees to be unmatched.
  void settle() {
    if (disordered_) [[unlikely]]
      settle_old();
  }

  // -------------------------------------------------------------------------------- contexts

  // The context of (thread, stack, kind), or kNone; adding one takes its row in the file.
  uint32_t find_context(const Thread &thread, uint32_t stack, unsigned kind) const;
  uint32_t add_context(Thread &thread, uint32_t stack, unsigned kind, uint32_t context_row);
  static constexpr uint32_t kNone = InternMap<int>::kNone;

  uint32_t row() const { return row_; }
  const Contexts &contexts() const { return contexts_; }

  // --------------------------------------------------------------------------------- figures

  uint64_t live_bytes() const { return live_bytes_; }
  uint64_t live_blocks() const { return live_blocks_; }
  uint64_t peak_bytes() const { return peak_bytes_; }
  uint64_t peak_time() const { return peak_time_; }
  uint32_t peak_epoch() const { return static_cast<uint32_t>(stamp_ >> 32); }
  uint64_t arena_bytes() const { return arena_bytes_; }
  uint64_t arena_peak_bytes() const { return arena_peak_bytes_; }
  uint64_t copied_bytes() const { return copied_bytes_; }
  uint64_t unmatched_frees() const { return unmatched_frees_; }
  uint64_t unseen_frees() const { return unseen_frees_; } // of blocks that are gone all the same
  // Blocks that have ended, by both definitions of a short life.
  struct Ended {
    uint64_t temporary = 0, short_lived = 0;
  };
  Ended ended() const { return closed_ ? ended_ : count_ended(); }
  uint64_t table_bytes() const { return live_.bytes(); }
  bool closed() const { return closed_; }

  // What its threads have done.
  struct Totals {
    uint64_t allocations = 0, deallocations = 0, reallocations = 0, bytes = 0;
    Totals &operator+=(const Totals &other) {
      allocations += other.allocations;
      deallocations += other.deallocations;
      reallocations += other.reallocations;
      bytes += other.bytes;
      return *this;
    }
  };
  void add_thread(const Thread *thread) { threads_.push_back(thread); }
  const std::vector<const Thread *> &threads() const { return threads_; }
  Totals totals() const {
    Totals totals;
    for (const Thread *thread : threads_) {
      totals +=
          {thread->allocations(), thread->deallocations, thread->reallocations, thread->bytes};
    }
    return totals;
  }

  // The highest live heap since the last call.
  uint64_t window_peak() const { return window_peak_; }
  uint64_t take_window_peak() {
    uint64_t peak = std::max(window_peak_, window_before_);
    sync_before_ = std::max(sync_before_, window_peak_);
    window_before_ = 0;
    window_peak_ = live_bytes_;
    return peak;
  }
  // The same, apart from those calls.
  uint64_t take_sync_peak() {
    uint64_t peak = std::max(window_peak_, sync_before_);
    window_before_ = std::max(window_before_, window_peak_);
    sync_before_ = 0;
    window_peak_ = live_bytes_;
    return peak;
  }

  // The peak is from here on what lives when `thread`, whose live bytes are kept, has the most; without
  // one, when the process has. After take_sync_peak.
  void begin_peak(const Thread *thread) {
    peak_of_ = thread;
    peak_of_thread_ = thread != nullptr ? thread->live_bytes : 0;
    take_peak();
  }
  void keep_peak() { peak_of_ = &nobody_; }

  // Calls visit(context's row, tick of birth, weight) for all that lives but what arenas are made of. Of a
  // mapping in pieces each is a visit, the first one with the block.
  template <class Visit>
  void each_live(Visit visit) const {
    live_.each([&](uint64_t address, uint64_t size, const Life &life) {
      visit(contexts_.row(life.context), life.born, weight_of(address, size, life.born));
    });
    for (const Block &block : moving_) {
      visit(contexts_.row(block.context), block.born, weight_of(block));
    }
    for (const Shadow &shadow : shadows_) {
      visit(contexts_.row(shadow.block.context), shadow.block.born, weight_of(shadow.block));
    }
    mappings_.each([&](const Mapping &mapping, uint64_t bytes, bool first) {
      if (contexts_[mapping.context].kind == HT_KIND_ARENA) return;
      visit(contexts_.row(mapping.context), mapping.born, Weight{first ? uint64_t{1} : 0, bytes});
    });
  }
  uint32_t born() const { return born_; } // tick

  // Adds what each thread's contexts hold to (*live)[thread row].
  void add_live_by_thread(std::vector<uint64_t> *live) const;

  // Calls visit(const ContextSums &) for every context, in the order of their rows.
  template <class Visit>
  void each_context(Visit visit) const {
    ContextSums sums;
    if (closed()) {
      const uint8_t *at = archive_.data();
      for (uint32_t i = 0; i < archived_; i++) {
        at = unpack(at, &sums);
        // The sum has been higher since: this process was no part of it any more.
        if (archived_epoch_ != ledger_.epoch) sums.sum_bytes = sums.sum_blocks = 0;
        visit(sums);
      }
      return;
    }
    for (uint32_t i = 0; i < contexts_.size(); i++) {
      sum_up(i, &sums);
      visit(sums);
    }
  }

  // ----------------------------------------------------------------------------------- slices

  // Contexts that changed in the slice being counted. Their slice_* hold how it began.
  const std::vector<uint32_t> &changed() const { return changed_; }
  const Spreads &spreads() const { return spreads_; } // of those, as they began
  // Forgets them: slice `next` begins.
  void begin_slice(uint32_t next) {
    changed_.clear();
    spreads_.clear();
    stamp_ = stamp_ >> 32 << 32 | next;
    live_.trim(live_blocks_);
  }

  // ---------------------------------------------------------------------------------- the end

  // The process is gone. What it leaves stays its own, "alive at exit"; the sum over all processes
  // goes on without it. Call the reader of changed() first: contexts are packed away.
  void close();
  // Once closed: keeps of its contexts only what they have in the sum's peak, as long as that stands. For
  // whoever has written the rest down.
  void forget_archive();
  bool has_archive() const { return closed_ && !forgotten_; }

  // Begins to keep this book's share in the peak of the sum. `at_peak`: the sum has been this book
  // alone, so its peak is this book's.
  void begin_shares(bool at_peak);

 private:
  friend class PlainBook;
  static constexpr size_t kNearBytes = size_t{6} << 20;

  struct Share {
    uint64_t bytes, blocks;
    uint32_t epoch; // of the sum's peak at which they were live
  };
  struct ContextKey {
    uint32_t stack, thread_kind;
    bool operator==(const ContextKey &) const = default;
    uint64_t hash() const { return mix(uint64_t{stack} << 32 | thread_kind); }
  };

  // Before any change of what is live in a context: keeps what the peaks and the slice are owed.
  HT_HOT void touch(uint32_t index, Context &c) {
    if (c.stamp != stamp_) touch_alone(index, c);
    if (ledger_.many) keep_share(index, c);
  }
  // The same for the only process, if the stamp is another one.
  HT_HOT void touch_alone(uint32_t index, Context &c) {
    uint64_t news = c.stamp ^ stamp_;
    if (news >> 32 != 0) {
      c.peak_bytes = c.live_bytes;
      c.peak_blocks = c.live_blocks;
    }
    if (static_cast<uint32_t>(news) != 0) [[unlikely]]
      begin_slice(index, c);
    c.stamp = stamp_;
  }
  // Whether the peak was saved when the context last changed.
  bool has_peak(const Context &c) const { return (c.stamp ^ stamp_) >> 32 == 0; }

  void keep_share(uint32_t index, const Context &c) {
    Share &share = shares_[index];
    if (share.epoch == ledger_.epoch) return;
    share = {c.live_bytes, c.live_blocks, ledger_.epoch};
  }

  HT_HOT void enter(uint32_t index, Context &c, Weight weight) {
    touch(index, c);
    c.live_bytes += weight.bytes;
    c.live_blocks += weight.blocks;
    c.bytes_in += weight.bytes;
    live_bytes_ += weight.bytes;
    live_blocks_ += weight.blocks;
    if (ledger_.many) {
      ledger_.live_bytes += weight.bytes;
      ledger_.live_blocks += weight.blocks;
    }
    if (ledger_.by_thread) {
      c.thread->live_bytes += weight.bytes;
      c.thread->live_blocks += weight.blocks;
      c.thread->peak_bytes = std::max(c.thread->peak_bytes, c.thread->live_bytes);
    }
  }

  HT_HOT void leave(uint32_t index, Context &c, Weight weight) {
    touch(index, c);
    c.live_bytes -= weight.bytes;
    c.live_blocks -= weight.blocks;
    live_bytes_ -= weight.bytes;
    live_blocks_ -= weight.blocks;
    if (ledger_.many) {
      ledger_.live_bytes -= weight.bytes;
      ledger_.live_blocks -= weight.blocks;
    }
    if (ledger_.by_thread) {
      c.thread->live_bytes -= weight.bytes;
      c.thread->live_blocks -= weight.blocks;
    }
  }

  // What lives now is what the peak is made of: contexts tell it from their stamps.
  HT_HOT void take_peak() {
    peak_bytes_ = live_bytes_;
    peak_time_ = ledger_.now_ns;
    stamp_ += uint64_t{1} << 32;
  }

  HT_HOT void raised() {
    if (live_bytes_ > window_peak_) {
      window_peak_ = live_bytes_;
      if (live_bytes_ > peak_bytes_ && peak_of_ == nullptr) take_peak();
    }
    if (peak_of_ != nullptr && peak_of_->live_bytes > peak_of_thread_) {
      peak_of_thread_ = peak_of_->live_bytes;
      take_peak();
    }
    if (ledger_.many) ledger_.raised();
  }

  HT_HOT Weight weight_of(uint64_t address, uint64_t size, uint32_t born) const {
    if (ledger_.sample_interval <= 1) return {1, size};
    return weigh(size, ledger_.sample_interval, address, born);
  }
  HT_HOT Weight weight_of(const Block &block) const {
    return weight_of(block.address(), block.size(), block.born);
  }

  // Fills in the life; advances the thread's clock and totals.
  HT_HOT Weight begin_life(Life *life, Thread &thread, uint64_t address, uint64_t size,
                           uint32_t context) {
    Weight weight = weight_of(address, size, ledger_.ticks);
    thread.sequence += weight.blocks;
    thread.bytes += weight.bytes;
    life->context = context;
    life->sequence = static_cast<uint32_t>(thread.sequence);
    life->born = ledger_.ticks;
    return weight;
  }

  HT_HOT void end_of_life(Thread &thread, uint64_t address, uint64_t size, const Life &life) {
    Context &c = contexts_[life.context];
    Weight weight = weight_of(address, size, life.born);
    leave(life.context, c, weight);
    count_lifetime(c, life.sequence, life.born, weight.blocks);
    thread.deallocations += weight.blocks;
  }
  void end_of_life(Thread &thread, const Block &block) {
    end_of_life(thread, block.address(), block.size(), block);
  }

  HT_HOT void count_lifetime(Context &c, uint32_t sequence, uint32_t born, uint64_t blocks) {
    uint32_t further = static_cast<uint32_t>(c.thread->sequence) - sequence;
    if (ledger_.by_thread && further == 0) c.thread->temporary += blocks;
    contexts_.count(c, c.by_allocations, bucket_by_allocations(further), kByAllocations, blocks);
    uint32_t ticks = ledger_.ticks - born;
    if (ticks < kFirstTicks) [[likely]]
      return;
    contexts_.count(c, c.by_time, bucket_by_time(ticks), kByTime, blocks);
  }

  // --- what is out of order
  bool make_room(uint64_t address, Misfit misfit);
  bool take_one_life(const Thread &thread, uint64_t address, Block *block);
  bool free_with_care(Thread &thread, uint64_t address, Misfit misfit);
  bool free_nothing(Thread &thread, uint64_t address, Misfit misfit);
  static bool refuses_free(Misfit misfit) {
    return misfit == Misfit::kRefuse || misfit == Misfit::kKeepBlocks;
  }
  void keep_orphan(const Orphan &orphan);
  void give_up(const Orphan &orphan);
  void count_move(Thread &thread, const Block &old, const Move &move);
  bool take_for(const Orphan &orphan, Block *block);
  void adopt(const Orphan &orphan, const Block &block);
  void find_block(InFlight &flight);
  bool give_to_orphan(uint64_t address);
  bool take_orphan(const InFlight &flight, Orphan *orphan);
  void keep_shadow(const Block &block);
  bool end_orphaned(Thread &thread, InFlight &flight, uint64_t address, uint64_t size,
                    uint32_t context, Misfit misfit);
  void settle_old();
  void lose(const Block &block);
  void put_back(const InFlight &flight);
  void moved(const Block &block);
  void begin_slice(uint32_t index, Context &c);

  // Mapped memory in and out of the books; arenas have totals of their own.
  void enter_mapped(uint32_t index, uint64_t bytes, uint64_t blocks);
  void leave_mapped(uint32_t index, uint64_t bytes, uint64_t blocks);
  void leave_taken(Thread *thread, bool lives_end);

  Ended count_ended() const;
  void sum_up(uint32_t index, ContextSums *sums) const;
  void pack(const ContextSums &sums);
  static const uint8_t *unpack(const uint8_t *at, ContextSums *sums);

  Ledger &ledger_;
  LiveBlocks live_;
  bool closed_ = false;
  Contexts contexts_;
  uint32_t row_;
  uint32_t born_;  // tick
  uint64_t stamp_; // bits 0-31: the slice; bits 32-63: how many peaks there have been
  uint64_t live_bytes_ = 0, live_blocks_ = 0;
  uint64_t window_peak_ = 0, peak_bytes_ = 0, peak_time_ = 0;
  static inline const Thread nobody_{};
  const Thread *peak_of_ = nullptr; // whose highest live bytes make the peak; none: the process's
  uint64_t peak_of_thread_ = 0;     // these
  uint64_t window_before_ = 0, sync_before_ = 0; // peaks that the other of take_..._peak has seen
  Ended ended_;                                  // once closed
  uint64_t unmatched_frees_ = 0, unseen_frees_ = 0, copied_bytes_ = 0;
  uint64_t arena_bytes_ = 0, arena_peak_bytes_ = 0;
  std::vector<Share> shares_; // by context, empty while there is one process
  std::vector<uint32_t> changed_;
  Spreads spreads_;
  std::vector<const Thread *> threads_;
  InternMap<ContextKey> context_index_;
  std::vector<Block> moving_;   // between the halves of their reallocs
  std::vector<Shadow> shadows_; // oldest first
  std::vector<Orphan> orphans_;
  bool disordered_ = false; // any of them has some
  Mappings mappings_;
  std::vector<Taken> taken_;
  // Once closed: what each_context says, packed.
  std::vector<uint8_t> archive_;
  uint32_t archived_ = 0;
  uint32_t archived_epoch_ = 0;
  bool forgotten_ = false; // all of it but shares in the sum's peak
};

} // namespace heaptide

#endif
