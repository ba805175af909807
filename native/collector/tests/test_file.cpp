// Chunks and the recording file, by a reader that knows only docs/format.md.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "collector/crc32c.h"
#include "collector/file_writer.h"
#include "collector/recording_file.h"
#include "collector/tests/check.h"
#include "collector/tests/reader.h"

namespace heaptide {
namespace {

using testing::read_recording;
using testing::ReadChunk;
using testing::Scratch;
using testing::with_size_limit;

Chunk strings_chunk(size_t bytes, uint64_t key = 0) {
  Payload payload;
  payload.column("s_len", {bytes}).bytes("s_bytes", std::string(bytes, 'x'));
  Chunk chunk{ChunkKind::kStrings, 1, payload.finish()};
  chunk.key = key;
  chunk.flags = key == 0 ? 0 : kSupersedes;
  return chunk;
}

Chunk end_chunk() {
  return {ChunkKind::kEnd, 1, Payload().column("reason", {1}).column("time", {2}).finish()};
}

uint64_t disk_bytes(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

TEST(crc_agrees_with_known_values_and_itself) {
  CHECK_EQUAL(0xe3069283u, crc32c("123456789", 9));
  CHECK_EQUAL(0xe3069283u, crc32c_by_tables("123456789", 9));
  CHECK_EQUAL(0x8a9136aau, crc32c(std::string(32, '\0').data(), 32));
  std::string text(1000, 'q');
  for (size_t size = 0; size < text.size(); size += 7) {
    for (size_t offset : {0u, 1u, 5u}) {
      if (offset > size) continue;
      uint32_t whole = crc32c(text.data() + offset, size - offset);
      CHECK_EQUAL(whole, crc32c_by_tables(text.data() + offset, size - offset));
      size_t half = (size - offset) / 2;
      CHECK_EQUAL(whole, crc32c(text.data() + offset + half, size - offset - half,
                                crc32c(text.data() + offset, half)));
    }
  }
}

TEST(columns_come_back_as_they_were) {
  Scratch scratch;
  RecordingFile file;
  CHECK(file.create(scratch.path("a"), true));
  std::vector<uint64_t> bytes{1, 255, 0}, words{65535, 1, 2}, longs{1, 65536, 3},
      quads{~0ull, 0, 1}, zeros{0, 0, 0};
  Payload payload;
  payload.column("bytes", bytes)
      .column("words", words)
      .column("longs", longs)
      .column("quads", quads);
  payload.sparse("zeros", zeros).column("kept_zeros", zeros).bytes("text", "hello");
  CHECK(file.append({{ChunkKind::kPeak, 3, payload.finish()}}));
  CHECK(file.finish());
  auto chunks = read_recording(scratch.path("a"));
  CHECK_EQUAL(1u, chunks.size());
  if (chunks.size() != 1) return;
  const ReadChunk &chunk = chunks[0];
  CHECK_EQUAL(12, chunk.kind);
  CHECK_EQUAL(3u, chunk.rows);
  CHECK(chunk.column("bytes") == bytes && chunk.type("bytes") == 'B');
  CHECK(chunk.column("words") == words && chunk.type("words") == 'H');
  CHECK(chunk.column("longs") == longs && chunk.type("longs") == 'I');
  CHECK(chunk.column("quads") == quads && chunk.type("quads") == 'Q');
  CHECK(!chunk.has("zeros"));
  CHECK(chunk.column("kept_zeros") == zeros);
  CHECK_EQUAL(std::string("hello"), chunk.text("text"));
  CHECK(testing::is_finished(scratch.path("a")));
}

TEST(a_file_cut_anywhere_opens_up_to_its_last_whole_chunk) {
  Scratch scratch;
  RecordingFile file;
  CHECK(file.create(scratch.path("a"), false));
  for (size_t i = 0; i < 5; i++) CHECK(file.append({strings_chunk(100 * i + 3)}));
  CHECK(file.finish());
  std::ifstream in(scratch.path("a"), std::ios::binary);
  std::string whole((std::istreambuf_iterator<char>(in)), {});
  size_t most = 0;
  for (size_t size = 16; size <= whole.size(); size++) {
    std::ofstream(scratch.path("cut"), std::ios::binary) << whole.substr(0, size);
    size_t chunks = read_recording(scratch.path("cut")).size();
    CHECK(chunks >= most && chunks <= most + 1);
    most = chunks;
  }
  CHECK_EQUAL(5u, most);
}

// A recording of a week: states replace each other, the file stays as large as what holds.
TEST(superseded_chunks_give_their_space_back) {
  Scratch scratch;
  RecordingFile file;
  CHECK(file.create(scratch.path("a"), false));
  constexpr size_t kState = 20'000;
  for (int i = 0; i < 500; i++) {
    std::vector<Chunk> chunks;
    if (i % 50 == 0) chunks.push_back(strings_chunk(10));
    chunks.push_back(strings_chunk(kState, 1));
    chunks.push_back(strings_chunk(500, 2));
    CHECK(file.append(chunks));
  }
  CHECK(file.finish());
  auto chunks = read_recording(scratch.path("a"));
  CHECK_EQUAL(12u, chunks.size());
  CHECK(file.bytes() < 2 * kState);
  CHECK(disk_bytes(scratch.path("a")) < 30 * 4096 + 2 * kState);
}

TEST(a_file_that_cannot_be_created_says_why) {
  RecordingFile nowhere, full;
  CHECK(!nowhere.create("/nonexistent/a", true));
  CHECK_EQUAL(ENOENT, nowhere.error());
  CHECK(!full.create("/dev/full", true));
  CHECK_EQUAL(ENOSPC, full.error());
}

TEST(a_full_disk_leaves_whole_chunks_and_an_end) {
  // Limits at every distance from a chunk's end.
  for (rlim_t limit = 100'000; limit < 103'000; limit += 37) {
    Scratch scratch;
    RecordingFile file;
    with_size_limit(limit, [&] {
      CHECK(file.create(scratch.path("a"), true));
      int appended = 0;
      while (file.append({strings_chunk(900), strings_chunk(100, 1)})) appended++;
      CHECK(appended > 5);
      CHECK_EQUAL(EFBIG, file.error());
      auto whole = read_recording(scratch.path("a"));
      CHECK(whole.size() >= static_cast<size_t>(appended));
      CHECK(!file.append({strings_chunk(1)}));
      CHECK(file.append_last({strings_chunk(200, 1), end_chunk()}));
      CHECK(file.finish());
    });
    auto chunks = read_recording(scratch.path("a"));
    CHECK(!chunks.empty() && chunks.back().kind == 18);
    CHECK(testing::is_finished(scratch.path("a")));
    struct stat status;
    stat(scratch.path("a").c_str(), &status);
    CHECK(static_cast<rlim_t>(status.st_size) <= limit);
  }
}

// Space that runs out for everybody, as on a real disk: only what has been kept in reserve is left.
TEST(the_reserve_makes_room_on_a_full_disk) {
  Scratch scratch;
  RecordingFile file;
  CHECK(file.create(scratch.path("a"), true));
  uint64_t before = disk_bytes(scratch.path("a"));
  CHECK(before >= 76'000);
  with_size_limit(before + 1000, [&] {
    while (file.append({strings_chunk(400)})) {
    }
    CHECK(file.append_last({end_chunk()}));
  });
  CHECK(disk_bytes(scratch.path("a")) < before);
}

TEST(the_writer_thread_writes_in_order) {
  Scratch scratch;
  RecordingFile file;
  CHECK(file.create(scratch.path("a"), false));
  {
    FileWriter writer(file);
    for (size_t i = 1; i <= 20; i++) {
      while (!writer.idle()) usleep(100);
      writer.submit({strings_chunk(i)});
    }
    writer.stop();
    CHECK_EQUAL(0, writer.error());
  }
  CHECK(file.append_last({end_chunk()}));
  CHECK(file.finish());
  auto chunks = read_recording(scratch.path("a"));
  CHECK_EQUAL(21u, chunks.size());
  for (size_t i = 0; i < 20 && i < chunks.size(); i++) {
    CHECK_EQUAL(i + 1, chunks[i].text("s_bytes").size());
  }
}

} // namespace
} // namespace heaptide
