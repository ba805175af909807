#include <unordered_map>
#include <vector>

#include "collector/live_blocks.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

using testing::Random;

constexpr uint64_t kBase = 0x7f0000000000;

// Addresses of few pages and of many, with and without neighbours, even and odd; sizes from none to more
// than 32 bits hold.
TEST(live_blocks_agree_with_a_map) {
  LiveBlocks live;
  struct Model {
    uint64_t size;
    uint32_t context;
  };
  std::unordered_map<uint64_t, Model> model;
  std::vector<uint64_t> addresses;
  Random random(1);
  auto any_address = [&] {
    uint64_t step = random.below(10) == 0 ? 1 + random.below(16) : 16;
    return kBase + (random.below(50) << 30) + step * random.below(4'000);
  };
  uint64_t blocks = 0;
  for (uint32_t i = 0; i < 600'000; i++) {
    bool grow = i % 200'000 < 120'000 ? random.below(10) < 7 : random.below(10) < 2;
    if (grow || addresses.empty()) {
      uint64_t address = any_address();
      uint64_t size =
          random.below(4) == 0 ? random() & kLargestSize >> random.below(48) : random.below(300);
      CHECK_EQUAL(model.contains(address), live.find(address) != nullptr);
      Life *life = live.place(address, size);
      CHECK_EQUAL(!model.contains(address), life != nullptr);
      if (life == nullptr) continue;
      life->context = i;
      model[address] = {size, i};
      addresses.push_back(address);
      blocks++;
    } else {
      size_t which = random.below(addresses.size());
      uint64_t address = addresses[which];
      Block block{};
      if (random.below(2) == 0) {
        LiveBlocks::Spot spot = live.spot(address);
        if (spot.page == nullptr) continue;
        CHECK_EQUAL(model[address].context, spot.life().context);
        CHECK_EQUAL(model[address].size, spot.life().size_low);
        LiveBlocks::take(spot, address);
      } else {
        CHECK(live.take(address, &block));
        CHECK_EQUAL(address, block.address());
        CHECK_EQUAL(model[address].size, block.size());
        CHECK_EQUAL(model[address].context, block.context);
        if (random.below(4) == 0) {
          CHECK(live.put(block));
          CHECK(!live.put(block));
          CHECK(live.take(address, &block));
          CHECK_EQUAL(model[address].size, block.size());
        }
      }
      CHECK(!live.take(address, &block));
      CHECK(live.find(address) == nullptr);
      model.erase(address);
      addresses[which] = addresses.back();
      addresses.pop_back();
      blocks--;
    }
    if (i % 10'000 == 0) live.trim(blocks);
  }
  for (const auto &[address, expected] : model) {
    Block block{};
    CHECK(live.take(address, &block));
    CHECK_EQUAL(expected.size, block.size());
    CHECK_EQUAL(expected.context, block.context);
  }
}

TEST(live_blocks_keep_to_their_memory) {
  constexpr uint64_t kBlocks = 300'000, kAside = 512 << 10;
  for (uint64_t size : {16, 48, 200, 1000, 5000}) {
    LiveBlocks live;
    uint64_t step = (size + 15) / 16 * 16;
    for (uint64_t i = 0; i < kBlocks; i++) CHECK(live.place(kBase + i * step, size) != nullptr);
    live.trim(kBlocks);
    CHECK(live.bytes() <= 42 * kBlocks + kAside);
    // One in fifty stays: no page pays any more.
    uint64_t left = 0;
    for (uint64_t i = 0; i < kBlocks; i++) {
      Block block{};
      if (i % 50 == 0) {
        left++;
      } else {
        CHECK(live.take(kBase + i * step, &block));
      }
    }
    live.trim(left);
    CHECK(live.bytes() <= 100 * left + kAside + (1 << 20));
    for (uint64_t i = 0; i < kBlocks; i += 50) {
      Block block{};
      CHECK(live.take(kBase + i * step, &block));
      CHECK_EQUAL(size, block.size());
    }
    live.clear();
    CHECK(live.bytes() <= 16 << 10);
  }
}

} // namespace
} // namespace heaptide
