// The recorded threads: rows in the file, their names and their ends.
#ifndef HEAPTIDE_COLLECTOR_THREADS_H
#define HEAPTIDE_COLLECTOR_THREADS_H

#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/aggregator.h"
#include "collector/definitions.h"
#include "collector/processes.h"
#include "collector/procfs.h"

namespace heaptide {

// One row. Its figures are in the aggregator's Thread of the same row.
struct RecordedThread {
  Thread *figures = nullptr;
  Process *process = nullptr;
  uint32_t tid = 0;
  uint32_t name = 0;           // string
  uint64_t start = 0, end = 0; // nanoseconds; end 0: alive
  uint64_t next_look = 0;      // for its name
  uint64_t look_interval = 0;
  bool named = false; // by the program, through the agent
};

class Threads {
 public:
  Threads(Aggregator &aggregator, Definitions &definitions, const Procfs &procfs)
      : aggregator_(aggregator), definitions_(definitions), procfs_(procfs) {}

  // A thread that begins. In a process that has had very many, it takes over the row of one that has
  // ended: what is counted for each thread must not grow without bounds.
  RecordedThread &begin(Process &process, uint32_t tid, uint64_t now);
  void end(RecordedThread &thread, uint64_t now);

  void set_name(Process &process, uint32_t tid, std::string_view name);

  // Reads the names of threads that are due, for at most a millisecond or so.
  void look_for_names(uint64_t now);

  // Whether the thread exists.
  static bool runs(uint32_t pid, uint32_t tid);

  const std::deque<RecordedThread> &all() const { return rows_; }
  uint64_t living() const { return living_.size(); }
  uint64_t version() const { return version_; }

 private:
  static constexpr uint32_t kMostRows = 1024; // of one process, before rows are used again

  void look(RecordedThread &thread, uint64_t now);

  struct OfProcess {
    uint32_t rows = 0;
    std::vector<uint32_t> ended;
  };

  Aggregator &aggregator_;
  Definitions &definitions_;
  const Procfs &procfs_;
  std::deque<RecordedThread> rows_;
  std::vector<RecordedThread *> living_;
  std::unordered_map<uint32_t, OfProcess> of_process_; // by row of the process
  size_t next_ = 0;                                    // of living_, to look at
  uint64_t version_ = 0;
};

} // namespace heaptide

#endif
