// A model of the aggregator that keeps everything and computes each figure from scratch.
#ifndef HEAPTIDE_COLLECTOR_TESTS_MODEL_H
#define HEAPTIDE_COLLECTOR_TESTS_MODEL_H

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "collector/aggregator.h"

namespace heaptide::testing {

struct ModelBlock {
  uint64_t size;
  uint32_t context; // row
  uint64_t sequence;
  uint64_t born;
};

struct ModelContext {
  uint32_t process, thread;
  unsigned kind;
  uint64_t live_bytes = 0, live_blocks = 0, bytes_in = 0, blocks_in = 0, bytes_out = 0,
           blocks_out = 0, reallocations = 0, copied = 0;
  uint64_t counters[kCounters] = {};
};

using Composition = std::map<uint32_t, std::pair<uint64_t, uint64_t>>; // row -> bytes, blocks

struct ModelProcess {
  std::map<uint64_t, ModelBlock> blocks;
  uint64_t live = 0, peak = 0, peak_time = 0, arena = 0, arena_peak = 0, unmatched = 0;
  Composition at_peak;
  bool ended = false;
};

inline unsigned lifetime_bucket(uint64_t further) {
  const uint64_t bounds[] = {0, 1, 7, 63, 511, 4095, 32767};
  return static_cast<unsigned>(std::lower_bound(bounds, bounds + 7, further) - bounds);
}

inline unsigned time_bucket(uint64_t ns) {
  unsigned bucket = 0;
  for (uint64_t bound = 1'000'000; bucket < 7 && ns >= bound; bound *= 10) bucket++;
  return bucket;
}

inline unsigned size_bucket(uint64_t size) {
  const uint64_t bounds[] = {16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576};
  return static_cast<unsigned>(std::lower_bound(bounds, bounds + 11, size) - bounds);
}

class Model {
 public:
  std::vector<ModelProcess> processes;
  std::vector<ModelContext> contexts;
  std::vector<uint64_t> sequences; // by thread
  std::vector<uint64_t> frees;     // by thread
  uint64_t sum = 0, sum_peak = 0;
  Composition at_sum_peak;
  uint64_t now = 0;

  void enter(uint32_t context, uint64_t bytes) {
    ModelContext &c = contexts[context];
    c.live_bytes += bytes, c.live_blocks++, c.bytes_in += bytes, c.blocks_in++;
    c.counters[kBySize + size_bucket(bytes)]++;
    ModelProcess &p = processes[c.process];
    if (c.kind == HT_KIND_ARENA) {
      p.arena += bytes;
      p.arena_peak = std::max(p.arena_peak, p.arena);
    } else {
      p.live += bytes;
      sum += bytes;
    }
  }
  void leave(uint32_t context, uint64_t bytes, bool whole) {
    ModelContext &c = contexts[context];
    c.live_bytes -= bytes, c.live_blocks -= whole, c.bytes_out += bytes, c.blocks_out += whole;
    ModelProcess &p = processes[c.process];
    if (c.kind == HT_KIND_ARENA) {
      p.arena -= bytes;
    } else {
      p.live -= bytes;
      sum -= bytes;
    }
  }
  void end_of_life(const ModelBlock &block) {
    ModelContext &c = contexts[block.context];
    c.counters[kByAllocations + lifetime_bucket(sequences[c.thread] - block.sequence)]++;
    uint64_t ticks = now / kTickNs - block.born / kTickNs;
    c.counters[kByTime + time_bucket(ticks * kTickNs)]++;
  }
  void look_at_peaks(uint32_t process) {
    ModelProcess &p = processes[process];
    if (p.live > p.peak) {
      p.peak = p.live;
      p.peak_time = now;
      p.at_peak = composition([&](const ModelContext &c) { return c.process == process; });
    }
    if (sum > sum_peak) {
      sum_peak = sum;
      at_sum_peak = composition([&](const ModelContext &c) { return !processes[c.process].ended; });
    }
  }
  Composition composition(const std::function<bool(const ModelContext &)> &wanted) const {
    Composition all;
    for (uint32_t i = 0; i < contexts.size(); i++) {
      const ModelContext &c = contexts[i];
      if (c.kind == HT_KIND_ARENA || !wanted(c) || c.live_blocks + c.live_bytes == 0) continue;
      all[i] = {c.live_bytes, c.live_blocks};
    }
    return all;
  }
};

} // namespace heaptide::testing

#endif
