// The recorded process images: from slots in the session to rows in the file, from birth to death.
#ifndef HEAPTIDE_COLLECTOR_PROCESSES_H
#define HEAPTIDE_COLLECTOR_PROCESSES_H

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/aggregator.h"
#include "collector/clock.h"
#include "collector/definitions.h"
#include "collector/image.h"
#include "collector/procfs.h"
#include "collector/session.h"

namespace heaptide {

// One process image. Its row in the file is its book's.
struct Process {
  uint32_t row = 0, slot = 0, generation = 0;
  uint32_t pid = 0, ppid = 0;
  uint32_t parent = 0;             // row + 1
  bool has_guessed_parent = false; // by its pid
  uint32_t image_number = 0;
  uint64_t start = 0, end = 0;          // nanoseconds; end 0: alive
  uint32_t executable = 0, command = 0; // strings
  Book *book = nullptr;
  std::shared_ptr<Image> image;
  uint64_t last_event = 0; // nanoseconds

  // The slot's counters, kept when the slot is reused.
  uint64_t wait_ns = 0, lost_events = 0, fp_fallbacks = 0, truncated = 0;
  uint32_t python_version = 0, python_status = 0, allocator = 0, off_reason = 0;
  uint64_t peak_rss = 0, rss = 0, pss = 0, uss = 0;

  // How it is watched.
  int pidfd = -1;
  uint64_t start_time = 0; // of the kernel
  // Counts its pids in a namespace of its own: nothing about it can be asked, so it is taken to live
  // as long as the recording.
  bool foreign = false;
  std::string executable_path;
  bool dying = false;   // is gone; its rings still have to be read
  bool closing = false; // was gone before this round looked at any ring: the round reads the rest
  bool has_execed = false;  // gone by an exec, or was in one when it ended
  uint64_t dying_since = 0; // what its end will be
  // The process of the system, whatever its image, was gone by then: never too early.
  uint64_t died_at = UINT64_MAX;
  uint64_t last_tsc = UINT64_MAX; // none of its events has happened after this
  Process *predecessor = nullptr; // its former image, until that has been read to its end

  uint32_t open_rings = 0;
  uint32_t active_rings = 0; // with events still to be counted in this round
  uint32_t unsure_rings = 0; // with events that are left to the next one

  bool written = false; // its row, for good

  bool ended() const { return end != 0; }
};

class Processes {
 public:
  Processes(Session &session, const Clock &clock, const Procfs &procfs, Aggregator &aggregator,
            Definitions &definitions);
  ~Processes();

  // Takes up processes that have registered since.
  void discover();

  // Marks processes that are gone as dying. `now` in nanoseconds, of the round: some time ago.
  void check_deaths(uint64_t now);

  // The dying process has been heard to its end.
  void end(Process &process);

  // Reads what agents count in their slots.
  void read_counters();

  // The process of a ring; nullptr: it has not been taken up (yet).
  Process *find(uint32_t slot, uint32_t generation);
  // The living process that waits for the end of this one; nullptr: none.
  Process *successor(const Process &process) const;
  void describe(Process &process, uint32_t ppid, std::string_view executable,
                std::string_view command);

  std::deque<Process> &all() { return processes_; }
  const std::vector<Process *> &living() const { return living_; }
  uint64_t version() const { return version_; } // changes when a row's identity does

 private:
  std::vector<uint32_t> fresh_slots(uint32_t used) const;
  void add(uint32_t slot, const ht_process &shared);
  Procfs::Stat open_pid(Process &process) const;
  bool is_next_image(const Process &process, const Process &former, const Procfs::Stat &stat) const;
  void succeed(Process &process, Process &former, uint64_t start_tsc);
  void watch(Process &process, const Procfs::Stat &stat);
  // When the process started, on the clock of processes' starts.
  uint64_t started_at(const Procfs::Stat &stat) const;
  uint64_t registered_at(const Process &process) const;
  bool is_foreign(const Process &process, const Procfs::Stat &stat) const;
  void mark_dying(Process &process, uint64_t when);
  void adopt_parent(Process &process);
  void forget_definitions();
  void recycle_slots();

  Session &session_;
  const Clock &clock_;
  const Procfs &procfs_;
  Aggregator &aggregator_;
  Definitions &definitions_;
  std::deque<Process> processes_; // by row
  std::vector<Process *> living_;
  std::unordered_map<uint64_t, Process *> by_slot_; // generation << 32 | slot
  std::unordered_map<uint32_t, Process *> latest_of_pid_;
  std::vector<uint32_t> seen_;  // by slot: the last generation taken up
  uint32_t first_unseen_ = 0;   // all slots below have been taken up at least once
  std::deque<Process *> ended_; // whose definitions a late child may still refer to
  std::deque<uint32_t> ended_slots_;
  int epoll_ = -1;
  uint64_t next_slow_check_ = 0;
  uint64_t boot_ahead_ns_; // of CLOCK_BOOTTIME before CLOCK_MONOTONIC
  uint64_t version_ = 0;
};

} // namespace heaptide

#endif
