#include "collector/procfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace heaptide {
namespace {

std::string read_file(const std::string &path) {
  std::string text;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[4096];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(n));
  close(fd);
  return text;
}

// The number of kB on the line that begins with `key`, in bytes; 0 if there is none.
uint64_t kilobytes(const std::string &text, const char *key) {
  size_t at = text.compare(0, std::strlen(key), key) == 0 ? 0 : text.find(std::string("\n") + key);
  if (at == std::string::npos) return 0;
  at = text.find(':', at);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + 1, nullptr, 10) * 1024;
}

} // namespace

std::string Procfs::path(uint32_t pid, const char *name) const {
  return root_ + "/" + std::to_string(pid) + "/" + name;
}

std::string Procfs::read(uint32_t pid, const char *name) const {
  return read_file(path(pid, name));
}

Procfs::Stat Procfs::stat(uint32_t pid) const {
  Stat stat;
  std::string text = read(pid, "stat");
  // "pid (name) S ppid ...": the name may hold anything, so count from its last parenthesis.
  size_t at = text.rfind(')');
  if (at == std::string::npos || at + 2 >= text.size()) return stat;
  const char *field = text.c_str() + at + 2;
  bool dead = *field == 'Z' || *field == 'X'; // the first thread: others may go on without it
  uint64_t threads = 0;
  for (int number = 3; *field != 0; number++) {
    if (number == 4) stat.ppid = static_cast<uint32_t>(std::strtoul(field, nullptr, 10));
    if (number == 20) threads = std::strtoull(field, nullptr, 10);
    if (number == 22) {
      stat.found = true;
      stat.exists = !dead || threads > 1;
      stat.start_time = std::strtoull(field, nullptr, 10);
      break;
    }
    field = std::strchr(field, ' ');
    if (field == nullptr) break;
    field++;
  }
  return stat;
}

std::string Procfs::executable(uint32_t pid) const {
  char target[4096];
  ssize_t n = readlink(path(pid, "exe").c_str(), target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : std::string();
}

bool Procfs::maps_session(uint32_t pid) const {
  return read(pid, "maps").find("memfd:heaptide") != std::string::npos;
}

uint32_t Procfs::last_pid() const {
  std::string text = read_file(root_ + "/loadavg");
  size_t at = text.rfind(' ');
  return at == std::string::npos
             ? 0
             : static_cast<uint32_t>(std::strtoul(text.c_str() + at, nullptr, 10));
}

uint32_t Procfs::most_pids() const {
  std::string text = read_file(root_ + "/sys/kernel/pid_max");
  return static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
}

std::string Procfs::command(uint32_t pid) const {
  std::string text = read(pid, "cmdline");
  if (!text.empty() && text.back() == 0) text.pop_back();
  for (char &c : text) c = c == 0 ? '\x1f' : c;
  return text;
}

std::string Procfs::thread_name(uint32_t pid, uint32_t tid) const {
  std::string name = read(pid, ("task/" + std::to_string(tid) + "/comm").c_str());
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

uint64_t Procfs::peak_resident(uint32_t pid) const {
  return kilobytes(read(pid, "status"), "VmHWM:");
}

Procfs::Shares Procfs::shares(uint32_t pid) const {
  std::string text = read(pid, "smaps_rollup");
  return {kilobytes(text, "Pss:"),
          kilobytes(text, "Private_Clean:") + kilobytes(text, "Private_Dirty:")};
}

int Procfs::open_resident(uint32_t pid) const {
  return open(path(pid, "statm").c_str(), O_RDONLY | O_CLOEXEC);
}

uint64_t Procfs::read_resident(int fd, uint64_t *shared) {
  static const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  char text[128];
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  if (n <= 0) return 0;
  text[n] = 0;
  char *at = text;
  std::strtoull(at, &at, 10);
  uint64_t resident = std::strtoull(at, &at, 10) * page;
  if (shared != nullptr) *shared = std::strtoull(at, &at, 10) * page;
  return resident;
}

} // namespace heaptide
