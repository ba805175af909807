#include "collector/aggregator.h"

#include <utility>

namespace heaptide {
namespace {

constexpr uint64_t kFirstSliceNs = 10'000'000;
constexpr uint64_t kMostSlices = 1000; // of the current length, since the start

} // namespace

Aggregator::Aggregator(uint64_t sample_interval, std::function<void(const SliceRows &)> on_slice,
                       std::function<void(const Book &)> on_end)
    : on_slice_(std::move(on_slice)),
      on_end_(std::move(on_end)),
      slice_ns_(kFirstSliceNs),
      slice_end_(kFirstSliceNs) {
  ledger_.sample_interval = sample_interval;
}

Book &Aggregator::add_process() {
  if (books_.size() == 1) {
    // From now on the sum over processes is kept by itself. It begins as the first one's figures.
    const Book &first = *books_[0];
    ledger_.many = true;
    ledger_.live_bytes = first.closed() ? 0 : first.live_bytes();
    ledger_.live_blocks = first.closed() ? 0 : first.live_blocks();
    ledger_.window_peak = first.window_peak();
    ledger_.peak_bytes = first.peak_bytes();
    ledger_.peak_time = first.peak_time();
    if (!first.closed()) books_[0]->begin_shares(true);
  }
  books_.push_back(std::make_unique<Book>(ledger_, static_cast<uint32_t>(books_.size())));
  open_.push_back(books_.back().get());
  return *books_.back();
}

void Aggregator::end_process(Book &book) {
  if (book.closed()) return;
  on_end_(book);
  collect_book(book, &carried_); // its contexts are about to be packed away
  left_by_thread_.resize(threads_.size());
  book.add_live_by_thread(&left_by_thread_);
  open_contexts_ -= book.contexts().size();
  book.close();
  ended_ += book.totals();
  std::erase(open_, &book);
}

Thread &Aggregator::add_thread(Book &book) {
  Thread &thread = threads_.emplace_back();
  thread.row = static_cast<uint32_t>(threads_.size() - 1);
  thread.process = book.row();
  book.add_thread(&thread);
  return thread;
}

uint32_t Aggregator::add_context(Book &book, Thread &thread, uint32_t stack, unsigned kind) {
  new_contexts_.process.push_back(book.row());
  new_contexts_.thread.push_back(thread.row);
  new_contexts_.stack.push_back(stack);
  new_contexts_.kind.push_back(kind);
  open_contexts_++;
  return book.add_context(thread, stack, kind, contexts_++);
}

ContextRows Aggregator::take_contexts() { return std::exchange(new_contexts_, {}); }

// ------------------------------------------------------------------------------------ slices

void Aggregator::collect_book(const Book &book, SliceRows *rows) const {
  Spreads spreads = book.spreads();
  for (uint32_t index : book.changed()) {
    const Context &c = book.contexts()[index];
    const SliceStart &start = book.contexts().slice_start(index);
    Counted counted = book.contexts().counted(c);
    uint64_t blocks_in = counted.blocks_in() - start.blocks_in;
    uint64_t bytes_in = c.bytes_in - start.bytes_in;
    rows->context.push_back(book.contexts().row(index));
    rows->blocks_in.push_back(blocks_in);
    rows->bytes_in.push_back(bytes_in);
    rows->blocks_out.push_back(blocks_in - (c.live_blocks - start.live_blocks));
    rows->bytes_out.push_back(bytes_in - (c.live_bytes - start.live_bytes));
    rows->reallocations.push_back(start.reallocations);
    rows->copied_bytes.push_back(start.copied_bytes);
    rows->temporary.push_back(counted.temporary() - start.temporary);
    rows->short_lived.push_back(counted.short_lived() - start.short_lived);
    spreads.end(c, counted);
  }
  spreads.append_to(&rows->spread);
}

// `rows` gets its columns; its other members stay.
bool Aggregator::collect_slice(SliceRows *rows) const {
  SliceRows collected = carried_;
  for (const Book *book : open_) collect_book(*book, &collected);
  collected.number = rows->number;
  collected.start = rows->start;
  collected.end = rows->end;
  collected.whole = rows->whole;
  *rows = std::move(collected);
  return !rows->context.empty();
}

// The next slice begins where this one was due to end, or, if that is some time ago, later: slices
// without any change are not written.
void Aggregator::end_slice(uint64_t ns) {
  SliceRows rows;
  bool early = ns < slice_end_;
  rows.number = slice_number_;
  rows.start = slice_start_;
  rows.end = early ? ns : slice_end_;
  if (collect_slice(&rows)) {
    on_slice_(rows);
    slice_number_++;
  }
  ledger_.slice++;
  for (Book *book : open_) book->begin_slice(ledger_.slice);
  carried_ = {};
  if (early) {
    slice_start_ = ns;
    return;
  }
  while (ns >= slice_ns_ * kMostSlices) slice_ns_ *= 2;
  slice_start_ = ns / slice_ns_ * slice_ns_;
  if (slice_start_ < rows.end) slice_start_ = rows.end;
  slice_end_ = (ns / slice_ns_ + 1) * slice_ns_;
}

void Aggregator::end_last_slice() { end_slice(ledger_.now_ns); }

bool Aggregator::partial_slice(SliceRows *rows) const {
  rows->number = slice_number_;
  rows->start = slice_start_;
  rows->end = ledger_.now_ns;
  rows->whole = false;
  return collect_slice(rows);
}

uint64_t Aggregator::quiet_since() const {
  bool changed = !carried_.context.empty();
  for (const Book *book : open_) changed = changed || !book->changed().empty();
  return changed ? UINT64_MAX : slice_start_;
}

// ----------------------------------------------------------------------------------- figures

uint64_t Aggregator::live_bytes() const {
  if (ledger_.many) return ledger_.live_bytes;
  return books_.empty() || books_[0]->closed() ? 0 : books_[0]->live_bytes();
}

uint64_t Aggregator::live_blocks() const {
  if (ledger_.many) return ledger_.live_blocks;
  return books_.empty() || books_[0]->closed() ? 0 : books_[0]->live_blocks();
}

uint64_t Aggregator::peak_bytes() const {
  if (ledger_.many) return ledger_.peak_bytes;
  return books_.empty() ? 0 : books_[0]->peak_bytes();
}

uint64_t Aggregator::peak_time() const {
  if (ledger_.many) return ledger_.peak_time;
  return books_.empty() ? 0 : books_[0]->peak_time();
}

uint64_t Aggregator::take_window_peak() {
  if (ledger_.many) return std::exchange(ledger_.window_peak, ledger_.live_bytes);
  return books_.empty() ? 0 : books_[0]->take_window_peak();
}

uint64_t Aggregator::peak_version() const {
  uint64_t version = ledger_.epoch + books_.size();
  for (const auto &book : books_) version += book->peak_epoch();
  return version;
}

Book::Totals Aggregator::totals() const {
  Book::Totals totals = ended_;
  for (const Book *book : open_) totals += book->totals();
  return totals;
}

std::vector<uint64_t> Aggregator::live_by_thread() const {
  std::vector<uint64_t> live = left_by_thread_;
  live.resize(threads_.size());
  for (const Book *book : open_) book->add_live_by_thread(&live);
  return live;
}

uint64_t Aggregator::table_bytes() const {
  uint64_t bytes = 0;
  for (const Book *book : open_) bytes += book->table_bytes();
  return bytes;
}

} // namespace heaptide
