#include "collector/syncs.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <utility>

namespace heaptide {
namespace {

ht_figures of_process(Book &book) {
  Book::Totals totals = book.totals();
  ht_figures figures{};
  figures.allocations = totals.allocations;
  figures.reallocations = totals.reallocations;
  figures.deallocations = totals.deallocations;
  figures.bytes = totals.bytes;
  figures.live_bytes = book.live_bytes();
  figures.live_blocks = book.live_blocks();
  figures.peak_bytes = book.take_sync_peak();
  figures.temporary = book.ended().temporary;
  figures.copied_bytes = book.copied_bytes();
  return figures;
}

ht_figures of_thread(Thread &thread) {
  ht_figures figures{};
  figures.allocations = thread.allocations();
  figures.reallocations = thread.reallocations;
  figures.deallocations = thread.deallocations;
  figures.bytes = thread.bytes;
  figures.live_bytes = thread.live_bytes;
  figures.live_blocks = thread.live_blocks;
  figures.peak_bytes = std::exchange(thread.peak_bytes, thread.live_bytes);
  figures.temporary = thread.temporary;
  figures.copied_bytes = thread.copied_bytes;
  return figures;
}

} // namespace

void Syncs::look() {
  requests_.clear();
  for (Process *process : processes_.living()) {
    const ht_process &shared = session_.process(process->slot);
    uint32_t number = shared_load(shared.sync_request);
    if (number == shared_load(shared.sync_answer)) continue;
    if (shared_load(shared.generation) != process->generation) continue;
    requests_.push_back({process, number, shared.sync_tid, shared.sync_flags});
  }
}

bool Syncs::pending() const {
  for (const Process *process : processes_.living()) {
    const ht_process &shared = session_.process(process->slot);
    if (shared_load(shared.sync_request) != shared_load(shared.sync_answer)) return true;
  }
  return false;
}

uint32_t Syncs::flags() const {
  uint32_t flags = 0;
  for (const Request &request : requests_) flags |= request.flags;
  return flags;
}

bool Syncs::are_due() {
  std::erase_if(requests_, [](const Request &request) { return request.process->ended(); });
  for (const Request &request : requests_) {
    if (request.process->predecessor != nullptr) return false;
  }
  for (const Cursor *cursor : rings_.open()) {
    if (!cursor->is_due()) continue;
    for (const Request &request : requests_) {
      if (request.process == cursor->process) return false;
    }
  }
  return !requests_.empty();
}

void Syncs::fill(const Request &request, uint64_t now_ns) {
  ht_process &shared = session_.process(request.process->slot);
  Book &book = *request.process->book;
  shared.sync_process = of_process(book);
  shared.sync_thread = {};
  for (const Cursor *cursor : rings_.open()) {
    if (cursor->process == request.process && cursor->tid == request.tid) {
      shared.sync_thread = of_thread(*cursor->thread->place);
      if ((request.flags & HT_SYNC_PEAK_OF_THREAD) != 0) book.begin_peak(cursor->thread->place);
    }
  }
  if ((request.flags & HT_SYNC_PEAK_OF_PROCESS) != 0) book.begin_peak(nullptr);
  if ((request.flags & HT_SYNC_PEAK_STAYS) != 0) book.keep_peak();
  shared.sync_ns = now_ns;
  shared_store(shared.sync_answer, request.number);
  syscall(SYS_futex, &shared.sync_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Syncs::answer(uint64_t now_ns) {
  for (const Request &request : requests_) fill(request, now_ns);
  requests_.clear();
}

} // namespace heaptide
