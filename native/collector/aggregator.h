// Turns events into figures, whoever sends them: live rings or a foreign log being imported.
//
// Time is given by the caller (advance) and cuts the figures into slices; what changed in one is
// handed out as columns. Nothing here knows of rings, files or processes of the system.
#ifndef HEAPTIDE_COLLECTOR_AGGREGATOR_H
#define HEAPTIDE_COLLECTOR_AGGREGATOR_H

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "collector/book.h"

namespace heaptide {

// What changed in one slice of time: a row for each context; and how its blocks are spread.
struct SliceRows {
  uint64_t number = 0, start = 0, end = 0;
  bool whole = true; // false: still being counted, another with the same number will follow
  std::vector<uint64_t> context, blocks_in, bytes_in, blocks_out, bytes_out, reallocations,
      copied_bytes, temporary, short_lived;
  SpreadRows spread;
};

// Where contexts come from, as rows of the file.
struct ContextRows {
  std::vector<uint64_t> process, thread, stack, kind;
};

class Aggregator {
 public:
  // sample_interval: mean bytes between samples, 0 or 1 for none.
  // on_slice: gets every finished slice in which something changed.
  // on_end: gets every process's book before it is closed.
  Aggregator(
      uint64_t sample_interval, std::function<void(const SliceRows &)> on_slice,
      std::function<void(const Book &)> on_end = [](const Book &) {});

  // Keeps what is live, the peak and the temporary blocks of each thread.
  void keep_threads() { ledger_.by_thread = true; }

  // A process image; its row counts from 0.
  Book &add_process();
  void end_process(Book &book);
  size_t processes() const { return books_.size(); }
  const Book &book(size_t row) const { return *books_[row]; }
  Book &book(size_t row) { return *books_[row]; }

  // Calls visit(const Book &) for each process that has not ended.
  template <class Visit>
  void each_open(Visit visit) const {
    for (const Book *book : open_) visit(*book);
  }

  Thread &add_thread(Book &book);
  const std::deque<Thread> &threads() const { return threads_; }

  // The context's index in the book.
  uint32_t context(Book &book, Thread &thread, uint32_t stack, unsigned kind) {
    uint32_t index = book.find_context(thread, stack, kind);
    return index != Book::kNone ? index : add_context(book, thread, stack, kind);
  }
  uint32_t contexts() const { return contexts_; }
  uint32_t open_contexts() const { return open_contexts_; } // of processes that live

  // The events that follow happened at `ns` since the start, or later. Ends slices that are over.
  void advance(uint64_t ns) {
    if (ns <= ledger_.now_ns) return;
    ledger_.now_ns = ns;
    ledger_.ticks = static_cast<uint32_t>(ns / kTickNs);
    if (ns >= slice_end_) [[unlikely]]
      end_slice(ns);
  }
  uint64_t now() const { return ledger_.now_ns; }
  // The same, and the slice ends there. When that was: not before what has been counted, and after the
  // slice before: events may be ahead of the clock, and what came since the last end is of this slice.
  uint64_t end_slice_at(uint64_t ns) {
    advance(std::max(ns, slice_start_ + 1));
    end_slice(ledger_.now_ns);
    return ledger_.now_ns;
  }

  // Ends the current slice now, as the last one.
  void end_last_slice();
  // Rows of the current slice so far; false if there are none or nothing is to be said early.
  bool partial_slice(SliceRows *rows) const;
  // When the current slice began, if nothing has changed since; else UINT64_MAX.
  uint64_t quiet_since() const;
  uint64_t slice_ns() const { return slice_ns_; }
  uint64_t slice_end() const { return slice_end_; }

  // Contexts added since the last call.
  ContextRows take_contexts();

  const Ledger &ledger() const { return ledger_; }
  // Of the sum over all processes.
  uint64_t live_bytes() const;
  uint64_t live_blocks() const;
  uint64_t peak_bytes() const;
  uint64_t peak_time() const;
  uint64_t take_window_peak(); // with one process, its own Book's serves for both
  // Changes whenever the composition of some peak may have.
  uint64_t peak_version() const;

  uint64_t table_bytes() const;
  Book::Totals totals() const; // over all processes
  // Bytes allocated by each thread and alive, or alive when their process ended; by row.
  std::vector<uint64_t> live_by_thread() const;

 private:
  uint32_t add_context(Book &book, Thread &thread, uint32_t stack, unsigned kind);
  void end_slice(uint64_t ns);
  void collect_book(const Book &book, SliceRows *rows) const;
  bool collect_slice(SliceRows *rows) const;

  Ledger ledger_;
  std::function<void(const SliceRows &)> on_slice_;
  std::function<void(const Book &)> on_end_;
  std::vector<std::unique_ptr<Book>> books_;
  std::vector<Book *> open_;
  Book::Totals ended_; // of books that are closed
  std::vector<uint64_t> left_by_thread_;
  SliceRows carried_;          // of books closed during the current slice
  std::deque<Thread> threads_; // stable addresses
  uint32_t contexts_ = 0, open_contexts_ = 0;
  ContextRows new_contexts_;
  uint64_t slice_number_ = 0;
  uint64_t slice_ns_, slice_start_ = 0, slice_end_;
};

} // namespace heaptide

#endif
