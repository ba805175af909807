#include "collector/folder.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "collector/checkpoint.h"
#include "collector/columns.h"

namespace heaptide {
namespace {

constexpr ChunkKind kAppended[] = {ChunkKind::kStrings,  ChunkKind::kModules, ChunkKind::kCodes,
                                   ChunkKind::kFrames,   ChunkKind::kStacks,  ChunkKind::kContexts,
                                   ChunkKind::kTimeline, ChunkKind::kMarks,   ChunkKind::kNotes};
constexpr size_t kFewestSlices = 8;
constexpr const char *kMetrics[] = {"blocks_in",     "bytes_in",     "blocks_out", "bytes_out",
                                    "reallocations", "copied_bytes", "temporary",  "short_lived"};
constexpr size_t kMetricCount = std::size(kMetrics);

// A column of zeros is not written, and one that is shorter than another of its chunk reads as longer.
void add_spread(const Columns &columns, std::map<std::pair<uint64_t, uint64_t>, uint64_t> *spread) {
  const std::vector<uint64_t> &blocks = columns.values("spread_blocks");
  const std::vector<uint64_t> &threads = columns.values("spread_thread");
  const std::vector<uint64_t> &buckets = columns.values("spread_bucket");
  auto at = [](const std::vector<uint64_t> &values, size_t i) {
    return i < values.size() ? values[i] : 0;
  };
  for (size_t i = 0; i < blocks.size(); i++) {
    if (blocks[i] != 0) (*spread)[{at(threads, i), at(buckets, i)}] += blocks[i];
  }
}

} // namespace

void Folder::fold() {
  uint64_t before = file_.bytes();
  fold_slices();
  fold_timeline();
  for (ChunkKind kind : kAppended) join(kind);
  uint64_t after = file_.bytes();
  // A fold that has gained an eighth may be followed by another at once; after one that has not, as
  // much must have been added first.
  bool gained = after + before / 8 <= before;
  tried_at_ = gained ? 0 : after + after / 8;
}

// ------------------------------------------------------------------------------------- slices

std::vector<Folder::Slice> Folder::slices() {
  std::vector<Slice> found;
  for (RecordingFile::Region region : file_.chunks_of(ChunkKind::kDeltas)) {
    Columns columns;
    if (!columns.read(file_, region)) continue;
    auto only = [&](const char *name) {
      const std::vector<uint64_t> &values = columns.values(name);
      return values.empty() ? 0 : values[0];
    };
    found.push_back({only("slice"), only("start"), only("end"), region});
  }
  std::sort(found.begin(), found.end(),
            [](const Slice &a, const Slice &b) { return a.start < b.start; });
  // The last one may still be written anew.
  if (!found.empty()) found.pop_back();
  return found;
}

// Neighbours that together are no longer than `length`.
std::vector<std::vector<Folder::Slice>> Folder::group(const std::vector<Slice> &slices,
                                                      uint64_t length) {
  std::vector<std::vector<Slice>> groups;
  for (const Slice &slice : slices) {
    if (groups.empty() || slice.end - groups.back().front().start > length) groups.push_back({});
    groups.back().push_back(slice);
  }
  return groups;
}

void Folder::fold_slices() {
  std::vector<Slice> all = slices();
  if (all.size() < kFewestSlices) return;
  if (resolution_ == 0) {
    resolution_ = UINT64_MAX;
    for (const Slice &slice : all) resolution_ = std::min(resolution_, slice.end - slice.start);
    resolution_ = std::max<uint64_t>(resolution_, 1);
  }
  std::vector<std::vector<Slice>> groups = group(all, resolution_);
  while (groups.size() > all.size() / 4 * 3 && resolution_ < UINT64_MAX / 2) {
    resolution_ *= 2;
    groups = group(all, resolution_);
  }
  for (const std::vector<Slice> &one : groups) {
    if (one.size() > 1) merge(one);
  }
}

void Folder::merge(const std::vector<Slice> &group) {
  std::map<uint64_t, std::array<uint64_t, kMetricCount>> sums; // by context
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> spread;    // by thread and bucket
  std::vector<RecordingFile::Region> regions;
  for (const Slice &slice : group) {
    Columns columns;
    if (!columns.read(file_, slice.region)) return;
    const std::vector<uint64_t> &contexts = columns.values("context");
    std::vector<std::array<uint64_t, kMetricCount> *> rows;
    for (uint64_t context : contexts) rows.push_back(&sums[context]);
    for (size_t metric = 0; metric < kMetricCount; metric++) {
      const std::vector<uint64_t> &values = columns.values(kMetrics[metric]);
      for (size_t i = 0; i < std::min(values.size(), rows.size()); i++)
        (*rows[i])[metric] += values[i];
    }
    add_spread(columns, &spread);
    regions.push_back(slice.region);
  }
  SliceRows rows;
  rows.number = group.front().number;
  rows.start = group.front().start;
  rows.end = group.back().end;
  std::vector<uint64_t> *into[] = {&rows.blocks_in, &rows.bytes_in,      &rows.blocks_out,
                                   &rows.bytes_out, &rows.reallocations, &rows.copied_bytes,
                                   &rows.temporary, &rows.short_lived};
  static_assert(std::size(into) == kMetricCount);
  for (const auto &[context, figures] : sums) {
    rows.context.push_back(context);
    for (size_t metric = 0; metric < kMetricCount; metric++)
      into[metric]->push_back(figures[metric]);
  }
  for (const auto &[place, blocks] : spread) {
    rows.spread.thread.push_back(place.first);
    rows.spread.bucket.push_back(place.second);
    rows.spread.blocks.push_back(blocks);
  }
  file_.replace(regions, Checkpoint::slice_chunk(rows));
}

// ------------------------------------------------------------------------------- other rows

void Folder::fold_timeline() {
  if (resolution_ == 0) return;
  Columns all;
  std::vector<RecordingFile::Region> regions = file_.chunks_of(ChunkKind::kTimeline);
  for (RecordingFile::Region region : regions) {
    if (!all.read(file_, region)) return;
  }
  const std::vector<uint64_t> &time = all.values("time"), &process = all.values("process");
  // Rows of one process within one resolution become the last of them.
  std::map<uint64_t, std::pair<uint64_t, size_t>> open; // process -> begin of its row, row
  std::vector<size_t> into(time.size());
  size_t rows = 0;
  for (size_t i = 0; i < time.size(); i++) {
    auto [at, is_new] = open.try_emplace(process[i], time[i], rows);
    if (is_new || time[i] - at->second.first > resolution_) {
      at->second = {time[i], rows++};
    }
    into[i] = at->second.second;
  }
  if (rows > time.size() / 4 * 3) return;
  Columns folded;
  for (const std::string &name : all.names()) {
    const std::vector<uint64_t> &from = all.values(name);
    std::vector<uint64_t> &to = folded.add(name, rows);
    bool sum = name == "allocations" || name == "bytes";
    bool last = name == "time" || name == "process" || name.starts_with("live_");
    for (size_t i = 0; i < from.size(); i++) {
      uint64_t &value = to[into[i]];
      value = sum ? value + from[i] : last ? from[i] : std::max(value, from[i]);
    }
  }
  file_.replace(regions, folded.chunk(ChunkKind::kTimeline));
}

void Folder::join(ChunkKind kind) {
  std::vector<RecordingFile::Region> regions = file_.chunks_of(kind);
  if (regions.size() < 4) return;
  Columns all;
  for (RecordingFile::Region region : regions) {
    if (!all.read(file_, region)) return;
  }
  file_.replace(regions, all.chunk(kind));
}

} // namespace heaptide
