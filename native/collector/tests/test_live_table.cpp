#include <unordered_map>
#include <vector>

#include "collector/buckets.h"
#include "collector/live_table.h"
#include "collector/sampling.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

using testing::Random;

TEST(live_table_agrees_with_a_map) {
  LiveTable table;
  std::unordered_map<uint64_t, uint64_t> model;
  std::vector<uint64_t> addresses;
  Random random(1);
  for (int i = 0; i < 400'000; i++) {
    // Growing for a while, then shrinking: both resize, and displaced blocks are taken out.
    bool grow = i % 200'000 < 120'000 ? random.below(10) < 7 : random.below(10) < 3;
    if (grow || addresses.empty()) {
      uint64_t address = 16 * (1 + random.below(200'000)) + (random.below(8) << 40);
      uint64_t size = random() & kLargestSize >> random.below(48);
      Block *block = table.place(table.spot(address), address);
      CHECK_EQUAL(!model.contains(address), block != nullptr);
      if (block == nullptr) continue;
      block->set(address, size);
      block->context = static_cast<uint32_t>(i);
      model[address] = size;
      addresses.push_back(address);
    } else {
      size_t which = random.below(addresses.size());
      uint64_t address = addresses[which];
      addresses[which] = addresses.back();
      addresses.pop_back();
      Block block{};
      CHECK(table.take(table.spot(address), address, &block));
      CHECK_EQUAL(address, block.address());
      CHECK_EQUAL(model[address], block.size());
      model.erase(address);
      CHECK(table.find(table.spot(address), address) == nullptr);
    }
  }
  CHECK_EQUAL(model.size(), table.size());
  size_t visited = 0;
  table.each([&](const Block &block) {
    visited++;
    CHECK(model.contains(block.address()));
  });
  CHECK_EQUAL(model.size(), visited);
}

TEST(live_table_keeps_to_its_memory) {
  LiveTable table;
  uint64_t next = 0x7f0000000000;
  constexpr size_t kPages = size_t{64} * 4096; // a page for each partition
  size_t blocks = 0, above = 0;
  while (blocks < 1'000'000) {
    next += 48;
    table.place(table.spot(next), next)->set(next, 32);
    blocks++;
    // At every size, not only where the partitions have just filled up.
    if (table.bytes() > 40 * blocks + (blocks < 40'000 ? kPages : 0)) above++;
  }
  CHECK_EQUAL(blocks, table.size());
  CHECK_EQUAL(0u, above);
  for (uint64_t address = 0x7f0000000000 + 48; address <= next; address += 48) {
    Block block{};
    if ((address - 0x7f0000000000) / 48 % 10 != 0) table.take(table.spot(address), address, &block);
  }
  CHECK(table.bytes() <= 130 * table.size());
}

TEST(buckets_are_those_of_the_format) {
  const uint64_t lifetimes[] = {0, 1, 7, 63, 511, 4095, 32767};
  const uint64_t sizes[] = {16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576};
  for (unsigned i = 0; i < 7; i++) {
    CHECK_EQUAL(i, bucket_by_allocations(static_cast<uint32_t>(lifetimes[i])));
    CHECK_EQUAL(i + 1, bucket_by_allocations(static_cast<uint32_t>(lifetimes[i]) + 1));
  }
  CHECK_EQUAL(7u, bucket_by_allocations(UINT32_MAX));
  uint64_t bound = 1'000'000 / kTickNs;
  for (unsigned i = 0; i < 7; i++, bound *= 10) {
    CHECK_EQUAL(i, bucket_by_time(static_cast<uint32_t>(bound - 1)));
    CHECK_EQUAL(i + 1, bucket_by_time(static_cast<uint32_t>(bound)));
  }
  CHECK_EQUAL(7u, bucket_by_time(UINT32_MAX));
  CHECK_EQUAL(0u, bucket_by_size(0));
  for (unsigned i = 0; i < 11; i++) {
    CHECK_EQUAL(i, bucket_by_size(sizes[i]));
    CHECK_EQUAL(i + 1, bucket_by_size(sizes[i] + 1));
  }
  CHECK_EQUAL(11u, bucket_by_size(UINT64_MAX));
}

// The expectation of a sampled block's weight, over samples drawn as agents draw them, is the block.
TEST(sampling_is_unbiased) {
  constexpr uint64_t kInterval = 4096;
  for (uint64_t size : {16, 1000, 4096, 50'000}) {
    double probability = -std::expm1(-static_cast<double>(size) / kInterval);
    double blocks = 0, bytes = 0;
    constexpr int kDraws = 200'000;
    for (int i = 0; i < kDraws; i++) {
      Weight weight = weigh(size, kInterval, 0x1000 + 16 * static_cast<uint64_t>(i), 7);
      Weight again = weigh(size, kInterval, 0x1000 + 16 * static_cast<uint64_t>(i), 7);
      CHECK(weight.blocks == again.blocks && weight.bytes == again.bytes);
      blocks += static_cast<double>(weight.blocks) * probability;
      bytes += static_cast<double>(weight.bytes) * probability;
    }
    CHECK(std::fabs(blocks / kDraws - 1) < 0.01);
    CHECK(std::fabs(bytes / kDraws / static_cast<double>(size) - 1) < 0.01);
  }
}

} // namespace
} // namespace heaptide
