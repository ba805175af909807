// The recorded threads: rows in the file, their names and their ends.
//
// What is counted for each context is told apart by thread, and must not grow without bounds: a process
// has at most so many places for threads. When all have been given out, a thread takes over the place of
// one that has ended. It has a row and figures of its own; its memory is found at the row of the first
// thread in its place.
#ifndef HEAPTIDE_COLLECTOR_THREADS_H
#define HEAPTIDE_COLLECTOR_THREADS_H

#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/aggregator.h"
#include "collector/definitions.h"
#include "collector/processes.h"
#include "collector/procfs.h"

namespace heaptide {

// One row.
struct RecordedThread {
  uint32_t row = 0;
  Thread *place = nullptr; // the aggregator's, with the sums over all who have had it
  bool is_first = true;    // in its place
  bool has_left = false;   // another has its place
  bool written = false;    // for good
  Book::Totals base, own;  // of the place when it was taken; what it had counted when it left
  Process *process = nullptr;
  uint32_t tid = 0;
  uint32_t name = 0;           // string
  uint64_t start = 0, end = 0; // nanoseconds; end 0: alive
  uint64_t next_look = 0;      // for its name
  uint64_t look_interval = 0;
  bool named = false; // by the program, through the agent

  Book::Totals totals() const;
  // Whether nothing about it changes any more. What lives at a row changes until the process ends.
  bool is_settled() const { return end != 0 && (process->ended() || (has_left && !is_first)); }
};

class Threads {
 public:
  Threads(Aggregator &aggregator, Definitions &definitions, const Procfs &procfs)
      : aggregator_(aggregator), definitions_(definitions), procfs_(procfs) {}

  // A thread that begins.
  RecordedThread &begin(Process &process, uint32_t tid, uint64_t now);
  void end(RecordedThread &thread, uint64_t now);

  void set_name(Process &process, uint32_t tid, std::string_view name);

  // Reads the names of threads that are due, for at most a millisecond or so.
  void look_for_names(uint64_t now);

  // Whether the thread exists.
  static bool runs(uint32_t pid, uint32_t tid);

  // By row: those that have not been forgotten.
  std::map<uint32_t, RecordedThread> &all() { return rows_; }
  const std::map<uint32_t, RecordedThread> &all() const { return rows_; }
  // Forgets the rows that have been written for good.
  void forget_written();
  // The row at which the memory is found that has been allocated in a place (Thread::row).
  uint32_t row_of_place(uint64_t place) const { return rows_of_places_[place]; }
  uint64_t living() const { return living_.size(); }
  uint64_t version() const { return version_; }

 private:
  static constexpr uint32_t kMostPlaces = 1024; // of one process

  void look(RecordedThread &thread, uint64_t now);

  struct OfProcess {
    uint32_t places = 0;
    std::vector<uint32_t> ended; // rows of their last holders
  };

  Aggregator &aggregator_;
  Definitions &definitions_;
  const Procfs &procfs_;
  std::map<uint32_t, RecordedThread> rows_;
  uint32_t next_row_ = 0;
  std::vector<uint32_t> rows_of_places_;
  std::vector<RecordedThread *> living_;
  std::unordered_map<uint32_t, OfProcess> of_process_; // by row of the process
  size_t next_ = 0;                                    // of living_, to look at
  uint64_t version_ = 0;
};

} // namespace heaptide

#endif
