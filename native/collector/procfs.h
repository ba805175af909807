// What the kernel says about processes, under /proc or a copy of it.
#ifndef HEAPTIDE_COLLECTOR_PROCFS_H
#define HEAPTIDE_COLLECTOR_PROCFS_H

#include <cstdint>
#include <string>

namespace heaptide {

class Procfs {
 public:
  explicit Procfs(std::string root = "/proc") : root_(std::move(root)) {}

  struct Stat {
    bool found = false; // there is a process of that pid, if only a dead one that nobody has reaped
    bool exists = false; // and some thread of it lives
    uint32_t ppid = 0;
    uint64_t start_time = 0; // since boot, in clock ticks
  };
  Stat stat(uint32_t pid) const;
  std::string executable(uint32_t pid) const;
  // Whether it has a session of ours mapped. Reads all its mappings.
  bool maps_session(uint32_t pid) const;
  uint32_t last_pid() const;               // the latest process to have been made, 0: not known
  uint32_t most_pids() const;              // pids are below this and then begin again, 0: not known
  std::string command(uint32_t pid) const; // arguments joined by U+001F
  std::string thread_name(uint32_t pid, uint32_t tid) const; // empty: no such thread
  uint64_t peak_resident(uint32_t pid) const;                // bytes, 0: not known

  struct Shares {
    uint64_t pss = 0, uss = 0; // bytes, 0: not known
  };
  // Walks the page tables of the process, holding its lock on mappings: some microseconds for each
  // megabyte.
  Shares shares(uint32_t pid) const;

  // For reading resident sizes often: an open file for each process, -1 if it is gone.
  int open_resident(uint32_t pid) const;
  static uint64_t read_resident(int fd, uint64_t *shared = nullptr); // bytes, 0: gone

 private:
  std::string read(uint32_t pid, const char *name) const;
  std::string path(uint32_t pid, const char *name) const;

  std::string root_;
};

} // namespace heaptide

#endif
