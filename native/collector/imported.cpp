#include "collector/imported.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "collector/checkpoint.h"
#include "collector/context_tables.h"
#include "collector/row_chunks.h"
#include "wire/wire.h"

namespace heaptide {
namespace {

constexpr uint64_t kRowsInSlice = 2; // of the timeline

std::vector<uint64_t> filled(size_t rows, uint64_t value) {
  return std::vector<uint64_t>(rows, value);
}

} // namespace

Imported::Imported()
    : aggregator_(0, [this](const SliceRows &rows) {
        SliceRows kept = rows;
        // What is freed next, or soon, goes by pointers, which logs may not have.
        std::fill(kept.temporary.begin(), kept.temporary.end(), 0);
        std::fill(kept.short_lived.begin(), kept.short_lived.end(), 0);
        for (size_t i = 0; i < kept.spread.bucket.size(); i++) {
          if (kept.spread.bucket[i] < kBySize) kept.spread.blocks[i] = 0;
        }
        write({Checkpoint::slice_chunk(kept)});
      }) {
  book_ = &aggregator_.add_process();
  thread_ = &aggregator_.add_thread(*book_);
}

bool Imported::create(const std::string &path, std::string *error) {
  if (file_.create(path, false)) return true;
  *error = path + ": " + std::strerror(file_.error());
  return false;
}

void Imported::write(std::vector<Chunk> chunks) {
  if (!failed_ && !file_.append(chunks)) failed_ = true;
}

void Imported::symbol(uint32_t frame, uint32_t function, uint32_t file, uint64_t line,
                      unsigned language) {
  symbols_.frame.push_back(frame);
  symbols_.function.push_back(function);
  symbols_.file.push_back(file);
  symbols_.line.push_back(line);
  symbols_.language.push_back(language);
  if (frame >= named_.size()) named_.resize(frame + 1);
  named_[frame] = true;
}

void Imported::moment(uint64_t ns, uint64_t rss) {
  if (rss != 0) {
    rss_ = rss;
    peak_rss_ = std::max(peak_rss_, rss);
  }
  if (ns > aggregator_.now() && ns >= next_row_) {
    add_row();
    next_row_ = ns + aggregator_.slice_ns() / kRowsInSlice;
  }
  aggregator_.advance(ns);
}

void Imported::add_row() {
  Book::Totals totals = book_->totals();
  moments_.time.push_back(aggregator_.now());
  moments_.process.push_back(kAllProcesses);
  moments_.live_bytes.push_back(book_->live_bytes());
  moments_.live_blocks.push_back(book_->live_blocks());
  moments_.peak_bytes.push_back(std::max(aggregator_.take_window_peak(), book_->live_bytes()));
  moments_.rss.push_back(rss_);
  moments_.allocations.push_back(totals.allocations - said_.allocations);
  moments_.bytes.push_back(totals.bytes - said_.bytes);
  said_ = totals;
}

bool Imported::finish(const std::string &meta, const std::vector<Extra> &extras,
                      std::string *error) {
  add_row();
  aggregator_.end_last_slice();
  uint32_t reason = definitions_.string("finished");
  std::vector<Chunk> chunks = {Checkpoint::meta(meta)};
  std::vector<Chunk> figures;
  add_process(&figures);
  add_figures(&figures);
  add_extras(&figures, extras);
  if (!notes_.empty()) {
    Payload payload;
    std::vector<uint64_t> none = filled(notes_.size(), 0);
    payload.column("time", none).column("process", none).column("text", notes_);
    add_rows(&figures, ChunkKind::kNotes, notes_.size(), &payload);
  }
  add_strings(&chunks, definitions_); // last of all, for the others have made some
  for (Chunk &chunk : figures) chunks.push_back(std::move(chunk));
  Payload end;
  end.column("reason", {reason}).column("time", {aggregator_.now()});
  add_rows(&chunks, ChunkKind::kEnd, 1, &end);
  write(std::move(chunks));
  if (!failed_ && file_.finish()) return true;
  *error = std::string("the recording cannot be written: ") + std::strerror(file_.error());
  return false;
}

void Imported::add_process(std::vector<Chunk> *chunks) {
  Book::Totals totals = book_->totals();
  std::string joined;
  for (const std::string &word : command) {
    if (!joined.empty()) joined += '\x1f';
    joined += word;
  }
  Payload process;
  process.column("pid", {0})
      .column("exe", {definitions_.string(executable)})
      .column("command", {definitions_.string(joined)})
      .column("end", {aggregator_.now()})
      .column("peak_bytes", {book_->peak_bytes()})
      .column("peak_time", {book_->peak_time()})
      .column("peak_rss", {peak_rss_})
      .column("live_bytes", {book_->live_bytes()})
      .column("live_blocks", {book_->live_blocks()})
      .column("allocations", {totals.allocations})
      .column("deallocations", {totals.deallocations})
      .column("bytes", {totals.bytes})
      .column("unmatched_frees", {book_->unmatched_frees()});
  add_rows(chunks, ChunkKind::kProcesses, 1, &process);
  Payload thread;
  thread.column("process", {0})
      .column("tid", {0})
      .column("allocations", {totals.allocations})
      .column("deallocations", {totals.deallocations})
      .column("bytes", {totals.bytes})
      .column("live_bytes", {book_->live_bytes()});
  add_rows(chunks, ChunkKind::kThreads, 1, &thread);
}

void Imported::add_figures(std::vector<Chunk> *chunks) {
  add_definitions(chunks, definitions_);
  add_contexts(chunks, aggregator_.take_contexts());
  if (!symbols_.frame.empty()) {
    Payload symbol;
    symbol.column("frame", symbols_.frame)
        .column("function", symbols_.function)
        .column("file", symbols_.file)
        .sparse("line", symbols_.line)
        .sparse("language", symbols_.language);
    add_rows(chunks, ChunkKind::kSymbols, symbols_.frame.size(), &symbol);
    chunks->back().flags = kSupersedes;
  }
  add_timeline(chunks, moments_);
  ContextTable peak = peak_table(), sizes = sizes_table();
  book_->each_context([&](const ContextSums &sums) {
    add_peak(&peak, 0, sums, sums.peak_blocks, sums.peak_bytes);
    add_sizes(&sizes, sums);
  });
  if (peak.rows() != 0) chunks->push_back(peak.take());
  if (sizes.rows() != 0) chunks->push_back(sizes.take());
}

void Imported::add_extras(std::vector<Chunk> *chunks, const std::vector<Extra> &extras) {
  std::vector<uint64_t> context, metric, words, unit, value;
  for (const Extra &extra : extras) {
    uint32_t ids[] = {definitions_.string(extra.metric), definitions_.string(extra.words),
                      definitions_.string(extra.unit)};
    for (size_t i = 0; i < extra.values->size(); i++) {
      if ((*extra.values)[i] == 0) continue;
      context.push_back(i);
      metric.push_back(ids[0]);
      words.push_back(ids[1]);
      unit.push_back(ids[2]);
      value.push_back((*extra.values)[i]);
    }
  }
  Payload payload;
  payload.column("context", context)
      .column("metric", metric)
      .column("words", words)
      .column("unit", unit)
      .column("value", value);
  add_rows(chunks, ChunkKind::kExtras, context.size(), &payload);
}

} // namespace heaptide
