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

namespace {

Book::Totals totals_of(const Thread &thread) {
  return {thread.allocations(), thread.deallocations, thread.reallocations, thread.bytes};
}

} // namespace

Book::Totals RecordedThread::totals() const {
  if (has_left) return own;
  Book::Totals now = totals_of(*place);
  return {now.allocations - base.allocations, now.deallocations - base.deallocations,
          now.reallocations - base.reallocations, now.bytes - base.bytes};
}

RecordedThread &Threads::begin(Process &process, uint32_t tid, uint64_t now) {
  version_++;
  OfProcess &mine = of_process_[process.row];
  RecordedThread &thread = rows_[next_row_];
  thread.row = next_row_++;
  if (mine.places >= kMostPlaces && !mine.ended.empty() && !process.ended()) {
    RecordedThread &last = rows_.at(mine.ended.back());
    mine.ended.pop_back();
    last.own = last.totals();
    last.has_left = true;
    thread.place = last.place;
    thread.base = totals_of(*last.place);
    thread.is_first = false;
  } else {
    thread.place = &aggregator_.add_thread(*process.book);
    rows_of_places_.push_back(thread.row);
    mine.places++;
  }
  thread.process = &process;
  thread.start = now;
  thread.tid = tid;
  thread.next_look = now + kFirstLookNs;
  thread.look_interval = kFirstLookNs;
  living_.push_back(&thread);
  return thread;
}

void Threads::forget_written() {
  std::erase_if(rows_, [](const auto &row) { return row.second.written; });
}

void Threads::end(RecordedThread &thread, uint64_t now) {
  if (thread.end != 0) return;
  thread.end = std::max<uint64_t>(now, thread.start + 1);
  version_++;
  std::erase(living_, &thread);
  of_process_[thread.process->row].ended.push_back(thread.row);
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
