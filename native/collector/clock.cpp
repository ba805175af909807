#include "collector/clock.h"

#include <time.h>

namespace heaptide {
namespace {

constexpr uint64_t kFirstBaselineNs = 250'000;
constexpr uint64_t kShortestBaselineNs = 5'000'000;

uint64_t read_clock(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace

// The counter and the system's clock at one moment: of a few tries, the one that took least.
Clock::Pair Clock::read() {
  Pair best{};
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 5; i++) {
    uint64_t before = read_tsc();
    uint64_t ns = read_clock(CLOCK_MONOTONIC);
    uint64_t took = read_tsc() - before;
    if (took >= least) continue;
    least = took;
    best = {before + took / 2, ns};
  }
  return best;
}

Clock::Clock() : start_(read()), start_realtime_ns_(read_clock(CLOCK_REALTIME)) {
  base_tsc_ = start_.tsc;
  Pair now;
  do {
    now = read();
  } while (now.ns - start_.ns < kFirstBaselineNs);
  ns_per_tick_ =
      static_cast<double>(now.ns - start_.ns) / static_cast<double>(now.tsc - start_.tsc);
}

void Clock::refine() {
  Pair now = read();
  uint64_t elapsed = now.ns - start_.ns;
  if (elapsed < kShortestBaselineNs || now.tsc <= base_tsc_) return;
  // From where this line is now, at a rate that is right on the whole and meets the system's clock
  // a second from now.
  uint64_t said = ns(now.tsc);
  double rate = static_cast<double>(elapsed) / static_cast<double>(now.tsc - start_.tsc);
  double off = static_cast<double>(elapsed) - static_cast<double>(said);
  base_tsc_ = now.tsc;
  base_ns_ = said;
  double correction = off / 1e9;
  if (correction > 0.5) correction = 0.5;
  if (correction < -0.5) correction = -0.5;
  ns_per_tick_ = rate * (1 + correction);
}

uint64_t Clock::ns(uint64_t tsc) const {
  double since = static_cast<double>(static_cast<int64_t>(tsc - base_tsc_)) * ns_per_tick_;
  double ns = static_cast<double>(base_ns_) + since;
  return ns > 0 ? static_cast<uint64_t>(ns) : 0;
}

uint64_t Clock::ticks(uint64_t ns) const {
  return static_cast<uint64_t>(static_cast<double>(ns) / ns_per_tick_);
}

} // namespace heaptide
