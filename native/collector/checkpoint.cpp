#include "collector/checkpoint.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "collector/row_chunks.h"

namespace heaptide {
namespace {

constexpr uint64_t kHeavyShare = 50;
// Bytes of a context's rows in chunks as they are written.
constexpr uint64_t kHistogramRow = 64, kSliceRow = 18, kPeakRow = 12, kContextRow = 9,
                   kTimelineRow = 44;

uint64_t cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t key_of(ChunkKind kind, uint64_t number = 0) {
  return uint64_t{1} << 63 | static_cast<uint64_t>(kind) << 48 | number;
}

} // namespace

Chunk Checkpoint::meta(const std::string &json) {
  Chunk chunk{ChunkKind::kMeta, 1, Payload().bytes("json_bytes", json).finish()};
  chunk.flags = kSupersedes;
  return chunk;
}

Chunk Checkpoint::slice_chunk(const SliceRows &rows) {
  Payload payload;
  payload.column("slice", {rows.number}).column("start", {rows.start}).column("end", {rows.end});
  payload.column("context", rows.context)
      .sparse("blocks_in", rows.blocks_in)
      .sparse("bytes_in", rows.bytes_in)
      .sparse("blocks_out", rows.blocks_out)
      .sparse("bytes_out", rows.bytes_out)
      .sparse("reallocations", rows.reallocations)
      .sparse("copied_bytes", rows.copied_bytes)
      .sparse("temporary", rows.temporary)
      .sparse("short_lived", rows.short_lived)
      .sparse("spread_thread", rows.spread.thread)
      .sparse("spread_bucket", rows.spread.bucket)
      .sparse("spread_blocks", rows.spread.blocks);
  Chunk chunk{ChunkKind::kDeltas, rows.context.size(), payload.finish()};
  chunk.key = key_of(ChunkKind::kDeltas, rows.number);
  chunk.flags = kSupersedes;
  return chunk;
}

void Checkpoint::add_slice(const SliceRows &rows) {
  slices_.push_back(slice_chunk(rows));
  uncounted_ = !census_.due(rows.end);
  if (!uncounted_) add_census(census_.take(aggregator_, rows.end, cpu_ns));
}

void Checkpoint::look_for_quiet() {
  uint64_t since = aggregator_.quiet_since();
  if (!uncounted_ || since == UINT64_MAX || !census_.due(since)) return;
  add_census(census_.take(aggregator_, since, cpu_ns));
  uncounted_ = false;
}

void Checkpoint::add_leaving(const Book &book) {
  add_census(census_.leave(book, aggregator_.now()));
}

// A file that is to stay small gives counts an eighth of it: one that is missing makes what is known
// coarser, not wrong. The last one counts even without rows, as the moment up to which things are known.
void Checkpoint::add_census(Chunk chunk, bool last) {
  uint64_t bytes = chunk_bytes(chunk.payload.size());
  if ((chunk.rows == 0 && !last) || (limit_ != 0 && census_bytes_ + bytes > limit_ / 8)) return;
  census_bytes_ += bytes;
  slices_.push_back(std::move(chunk));
}

void Checkpoint::supersede(std::vector<Chunk> *chunks, Chunk chunk) {
  chunk.key = key_of(chunk.kind);
  chunk.flags = kSupersedes;
  chunks->push_back(std::move(chunk));
}

void Checkpoint::add_mark(uint64_t time, uint32_t process, uint32_t thread, std::string_view name) {
  marks_.time.push_back(time);
  marks_.process.push_back(process);
  marks_.thread.push_back(thread);
  marks_.name.push_back(definitions_.string(name));
}

void Checkpoint::add_note(uint64_t time, uint32_t process, std::string_view text) {
  notes_.time.push_back(time);
  notes_.process.push_back(process);
  notes_.text.push_back(definitions_.string(text));
}

std::vector<Chunk> Checkpoint::make(uint64_t now, bool last, bool failed) {
  std::vector<Chunk> chunks;
  Book::Totals totals = aggregator_.totals();
  uint64_t events = totals.allocations + totals.deallocations + totals.reallocations;
  uint64_t versions = processes_.version() + threads_.version();
  bool changed = events != events_ || versions != versions_ || !timeline_.empty();
  add_strings(&chunks, definitions_);
  if (changed || last) {
    processes_.read_counters();
    add_processes(&chunks, last, failed);
    add_threads(&chunks, last, failed);
    events_ = events;
    versions_ = versions;
  }
  add_definitions(&chunks, definitions_);
  add_contexts(&chunks);
  if (last && !failed) add_census(census_.take(aggregator_, now, cpu_ns), true);
  for (Chunk &slice : slices_) chunks.push_back(std::move(slice));
  slices_.clear();
  // A slice shorter than a checkpoint's distance is written when it is over.
  SliceRows partial;
  if (!last && aggregator_.slice_ns() > 1'000'000'000 && aggregator_.partial_slice(&partial)) {
    chunks.push_back(slice_chunk(partial));
  }
  bool fits = limit_ == 0 || aggregator_.contexts() * kHistogramRow < limit_ / 8;
  if (fits && !failed) add_final(&chunks);
  bool heavy = last || now >= next_heavy_;
  uint64_t before = cpu_ns();
  if (heavy || wants_peaks_) {
    uint64_t version = aggregator_.peak_version();
    if (last || stale_ || version != peak_version_) add_peaks(&chunks);
    peak_version_ = version;
    wants_peaks_ = false;
  }
  if (heavy) {
    if (last || (fits && (stale_ || events != histogram_events_))) add_histograms(&chunks);
    histogram_events_ = events;
    stale_ = false;
    next_heavy_ = now + (cpu_ns() - before) * kHeavyShare;
  }
  if (!timeline_.empty()) add_timeline(&chunks, timeline_.take());
  add_words(&chunks);
  return chunks;
}

uint64_t Checkpoint::bytes_to_come() const {
  const Definitions &d = definitions_;
  uint64_t bytes = 6'000; // headers of chunks and columns
  bytes += d.new_strings.bytes.size() + d.new_strings.lengths.size() * 2;
  bytes += d.new_modules.path.size() * 40;
  bytes += d.new_codes.table_bytes.size() + d.new_codes.filename.size() * 20;
  bytes += d.new_frames.kind.size() * 12 + d.new_stacks.frame.size() * 8;
  for (const Chunk &slice : slices_) bytes += chunk_bytes(slice.payload.size());
  bytes += timeline_.pending() * kTimelineRow;
  // The slice being counted, in which contexts of processes that have ended are new ones, mostly;
  // what a peak takes more than the one before.
  uint64_t contexts = aggregator_.contexts(), changed = contexts - written_contexts_;
  bytes += changed * kContextRow;
  for (size_t row = 0; row < aggregator_.processes(); row++) {
    changed += aggregator_.book(row).changed().size();
  }
  // Peaks are written less often than contexts.
  uint64_t fresh_peak = peak_chunk_bytes_ / 4 + (contexts - peak_contexts_) * kPeakRow;
  bytes += std::min(changed, contexts) * kSliceRow;
  bytes += fresh_peak;
  bytes += processes_.all().size() * 160 + threads_.all().size() * 48;
  return bytes;
}

Chunk Checkpoint::end(uint64_t now) const {
  Chunk chunk{ChunkKind::kEnd, 1,
              Payload().column("reason", {reason_}).column("time", {now}).finish()};
  chunk.flags = kSupersedes;
  return chunk;
}

// --------------------------------------------------------------------------------- definitions

void Checkpoint::add_contexts(std::vector<Chunk> *chunks) {
  ContextRows contexts = aggregator_.take_contexts();
  for (uint64_t &thread : contexts.thread) thread = threads_.row_of_place(thread);
  heaptide::add_contexts(chunks, contexts);
  written_contexts_ += contexts.process.size();
}

void Checkpoint::add_words(std::vector<Chunk> *chunks) {
  Payload payload;
  Marks marks = std::exchange(marks_, {});
  if (!marks.time.empty()) {
    payload.column("time", marks.time)
        .column("process", marks.process)
        .column("thread", marks.thread)
        .column("name", marks.name);
    add_rows(chunks, ChunkKind::kMarks, marks.time.size(), &payload);
  }
  Notes notes = std::exchange(notes_, {});
  if (!notes.time.empty()) {
    payload.column("time", notes.time).column("process", notes.process).column("text", notes.text);
    add_rows(chunks, ChunkKind::kNotes, notes.time.size(), &payload);
  }
}

// ------------------------------------------------------------------------------------- states

// Rows of processes that have ended are in one more state, so that no prefix of the file lacks one, and then
// on their own. After a failure nobody knows how much of that the file has: the state has all again.
void Checkpoint::add_processes(std::vector<Chunk> *chunks, bool last, bool failed) {
  // One row after the other, then turned into columns: the list of names is the list of figures.
  static constexpr std::string_view kNames[] = {"row",
                                                "pid",
                                                "ppid",
                                                "parent",
                                                "image",
                                                "start",
                                                "end",
                                                "exe",
                                                "command",
                                                "peak_bytes",
                                                "peak_time",
                                                "peak_rss",
                                                "live_bytes",
                                                "live_blocks",
                                                "allocations",
                                                "deallocations",
                                                "reallocations",
                                                "bytes",
                                                "copied_bytes",
                                                "temporary",
                                                "short_lived",
                                                "unmatched_frees",
                                                "arena_bytes",
                                                "arena_peak_bytes",
                                                "wait_ns",
                                                "lost_events",
                                                "fp_fallbacks",
                                                "truncated",
                                                "python_version",
                                                "python_status",
                                                "allocator",
                                                "off_reason"};
  constexpr size_t kColumns = std::size(kNames);
  if (processes_.all().empty()) return;
  std::vector<Column> state(kColumns), final(kColumns);
  for (Process &process : processes_.all()) {
    if (process.written && !failed) continue;
    const Book &book = *process.book;
    Book::Totals totals = book.totals();
    Book::Ended ended = book.ended();
    uint64_t row[] = {process.row,
                      process.pid,
                      process.ppid,
                      process.parent,
                      process.image_number,
                      process.start,
                      process.end,
                      process.executable,
                      process.command,
                      book.peak_bytes(),
                      book.peak_time(),
                      process.peak_rss,
                      book.live_bytes(),
                      book.live_blocks(),
                      totals.allocations,
                      totals.deallocations + book.unseen_frees(),
                      totals.reallocations,
                      totals.bytes,
                      book.copied_bytes(),
                      ended.temporary,
                      ended.short_lived,
                      book.unmatched_frees(),
                      book.arena_bytes(),
                      book.arena_peak_bytes(),
                      process.wait_ns,
                      process.lost_events,
                      process.fp_fallbacks,
                      process.truncated,
                      process.python_version,
                      process.python_status,
                      process.allocator,
                      process.off_reason};
    static_assert(std::size(row) == kColumns);
    for (size_t i = 0; i < kColumns; i++) state[i].push_back(row[i]);
    if (!process.ended() || last) continue;
    for (size_t i = 0; i < kColumns; i++) final[i].push_back(row[i]);
    process.written = true;
  }
  add_states(chunks, ChunkKind::kProcesses, kNames, state, final);
}

void Checkpoint::add_states(std::vector<Chunk> *chunks, ChunkKind kind,
                            std::span<const std::string_view> names,
                            const std::vector<Column> &state, const std::vector<Column> &final) {
  auto chunk_of = [&](const std::vector<Column> &columns) {
    Payload payload;
    payload.column(names[0], columns[0]);
    for (size_t i = 1; i < columns.size(); i++) payload.sparse(names[i], columns[i]);
    return Chunk{kind, columns[0].size(), payload.finish()};
  };
  supersede(chunks, chunk_of(state));
  if (final[0].empty()) return;
  chunks->push_back(chunk_of(final));
  chunks->back().flags = kFinal;
}

void Checkpoint::add_threads(std::vector<Chunk> *chunks, bool last, bool failed) {
  static constexpr std::string_view kNames[] = {
      "row",         "process",       "tid",           "name",  "start",     "end",
      "allocations", "deallocations", "reallocations", "bytes", "live_bytes"};
  constexpr size_t kColumns = std::size(kNames);
  // What the last checkpoint has written for good is in the file now.
  if (!failed) threads_.forget_written();
  if (threads_.version() == 0) return;
  Column live = aggregator_.live_by_thread();
  std::vector<Column> state(kColumns), final(kColumns);
  for (auto &[id, thread] : threads_.all()) {
    Book::Totals totals = thread.totals();
    uint64_t row[] = {id,
                      thread.process->row,
                      thread.tid,
                      thread.name,
                      thread.start,
                      thread.end,
                      totals.allocations,
                      totals.deallocations,
                      totals.reallocations,
                      totals.bytes,
                      thread.is_first ? live[thread.place->row] : 0};
    static_assert(std::size(row) == kColumns);
    for (size_t i = 0; i < kColumns; i++) state[i].push_back(row[i]);
    if (!thread.is_settled() || last) continue;
    for (size_t i = 0; i < kColumns; i++) final[i].push_back(row[i]);
    thread.written = true;
  }
  add_states(chunks, ChunkKind::kThreads, kNames, state, final);
}

// With a single process its own peak is that of the sum, and is written once.
void Checkpoint::add_peaks(std::vector<Chunk> *chunks) {
  ContextTable table = peak_table();
  bool many = aggregator_.ledger().many;
  for (size_t row = 0; row < aggregator_.processes(); row++) {
    aggregator_.book(row).each_context([&](const ContextSums &sums) {
      add_peak(&table, row, sums, sums.peak_blocks, sums.peak_bytes);
      if (many) add_peak(&table, kAllProcesses, sums, sums.sum_blocks, sums.sum_bytes);
    });
  }
  supersede(chunks, table.take());
  peak_chunk_bytes_ = chunks->back().payload.size();
  peak_contexts_ = aggregator_.contexts();
}

void Checkpoint::add_histograms(std::vector<Chunk> *chunks) {
  ContextTable lifetimes = lifetimes_table(), sizes = sizes_table();
  for (size_t row = 0; row < aggregator_.processes(); row++) {
    aggregator_.book(row).each_context([&](const ContextSums &sums) {
      add_lifetimes(&lifetimes, sums);
      add_sizes(&sizes, sums);
    });
  }
  supersede(chunks, lifetimes.take());
  supersede(chunks, sizes.take());
}

// What is known for good of the contexts of processes that have ended: written once, then forgotten.
void Checkpoint::add_final(std::vector<Chunk> *chunks) {
  FinalRows final(chunks);
  size_t before = chunks->size();
  for (size_t row = 0; row < aggregator_.processes(); row++) {
    Book &book = aggregator_.book(row);
    if (book.has_archive()) {
      book.each_context([&](const ContextSums &sums) { final.add(row, sums); });
    }
    book.forget_archive();
  }
  final.finish();
  // The states in the file still have the same rows, which readers know to leave out.
  if (chunks->size() != before) stale_ = true;
}

} // namespace heaptide
