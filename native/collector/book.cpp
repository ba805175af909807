#include "collector/book.h"

#include <algorithm>
#include <utility>

namespace heaptide {

// ---------------------------------------------------------------------------------- blocks

bool Book::free_with_care(Thread &thread, uint64_t address, Misfit misfit) {
  Block block;
  bool known = disordered_ ? take_one_life(thread, address, &block) : live_.take(address, &block);
  if (!known) return free_nothing(thread, address, misfit);
  end_of_life(thread, block);
  return true;
}

// A block whose free nobody has seen.
void Book::lose(const Block &block) {
  Weight weight = weight_of(block);
  leave(block.context, contexts_[block.context], weight);
  unseen_frees_ += weight.blocks;
  unmatched_frees_++;
}

bool Book::begin_realloc(Thread &thread, uint64_t address, InFlight &flight, Misfit misfit) {
  Block block{};
  bool known = disordered_ ? take_one_life(thread, address, &block) : live_.take(address, &block);
  if (!known && refuses_free(misfit)) return false;
  if (flight.active) { // the end of the last one is missing
    Orphan gone{};
    if (flight.known) put_back(flight);
    if (flight.orphan) take_orphan(flight, &gone);
  }
  bool orphan = !known && misfit != Misfit::kCount;
  if (orphan) {
    keep_orphan({address, &thread, 0, misfit == Misfit::kKeepForAny, &flight, {}});
  }
  flight = {true, known, orphan, address, block};
  if (known) moving_.push_back(block);
  return true;
}

// The block of a realloc that has failed stays as it was.
void Book::put_back(const InFlight &flight) {
  moved(flight.block);
  if (!live_.put(flight.block)) keep_shadow(flight.block);
}

void Book::moved(const Block &block) {
  for (Block &each : moving_) {
    if (each.key != block.key || each.context != block.context) continue;
    each = moving_.back();
    moving_.pop_back();
    return;
  }
}

// The end of a realloc whose block is not known: an allocation, until its orphan finds the block.
bool Book::end_orphaned(Thread &thread, InFlight &flight, uint64_t address, uint64_t size,
                        uint32_t context, Misfit misfit) {
  Orphan orphan{};
  bool waits = flight.active && flight.orphan && take_orphan(flight, &orphan);
  // Without it in the list: what is made here is not what it waits for.
  bool counted = allocate(thread, address, size, context, misfit);
  if (counted) {
    orphan.flight = nullptr;
    Block made{};
    made.set(address, size);
    made.born = ledger_.ticks;
    orphan.move = {context, weight_of(made), address, size};
    flight.active = false;
  }
  if (waits) keep_orphan(orphan);
  return counted;
}

bool Book::end_realloc(Thread &thread, InFlight &flight, uint64_t address, uint64_t size,
                       uint32_t context, bool freed, Misfit misfit) {
  if (disordered_ && flight.active && flight.orphan) find_block(flight);
  bool known = flight.active && flight.known;
  if (address == 0) {
    Orphan orphan{};
    bool waits = flight.active && flight.orphan && take_orphan(flight, &orphan);
    flight.active = false;
    if (known && freed) {
      moved(flight.block);
      end_of_life(thread, flight.block);
    }
    if (known && !freed) put_back(flight);
    if (!known && !waits && freed) unmatched_frees_++;
    if (waits && freed) { // a free like any other
      orphan.flight = nullptr;
      keep_orphan(orphan);
    }
    return true;
  }
  if (!known) return end_orphaned(thread, flight, address, size, context, misfit);
  Life *life = live_.place(address, size);
  if (life == nullptr) {
    if (!make_room(address, misfit)) return false;
    life = live_.place(address, size);
  }
  flight.active = false;
  const Block &old = flight.block;
  moved(old);
  // Out and in before the peaks are looked at: the heap was never higher in between.
  leave(old.context, contexts_[old.context], weight_of(old));
  Weight weight = begin_life(life, thread, address, size, context);
  Context &c = contexts_[context];
  enter(context, c, weight);
  contexts_.count(c, c.by_size, bucket_by_size(size), kBySize, weight.blocks);
  raised();
  count_move(thread, old, {context, weight, address, size});
  return true;
}

void Book::count_move(Thread &thread, const Block &old, const Move &move) {
  SliceStart &slice = contexts_.slice_start(move.context);
  slice.reallocations += move.weight.blocks;
  thread.reallocations += move.weight.blocks;
  if (move.address == old.address()) return;
  uint64_t copied = move.size < old.size() ? move.weight.bytes : move.weight.blocks * old.size();
  slice.copied_bytes += copied;
  copied_bytes_ += copied;
  thread.copied_bytes += copied;
}

// ---------------------------------------------------------------------------------- contexts

uint32_t Book::find_context(const Thread &thread, uint32_t stack, unsigned kind) const {
  return context_index_.find({stack, thread.row << 4 | kind});
}

uint32_t Book::add_context(Thread &thread, uint32_t stack, unsigned kind, uint32_t context_row) {
  uint32_t index = contexts_.add(&thread, context_row, static_cast<uint8_t>(kind));
  context_index_.intern({stack, thread.row << 4 | kind}, index);
  if (ledger_.many) shares_.push_back({0, 0, ledger_.epoch});
  return index;
}

void Book::add_live_by_thread(std::vector<uint64_t> *live) const {
  for (uint32_t i = 0; i < contexts_.size(); i++) {
    const Context &c = contexts_[i];
    if (c.kind != HT_KIND_ARENA) (*live)[c.thread->row] += c.live_bytes;
  }
}

// ------------------------------------------------------------------------------------ slices

void Book::begin_slice(uint32_t index, Context &c) {
  Counted counted = contexts_.counted(c);
  contexts_.slice_start(index) = {
      c.live_bytes,        c.live_blocks,         c.bytes_in, counted.blocks_in(),
      counted.temporary(), counted.short_lived(), 0,          0};
  changed_.push_back(index);
  spreads_.begin(c, counted);
}

Book::Ended Book::count_ended() const {
  Ended ended;
  for (uint32_t i = 0; i < contexts_.size(); i++) {
    Counted counted = contexts_.counted(contexts_[i]);
    ended.temporary += counted.temporary();
    ended.short_lived += counted.short_lived();
  }
  return ended;
}

// ----------------------------------------------------------------------------------- the end

void Book::begin_shares(bool at_peak) {
  shares_.resize(contexts_.size());
  for (uint32_t i = 0; i < contexts_.size(); i++) {
    const Context &c = contexts_[i];
    bool saved = at_peak && has_peak(c);
    shares_[i] = {saved ? c.peak_bytes : c.live_bytes, saved ? c.peak_blocks : c.live_blocks,
                  ledger_.epoch};
  }
}

void Book::close() {
  if (closed()) return;
  while (disordered_) settle_old();
  if (ledger_.many) {
    for (uint32_t i = 0; i < contexts_.size(); i++) keep_share(i, contexts_[i]);
    ledger_.live_bytes -= live_bytes_;
    ledger_.live_blocks -= live_blocks_;
  }
  archived_epoch_ = ledger_.epoch;
  ended_ = count_ended();
  ContextSums sums;
  for (uint32_t i = 0; i < contexts_.size(); i++) {
    sum_up(i, &sums);
    pack(sums);
  }
  archived_ = contexts_.size();
  archive_.shrink_to_fit();
  live_.clear();
  closed_ = true;
  contexts_.clear();
  context_index_.clear();
  give_back(shares_);
  give_back(changed_);
  spreads_.clear();
  mappings_ = {};
  give_back(taken_);
}

void Book::forget_archive() {
  if (!closed() || archived_ == 0) return;
  if (forgotten_ && archived_epoch_ == ledger_.epoch) return;
  forgotten_ = true;
  std::vector<uint8_t> archive = std::exchange(archive_, {});
  uint32_t contexts = std::exchange(archived_, 0);
  if (archived_epoch_ != ledger_.epoch) return;
  const uint8_t *at = archive.data();
  for (uint32_t i = 0; i < contexts; i++) {
    ContextSums whole;
    at = unpack(at, &whole);
    if (whole.sum_bytes == 0 && whole.sum_blocks == 0) continue;
    ContextSums share{};
    share.row = whole.row;
    share.kind = whole.kind;
    share.sum_bytes = whole.sum_bytes;
    share.sum_blocks = whole.sum_blocks;
    pack(share);
    archived_++;
  }
  archive_.shrink_to_fit();
}

void Book::sum_up(uint32_t index, ContextSums *sums) const {
  const Context &c = contexts_[index];
  sums->row = contexts_.row(index);
  sums->kind = c.kind;
  static_cast<Counted &>(*sums) = contexts_.counted(c);
  bool saved = has_peak(c);
  sums->peak_bytes = saved ? c.peak_bytes : c.live_bytes;
  sums->peak_blocks = saved ? c.peak_blocks : c.live_blocks;
  if (!ledger_.many) {
    sums->sum_bytes = sums->peak_bytes;
    sums->sum_blocks = sums->peak_blocks;
    return;
  }
  const Share &share = shares_[index];
  bool kept = share.epoch == ledger_.epoch;
  sums->sum_bytes = kept ? share.bytes : c.live_bytes;
  sums->sum_blocks = kept ? share.blocks : c.live_blocks;
}

// Numbers of 7 bits a byte: most counters are 0, and are not even named.
void Book::pack(const ContextSums &sums) {
  auto put = [this](uint64_t value) {
    for (; value >= 0x80; value >>= 7) archive_.push_back(static_cast<uint8_t>(value | 0x80));
    archive_.push_back(static_cast<uint8_t>(value));
  };
  uint64_t present = 0;
  for (unsigned i = 0; i < kCounters; i++) present |= uint64_t{sums.counters[i] != 0} << i;
  put(sums.row);
  put(sums.kind);
  put(present);
  for (unsigned i = 0; i < kCounters; i++) {
    if (sums.counters[i] != 0) put(sums.counters[i]);
  }
  put(sums.peak_bytes);
  put(sums.peak_blocks);
  put(sums.sum_bytes);
  put(sums.sum_blocks);
}

const uint8_t *Book::unpack(const uint8_t *at, ContextSums *sums) {
  auto get = [&at] {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      uint64_t byte = *at++;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  sums->row = static_cast<uint32_t>(get());
  sums->kind = static_cast<uint8_t>(get());
  uint64_t present = get();
  for (unsigned i = 0; i < kCounters; i++) {
    sums->counters[i] = (present >> i & 1) != 0 ? get() : 0;
  }
  sums->peak_bytes = get();
  sums->peak_blocks = get();
  sums->sum_bytes = get();
  sums->sum_blocks = get();
  return at;
}

} // namespace heaptide
