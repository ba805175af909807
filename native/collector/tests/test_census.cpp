// Counts of what lives by its birth: which births they tell apart, when they are due, how they get coarser.
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "collector/census.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

constexpr uint64_t kMs = 1'000'000;

// The columns of a payload, as docs/format.md lays them out.
std::map<std::string, std::vector<uint64_t>> columns_of(const Chunk &chunk) {
  const uint8_t *data = chunk.payload.data();
  uint32_t count;
  std::memcpy(&count, data, 4);
  std::map<std::string, std::vector<uint64_t>> found;
  const uint8_t *at = data + 8 + count * 32;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *descriptor = data + 8 + i * 32;
    std::string name(reinterpret_cast<const char *>(descriptor));
    uint64_t bytes;
    std::memcpy(&bytes, descriptor + 24, 8);
    size_t width = descriptor[22] == 'B'   ? 1
                   : descriptor[22] == 'H' ? 2
                   : descriptor[22] == 'I' ? 4
                                           : 8;
    for (uint64_t offset = 0; offset < bytes; offset += width) {
      uint64_t value = 0;
      std::memcpy(&value, at + offset, width);
      found[name].push_back(value);
    }
    at += (bytes + 7) & ~uint64_t{7};
  }
  return found;
}

struct Counted {
  Aggregator aggregator{0, [](const SliceRows &) {}};
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t first = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  uint32_t second = aggregator.context(book, thread, 2, HT_KIND_MALLOC);
  Census census;
  uint64_t cost = 0;

  Chunk take(uint64_t now) {
    return census.take(aggregator, now, [this] { return cost; });
  }
};

TEST(census_tells_births_apart_by_earlier_counts) {
  Counted t;
  t.book.allocate(t.thread, 0x1000, 100, t.first, Misfit::kCount);
  t.aggregator.advance(10 * kMs);
  CHECK(columns_of(t.take(10 * kMs))["bytes"] == std::vector<uint64_t>({100}));
  t.book.allocate(t.thread, 0x2000, 20, t.first, Misfit::kCount);
  t.book.allocate(t.thread, 0x3000, 7, t.second, Misfit::kCount);
  t.book.allocate(t.thread, 0x3010, 8, t.second, Misfit::kCount);
  t.aggregator.advance(20 * kMs);
  auto columns = columns_of(t.take(20 * kMs));
  CHECK(columns["time"] == std::vector<uint64_t>({20 * kMs}));
  CHECK(columns["bound"] == std::vector<uint64_t>({10 * kMs}));
  CHECK(columns["context"] == std::vector<uint64_t>({0, 0, 1}));
  CHECK(columns["cell"] == std::vector<uint64_t>({0, 1, 1}));
  CHECK(columns["blocks"] == std::vector<uint64_t>({1, 1, 2}));
  CHECK(columns["bytes"] == std::vector<uint64_t>({100, 20, 15}));
}

TEST(census_counts_blocks_in_the_middle_of_their_realloc_and_mappings_in_pieces) {
  Counted t;
  InFlight flight;
  t.book.allocate(t.thread, 0x1000, 100, t.first, Misfit::kCount);
  CHECK(t.book.begin_realloc(t.thread, 0x1000, flight, Misfit::kCount));
  uint32_t mapped = t.aggregator.context(t.book, t.thread, 3, HT_KIND_MMAP);
  uint32_t arena = t.aggregator.context(t.book, t.thread, 3, HT_KIND_ARENA);
  t.book.map(t.thread, 0x10000, 0x4000, mapped, Misfit::kCount);
  t.book.map(t.thread, 0x90000, 0x4000, arena, Misfit::kCount);
  t.book.unmap(t.thread, 0x11000, 0x1000, Misfit::kCount);
  auto columns = columns_of(t.take(10 * kMs));
  CHECK(columns["context"] == std::vector<uint64_t>({0, 2}));
  CHECK(columns["blocks"] == std::vector<uint64_t>({1, 1}));
  CHECK(columns["bytes"] == std::vector<uint64_t>({100, 0x3000}));
  t.book.end_realloc(t.thread, flight, 0, 0, t.first, false, Misfit::kCount); // it has failed
  CHECK(columns_of(t.take(20 * kMs))["bytes"] == std::vector<uint64_t>({100, 0x3000}));
}

TEST(census_is_due_a_fiftieth_of_the_time) {
  Counted t;
  CHECK(!t.census.due(10 * kMs - 1) && t.census.due(10 * kMs));
  bool begun = false;
  t.census.take(t.aggregator, 10 * kMs, [&begun] {
    uint64_t now = begun ? 2 * kMs : 0;
    begun = true;
    return now;
  });
  CHECK(!t.census.due(110 * kMs - 1) && t.census.due(110 * kMs));
  t.take(110 * kMs);
  CHECK(!t.census.due(120 * kMs - 1) && t.census.due(120 * kMs));
}

TEST(census_forgets_every_second_bound) {
  Counted t;
  std::vector<uint64_t> before;
  for (uint64_t now = 10; now <= 1290; now += 10) {
    t.book.allocate(t.thread, now * 0x1000, now, t.first, Misfit::kCount);
    t.aggregator.advance(now * kMs);
    before = t.census.bounds();
    auto columns = columns_of(t.take(now * kMs));
    uint64_t sum = 0;
    for (uint64_t bytes : columns["bytes"]) sum += bytes;
    CHECK_EQUAL(now * (now + 10) / 20, sum);
    if (now < 1290) CHECK_EQUAL(now / 10, columns["bytes"].size());
  }
  CHECK_EQUAL(uint64_t{128}, before.size());
  CHECK_EQUAL(uint64_t{65}, t.census.bounds().size());
  for (size_t i = 0; i < 64; i++) CHECK_EQUAL((i + 1) * 20 * kMs, t.census.bounds()[i]);
  CHECK(!t.census.due(1309 * kMs) && t.census.due(1310 * kMs)); // half as often
}

TEST(census_of_what_an_ended_process_leaves) {
  Counted t;
  Book &child = t.aggregator.add_process();
  Thread &thread = t.aggregator.add_thread(child);
  uint32_t context = t.aggregator.context(child, thread, 1, HT_KIND_MALLOC);
  child.allocate(thread, 0x1000, 5, context, Misfit::kCount);
  CHECK_EQUAL(uint64_t{0}, t.census.leave(child, 5 * kMs).rows); // born in one go
  t.take(10 * kMs);
  t.aggregator.advance(12 * kMs);
  child.allocate(thread, 0x2000, 6, context, Misfit::kCount);
  Chunk left = t.census.leave(child, 15 * kMs);
  CHECK_EQUAL(int{kFinal}, int{left.flags});
  CHECK(columns_of(left)["bytes"] == std::vector<uint64_t>({5, 6}));
  t.aggregator.end_process(child);
  CHECK_EQUAL(uint64_t{0}, t.take(20 * kMs).rows);
}

} // namespace
} // namespace heaptide
