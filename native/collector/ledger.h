// What all books of a recording share: its clock, and the sums over all processes.
#ifndef HEAPTIDE_COLLECTOR_LEDGER_H
#define HEAPTIDE_COLLECTOR_LEDGER_H

#include <cstdint>

#include "collector/bits.h"

namespace heaptide {

struct Ledger {
  uint64_t sample_interval = 0; // 0 or 1: every allocation
  uint64_t now_ns = 0;          // of the events being counted; never goes back
  uint32_t ticks = 0;           // the same, see kTickNs
  uint32_t slice = 0;
  // Sums over all processes, kept once there is a second one; a single process is its own sum.
  bool many = false;
  bool by_thread = false; // threads' live bytes, peaks and temporary blocks are kept
  uint32_t epoch = 0;     // of the sum's peak
  uint64_t live_bytes = 0, live_blocks = 0;
  uint64_t window_peak = 0; // since the timeline's last row
  uint64_t peak_bytes = 0, peak_time = 0;

  void raised() {
    if (live_bytes <= window_peak) return;
    window_peak = live_bytes;
    if (live_bytes <= peak_bytes) return;
    peak_bytes = live_bytes;
    peak_time = now_ns;
    epoch++;
  }
};

} // namespace heaptide

#endif
