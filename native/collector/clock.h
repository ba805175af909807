// From the time stamp counter of block headers to nanoseconds since the recording's start.
#ifndef HEAPTIDE_COLLECTOR_CLOCK_H
#define HEAPTIDE_COLLECTOR_CLOCK_H

#include <cstdint>

namespace heaptide {

inline uint64_t read_tsc() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
#error "unknown architecture"
#endif
}

class Clock {
 public:
  // Starts now; measures the counter's rate for a quarter of a millisecond.
  Clock();
  // A clock for tests: one tick a nanosecond from 0.
  static Clock fake() { return Clock(0); }

  // Makes the rate more exact; cheap, worth a call every now and then.
  void refine();

  // Monotonic in `tsc`; 0 for what was before the start.
  uint64_t ns(uint64_t tsc) const;
  uint64_t now() const { return ns(read_tsc()); }
  // In ticks.
  uint64_t ticks(uint64_t ns) const;

  uint64_t start_tsc() const { return start_.tsc; }
  uint64_t start_monotonic_ns() const { return start_.ns; }
  uint64_t start_realtime_ns() const { return start_realtime_ns_; }

 private:
  struct Pair {
    uint64_t tsc, ns;
  };

  explicit Clock(uint64_t start) : start_{start, start} {}
  static Pair read();

  Pair start_;
  uint64_t start_realtime_ns_ = 0;
  // Time is a straight line from `base_`, so that a new rate does not move what has been said.
  uint64_t base_tsc_ = 0, base_ns_ = 0; // ns since the start
  double ns_per_tick_ = 1;
};

} // namespace heaptide

#endif
