#include "collector/book.h"

#include <algorithm>

namespace heaptide {

// ---------------------------------------------------------------------------------- blocks

// A block whose free nobody has seen.
void Book::lose(const Block &block) {
  leave(block.context, contexts_[block.context], weight_of(block));
  unmatched_frees_++;
}

bool Book::begin_realloc(Thread &thread, uint64_t address, InFlight &flight, Misfit misfit) {
  Block block{};
  bool known = disordered_ ? take_one_life(thread, address, &block)
                           : live_.take(spot(address), address, &block);
  if (!known && refuses_free(misfit)) return false;
  if (flight.active && flight.known) put_back(flight); // the end of the last one is missing
  bool for_any = misfit == Misfit::kKeepForAny || is_restless(address);
  bool orphan = !known && (misfit != Misfit::kCount || for_any);
  if (orphan) keep_orphan({address, &thread, 0, for_any, &flight, kNone});
  flight = {true, known, orphan, address, block};
  return true;
}

// The block of a realloc that has failed stays as it was.
void Book::put_back(const InFlight &flight) {
  if (Block *back = live_.place(spot(flight.block.address()), flight.block.address())) {
    *back = flight.block;
  } else {
    lose(flight.block);
  }
}

bool Book::end_realloc(Thread &thread, InFlight &flight, uint64_t address, uint64_t size,
                       uint32_t context, bool freed, Misfit misfit) {
  bool known = flight.active && flight.known;
  Orphan *orphan = flight.active && flight.orphan ? orphan_of(thread, flight) : nullptr;
  if (address == 0) {
    flight.active = false;
    if (known && freed) end_of_life(thread, flight.block);
    if (known && !freed) put_back(flight);
    if (orphan != nullptr && freed) orphan->flight = nullptr; // a free like any other
    if (orphan != nullptr && !freed) orphan->address = 0;     // nothing has happened
    if (!known && orphan == nullptr && freed) unmatched_frees_++;
    return true;
  }
  if (!known) {
    if (orphan != nullptr) orphan->context = context;
    if (!allocate(thread, spot(address), address, size, context, misfit)) {
      if (orphan != nullptr) orphan->context = kNone;
      return false;
    }
    flight.active = false;
    return true;
  }
  Block *block = live_.place(spot(address), address);
  if (block == nullptr) {
    if (misfit == Misfit::kRefuse) return false;
    make_room(address, misfit);
    block = live_.place(spot(address), address);
  }
  flight.active = false;
  const Block &old = flight.block;
  // Out and in before the peaks are looked at: the heap was never higher in between.
  leave(old.context, contexts_[old.context], weight_of(old));
  Weight weight = begin_life(block, thread, address, size, context);
  Context &c = contexts_[context];
  enter(context, c, weight);
  contexts_.count(c, c.by_size, bucket_by_size(size), kBySize, weight.blocks);
  raised();
  SliceStart &slice = contexts_.slice_start(context);
  slice.reallocations += weight.blocks;
  thread.reallocations += weight.blocks;
  if (address != old.address()) {
    uint64_t copied = size < old.size() ? weight.bytes : weight.blocks * old.size();
    slice.copied_bytes += copied;
    copied_bytes_ += copied;
  }
  if (disordered_) match_orphan(thread, address);
  return true;
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
  c.slice = ledger_.slice;
  contexts_.slice_start(index) = {c.live_bytes,       c.live_blocks,        c.bytes_in, c.blocks_in,
                                  temporary_until(c), short_lived_until(c), 0,          0};
  changed_.push_back(index);
}

uint64_t Book::temporary_until(const Context &c) const {
  return contexts_.counted(c, kByAllocations);
}

uint64_t Book::short_lived_until(const Context &c) const {
  uint64_t sum = 0;
  for (unsigned i = 0; i < kShortLivedBuckets; i++) sum += contexts_.counted(c, kByAllocations + i);
  return sum;
}

// ----------------------------------------------------------------------------------- the end

void Book::begin_shares(bool at_peak) {
  shares_.resize(contexts_.size());
  for (uint32_t i = 0; i < contexts_.size(); i++) {
    const Context &c = contexts_[i];
    bool saved = at_peak && c.peak_epoch == epoch_;
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
  shares_ = {};
  changed_ = {};
  mappings_ = {};
  taken_ = {};
}

void Book::sum_up(uint32_t index, ContextSums *sums) const {
  const Context &c = contexts_[index];
  sums->row = contexts_.row(index);
  sums->kind = c.kind;
  for (unsigned i = 0; i < kCounters; i++) sums->counters[i] = contexts_.counted(c, i);
  bool saved = c.peak_epoch == epoch_;
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
