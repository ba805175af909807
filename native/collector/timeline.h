// The course of things: a row for each process, and one for their sum, every so often.
#ifndef HEAPTIDE_COLLECTOR_TIMELINE_H
#define HEAPTIDE_COLLECTOR_TIMELINE_H

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "collector/aggregator.h"
#include "collector/processes.h"
#include "collector/procfs.h"

namespace heaptide {

class Timeline {
 public:
  struct Rows {
    std::vector<uint64_t> time, process, live_bytes, live_blocks, peak_bytes, rss, pss, uss,
        allocations, bytes;
  };

  Timeline(Aggregator &aggregator, Processes &processes, const Procfs &procfs)
      : aggregator_(aggregator), processes_(processes), procfs_(procfs) {}
  ~Timeline();
  Timeline(const Timeline &) = delete;
  Timeline &operator=(const Timeline &) = delete;

  // Adds the rows of one moment. `spare_ns`: what reading sizes may cost until the next. With more
  // processes than that allows, each gets its turn; with one, every row is fresh.
  void tick(uint64_t now, uint64_t spare_ns);

  Rows take();
  bool empty() const { return rows_.time.empty(); }
  size_t pending() const { return rows_.time.size(); } // rows to take
  uint64_t rss() const { return rss_; }                // sum over living processes

 private:
  struct Watch {
    int resident = -1;
    uint64_t next_shares = 0, next_peak = 0;
    Book::Totals said;
  };

  void read_sizes(Process &process, uint64_t now);
  void add(uint64_t now, uint64_t row, uint64_t live_bytes, uint64_t live_blocks, uint64_t peak,
           uint64_t rss, uint64_t pss, uint64_t uss, const Book::Totals &totals,
           Book::Totals *said);
  void bury_ended();

  Aggregator &aggregator_;
  Processes &processes_;
  const Procfs &procfs_;
  std::unordered_map<uint32_t, Watch> watches_; // by row
  Book::Totals said_;                           // of the sum
  size_t known_ = 0;                            // processes with a watch, or buried
  size_t next_ = 0;                             // whose turn it is
  uint64_t rss_ = 0;
  uint64_t last_time_ = 0;
  Rows rows_;
};

} // namespace heaptide

#endif
