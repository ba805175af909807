#include "collector/timeline.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace heaptide {
namespace {

constexpr uint64_t kAll = 0xffffffff; // the sum's process
constexpr uint64_t kSharesNs = 1'000'000'000;
constexpr uint64_t kPeakNs = 100'000'000;
constexpr uint64_t kShareOfTime = 100; // shares cost at most one part in this many

uint64_t cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace

Timeline::~Timeline() {
  for (auto &[row, watch] : watches_) {
    if (watch.resident >= 0) close(watch.resident);
  }
}

void Timeline::read_sizes(Process &process, uint64_t now) {
  if (process.foreign || process.dying) return;
  Watch &watch = watches_[process.row];
  if (watch.resident < 0) watch.resident = procfs_.open_resident(process.pid);
  if (watch.resident < 0) return;
  process.rss = Procfs::read_resident(watch.resident);
  process.peak_rss = std::max(process.peak_rss, process.rss);
  if (now >= watch.next_peak) {
    watch.next_peak = now + kPeakNs;
    process.peak_rss = std::max(process.peak_rss, procfs_.peak_resident(process.pid));
  }
  if (now >= watch.next_shares) {
    uint64_t before = cpu_ns();
    Procfs::Shares shares = procfs_.shares(process.pid);
    uint64_t cost = cpu_ns() - before;
    process.pss = shares.pss;
    process.uss = shares.uss;
    uint64_t all = cost * kShareOfTime * std::max<size_t>(processes_.living().size(), 1);
    watch.next_shares = now + std::max(kSharesNs, all);
  }
}

void Timeline::add(uint64_t now, uint64_t row, uint64_t live_bytes, uint64_t live_blocks,
                   uint64_t peak, uint64_t rss, uint64_t pss, uint64_t uss,
                   const Book::Totals &totals, Book::Totals *said) {
  // An exec dates an end back to when the new image began.
  last_time_ = std::max(last_time_, now);
  rows_.time.push_back(last_time_);
  rows_.process.push_back(row);
  rows_.live_bytes.push_back(live_bytes);
  rows_.live_blocks.push_back(live_blocks);
  rows_.peak_bytes.push_back(peak);
  rows_.rss.push_back(rss);
  rows_.pss.push_back(pss);
  rows_.uss.push_back(uss);
  // Calls: reallocations are among them.
  rows_.allocations.push_back(totals.allocations + totals.reallocations - said->allocations -
                              said->reallocations);
  rows_.bytes.push_back(totals.bytes - said->bytes);
  *said = totals;
}

void Timeline::tick(uint64_t now, uint64_t spare_ns) {
  for (; known_ < processes_.all().size(); known_++) watches_[static_cast<uint32_t>(known_)];
  bury_ended();
  const std::vector<Process *> &living = processes_.living();
  if (living.empty()) return;
  uint64_t first_peak = 0;
  uint64_t begun = cpu_ns();
  for (size_t i = 0; i < living.size(); i++) {
    if (i > 0 && cpu_ns() - begun > spare_ns) break;
    if (next_ >= living.size()) next_ = 0;
    Process &process = *living[next_++];
    read_sizes(process, now);
    Book &book = *process.book;
    uint64_t peak = book.take_window_peak();
    if (i == 0) first_peak = peak;
    // PSS and USS are read less often than rows are written: a row has them only when they are new.
    add(now, process.row, book.live_bytes(), book.live_blocks(), peak, process.rss,
        std::exchange(process.pss, 0), std::exchange(process.uss, 0), book.totals(),
        &watches_[process.row].said);
  }
  rss_ = 0;
  for (const Process *process : living) rss_ += process->rss;
  bool many = aggregator_.ledger().many;
  size_t row = rows_.time.size();
  add(now, kAll, aggregator_.live_bytes(), aggregator_.live_blocks(),
      many ? aggregator_.take_window_peak() : first_peak, rss_, many ? 0 : rows_.pss[row - 1],
      many ? 0 : rows_.uss[row - 1], aggregator_.totals(), &said_);
}

// A process gets a last row for what it has done since the one before; so does the sum, with what the
// process left behind still in it.
void Timeline::bury_ended() {
  uint64_t end = 0, live_bytes = 0, live_blocks = 0, peak = 0;
  for (auto at = watches_.begin(); at != watches_.end();) {
    Process &process = processes_.all()[at->first];
    if (!process.ended()) {
      ++at;
      continue;
    }
    Book &book = *process.book;
    peak = book.take_window_peak();
    add(process.end, process.row, book.live_bytes(), book.live_blocks(), peak, 0, 0, 0,
        book.totals(), &at->second.said);
    if (at->second.resident >= 0) close(at->second.resident);
    at = watches_.erase(at);
    end = std::max(end, process.end);
    live_bytes += book.live_bytes();
    live_blocks += book.live_blocks();
  }
  if (end == 0) return;
  if (aggregator_.ledger().many) peak = aggregator_.take_window_peak();
  add(end, kAll, aggregator_.live_bytes() + live_bytes, aggregator_.live_blocks() + live_blocks,
      peak, 0, 0, 0, aggregator_.totals(), &said_);
}

Timeline::Rows Timeline::take() { return std::exchange(rows_, {}); }

} // namespace heaptide
