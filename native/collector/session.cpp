#include "collector/session.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heaptide {

Session::~Session() {
  if (base_ != nullptr) munmap(base_, HT_SESSION_BYTES);
}

bool Session::map(int fd, std::string *error) {
  struct stat status;
  if (fstat(fd, &status) != 0 || static_cast<uint64_t>(status.st_size) < HT_SESSION_BYTES) {
    *error = "descriptor " + std::to_string(fd) +
             " is no session of heaptide; start the recording with 'heaptide run'";
    return false;
  }
  void *base =
      mmap(nullptr, HT_SESSION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) {
    *error = std::string("the session's memory cannot be mapped: ") + std::strerror(errno) +
             "; is there a limit on address space (ulimit -v)?";
    return false;
  }
  fd_ = fd;
  base_ = static_cast<char *>(base);
  if (header().magic != HT_WIRE_MAGIC || header().version != HT_WIRE_VERSION) {
    *error = "the session is of another version of heaptide; reinstall it as a whole";
    return false;
  }
  return true;
}

uint32_t Session::processes_used() const {
  return std::min(shared_load(header().processes_used), HT_MAX_PROCESSES);
}

uint32_t Session::rings_used() const {
  return std::min(shared_load(header().rings_used), HT_MAX_RINGS);
}

void Session::discard_ring(uint32_t index) {
  fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(HT_RINGS_OFFSET + uint64_t{index} * HT_RING_BYTES), HT_RING_BYTES);
}

void Session::set_error(ht_session_error error, int number, const std::string &text) {
  ht_session_header &h = header();
  size_t length = std::min(text.size(), sizeof h.error_text - 1);
  std::memcpy(h.error_text, text.data(), length);
  h.error_text[length] = 0;
  h.error_errno = number;
  shared_store(h.error, static_cast<uint32_t>(error));
}

void Session::sleep(uint64_t ns) {
  timespec timeout = {static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  syscall(SYS_futex, &header().sleeping, FUTEX_WAIT, 1, &timeout, nullptr, 0);
}

} // namespace heaptide
