#include "collector/threads.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace heaptide {
namespace {

// Threads are named right after their start, mostly; some are renamed later.
constexpr uint64_t kFirstLookNs = 3'000'000;
constexpr uint64_t kLongestIntervalNs = 4'000'000'000;
constexpr size_t kLooksAtOnce = 64;

} // namespace

bool Threads::runs(uint32_t pid, uint32_t tid) {
  return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

RecordedThread &Threads::begin(Process &process, uint32_t tid, uint64_t now) {
  version_++;
  OfProcess &rows = of_process_[process.row];
  RecordedThread *thread;
  if (rows.rows >= kMostRows && !rows.ended.empty()) {
    thread = &rows_[rows.ended.back()];
    rows.ended.pop_back();
  } else {
    thread = &rows_.emplace_back();
    thread->figures = &aggregator_.add_thread(*process.book);
    thread->process = &process;
    thread->start = now;
    rows.rows++;
  }
  thread->tid = tid;
  thread->end = 0;
  thread->named = false;
  thread->next_look = now + kFirstLookNs;
  thread->look_interval = kFirstLookNs;
  living_.push_back(thread);
  return *thread;
}

void Threads::end(RecordedThread &thread, uint64_t now) {
  if (thread.end != 0) return;
  thread.end = std::max<uint64_t>(now, thread.start + 1);
  version_++;
  std::erase(living_, &thread);
  of_process_[thread.process->row].ended.push_back(thread.figures->row);
}

void Threads::set_name(Process &process, uint32_t tid, std::string_view name) {
  for (RecordedThread *thread : living_) {
    if (thread->process != &process || thread->tid != tid) continue;
    thread->name = definitions_.string(name);
    thread->named = true;
    version_++;
  }
}

void Threads::look(RecordedThread &thread, uint64_t now) {
  thread.look_interval = std::min(thread.look_interval * 4, kLongestIntervalNs);
  thread.next_look = now + thread.look_interval;
  if (thread.named) return;
  std::string name = procfs_.thread_name(thread.process->pid, thread.tid);
  if (name.empty()) return;
  uint32_t id = definitions_.string(name);
  if (id != thread.name) version_++;
  thread.name = id;
}

void Threads::look_for_names(uint64_t now) {
  size_t looks = 0;
  for (size_t i = 0; i < living_.size() && looks < kLooksAtOnce; i++) {
    if (next_ >= living_.size()) next_ = 0;
    RecordedThread &thread = *living_[next_++];
    if (now < thread.next_look) continue;
    look(thread, now);
    looks++;
  }
}

} // namespace heaptide
