// Folding a recording: smaller, and the same figures.
#include <algorithm>

#include "collector/checkpoint.h"
#include "collector/folder.h"
#include "collector/tests/check.h"
#include "collector/tests/reader.h"

namespace heaptide {
namespace {

using testing::Random;
using testing::read_recording;
using testing::ReadChunk;
using testing::ReadRecording;
using testing::Scratch;

constexpr uint64_t kSlice = 10'000'000;
constexpr int kDeltas = 10, kTimeline = 11, kStrings = 2, kContexts = 9;

// As a minute of checkpoints leaves it: ever new strings and contexts, many slices, timeline rows.
void write_recording(RecordingFile &file, Random &random, unsigned checkpoints) {
  uint64_t slice = 0;
  for (unsigned i = 0; i < checkpoints; i++) {
    std::vector<Chunk> chunks;
    std::string text = "text " + std::to_string(i);
    chunks.push_back({ChunkKind::kStrings, 2,
                      Payload().column("s_len", {text.size(), 0}).bytes("s_bytes", text).finish()});
    // Of some checkpoints all threads are 0, and the column is left out.
    chunks.push_back({ChunkKind::kContexts, 2,
                      Payload()
                          .column("process", {0, 0})
                          .sparse("thread", std::vector<uint64_t>{i % 3, 0})
                          .column("stack", {i, i * 300})
                          .finish()});
    std::vector<uint64_t> times, processes, rss, allocations;
    for (int k = 0; k < 10; k++, slice++) {
      SliceRows rows;
      rows.number = slice;
      rows.start = slice * kSlice;
      rows.end = rows.start + kSlice;
      for (uint64_t context = 0; context < 2 * (i + 1); context += 1 + random.below(5)) {
        rows.context.push_back(context);
        for (auto *column :
             {&rows.blocks_in, &rows.bytes_in, &rows.blocks_out, &rows.bytes_out,
              &rows.reallocations, &rows.copied_bytes, &rows.temporary, &rows.short_lived})
          column->push_back(random.below(1000));
      }
      for (uint64_t bucket = random.below(9); bucket < kCounters; bucket += 1 + random.below(9)) {
        rows.spread.thread.push_back(random.below(3));
        rows.spread.bucket.push_back(bucket);
        rows.spread.blocks.push_back(1 + random.below(1000));
      }
      chunks.push_back(Checkpoint::slice_chunk(rows));
      for (uint64_t process : {uint64_t{0}, uint64_t{0xffffffff}}) {
        times.push_back(rows.end);
        processes.push_back(process);
        rss.push_back(random.below(1 << 30));
        allocations.push_back(random.below(1000));
      }
    }
    chunks.push_back({ChunkKind::kTimeline, times.size(),
                      Payload()
                          .column("time", times)
                          .column("process", processes)
                          .sparse("rss", rss)
                          .sparse("allocations", allocations)
                          .finish()});
    CHECK(file.append(chunks));
  }
}

uint64_t highest(ReadRecording &r, int kind, const std::string &column) {
  const std::vector<uint64_t> &values = r.tables[kind][column];
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

TEST(folding_keeps_every_sum) {
  Scratch scratch;
  std::string path = scratch.path("a");
  RecordingFile file;
  file.keep_index();
  CHECK(file.create(path, false));
  Random random(3);
  write_recording(file, random, 40);
  ReadRecording before(path);
  uint64_t first = file.bytes();
  Folder folder(file);
  uint64_t bytes = first;
  for (int times = 0; folder.promising() && times < 20; times++) {
    folder.fold();
    CHECK(file.bytes() <= bytes);
    bytes = file.bytes();
    ReadRecording after(path);
    CHECK(before.tables[kDeltas] == after.tables[kDeltas]);
    CHECK(before.tables[kContexts] == after.tables[kContexts]);
    CHECK(before.strings == after.strings);
    CHECK(before.spread == after.spread);
    for (const char *column : {"rss", "time"})
      CHECK_EQUAL(highest(before, kTimeline, column), highest(after, kTimeline, column));
    CHECK_EQUAL(before.total(kTimeline, "allocations"), after.total(kTimeline, "allocations"));
  }
  CHECK(!folder.promising());
  CHECK(bytes < first / 10);
  // What is written from now on, and folded again, is as before.
  write_recording(file, random, 10);
  ReadRecording longer(path);
  folder.fold();
  ReadRecording again(path);
  CHECK(longer.tables[kDeltas] == again.tables[kDeltas]);
  CHECK(longer.strings == again.strings);
  CHECK(file.finish());
}

// Ranges of slices stay apart, and cover what they covered: readers take one range within another as
// superseded.
TEST(folded_slices_do_not_overlap) {
  Scratch scratch;
  RecordingFile file;
  file.keep_index();
  CHECK(file.create(scratch.path("a"), false));
  Random random(9);
  write_recording(file, random, 12);
  Folder folder(file);
  for (int times = 0; times < 3; times++) {
    folder.fold();
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (const ReadChunk &chunk : read_recording(scratch.path("a"))) {
      if (chunk.kind != kDeltas) continue;
      ranges.push_back({chunk.column("start").at(0), chunk.column("end").at(0)});
    }
    std::sort(ranges.begin(), ranges.end());
    CHECK_EQUAL(0u, ranges.front().first);
    CHECK_EQUAL(120 * kSlice, ranges.back().second);
    for (size_t i = 1; i < ranges.size(); i++) CHECK_EQUAL(ranges[i - 1].second, ranges[i].first);
  }
}

// A slice that is still being counted is written again under its number.
TEST(the_last_slice_is_left_alone) {
  Scratch scratch;
  RecordingFile file;
  file.keep_index();
  CHECK(file.create(scratch.path("a"), false));
  Random random(4);
  write_recording(file, random, 5);
  auto partial = [&](uint64_t bytes) {
    SliceRows rows;
    rows.number = 50;
    rows.start = 50 * kSlice;
    rows.end = 51 * kSlice;
    rows.context = {0};
    rows.bytes_in = {bytes};
    CHECK(file.append({Checkpoint::slice_chunk(rows)}));
  };
  uint64_t without = ReadRecording(scratch.path("a")).total(kDeltas, "bytes_in");
  partial(100);
  for (uint64_t bytes : {200, 300}) {
    Folder(file).fold();
    partial(bytes);
    CHECK_EQUAL(without + bytes, ReadRecording(scratch.path("a")).total(kDeltas, "bytes_in"));
  }
}

TEST(a_dropped_kind_is_gone) {
  Scratch scratch;
  RecordingFile file;
  file.keep_index();
  CHECK(file.create(scratch.path("a"), false));
  Random random(5);
  write_recording(file, random, 4);
  uint64_t before = file.bytes();
  file.drop(ChunkKind::kTimeline);
  ReadRecording r(scratch.path("a"));
  CHECK_EQUAL(0u, r.rows(kTimeline));
  CHECK_EQUAL(8u, r.rows(kStrings));
  CHECK(file.bytes() < before);
}

} // namespace
} // namespace heaptide
