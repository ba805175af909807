#include "collector/processes.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace heaptide {
namespace {

constexpr uint64_t kSlowCheckNs = 50'000'000;
constexpr uint64_t kLateNs = 5'000'000'000;    // between a process's start and its first event
constexpr uint32_t kRecentPids = 10'000;       // made between two looks at the session
constexpr uint64_t kDefinitionBytes = 8 << 20; // kept for children yet to be heard of
constexpr size_t kKeptSlots = 2048;            // ended ones, before the first is used again

uint64_t slot_key(uint32_t slot, uint32_t generation) { return uint64_t{generation} << 32 | slot; }

} // namespace

Processes::Processes(Session &session, const Clock &clock, const Procfs &procfs,
                     Aggregator &aggregator, Definitions &definitions)
    : session_(session),
      clock_(clock),
      procfs_(procfs),
      aggregator_(aggregator),
      definitions_(definitions),
      seen_(HT_MAX_PROCESSES),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Processes::~Processes() {
  for (Process &process : processes_) {
    if (process.pidfd >= 0) close(process.pidfd);
  }
  if (epoll_ >= 0) close(epoll_);
}

void Processes::discover() {
  uint32_t used = session_.processes_used();
  // Parents register before their children: mostly in lower slots, but slots are reused.
  std::vector<uint32_t> fresh;
  while (first_unseen_ < used && seen_[first_unseen_] != 0) first_unseen_++;
  // Slots are not used again before all have been used.
  for (uint32_t slot = used < HT_MAX_PROCESSES ? first_unseen_ : 0; slot < used; slot++) {
    const ht_process &shared = session_.process(slot);
    uint32_t state = shared_load(shared.state);
    if (state != HT_PROCESS_LIVE && state != HT_PROCESS_EXEC) continue;
    if (seen_[slot] != shared_load(shared.generation)) fresh.push_back(slot);
  }
  if (fresh.empty()) return;
  std::sort(fresh.begin(), fresh.end(), [this](uint32_t a, uint32_t b) {
    return session_.process(a).start_tsc < session_.process(b).start_tsc;
  });
  for (uint32_t slot : fresh) add(slot, session_.process(slot));
}

void Processes::add(uint32_t slot, const ht_process &shared) {
  Process &process = processes_.emplace_back();
  process.book = &aggregator_.add_process();
  process.row = process.book->row();
  process.slot = slot;
  process.generation = shared_load(shared.generation);
  process.pid = shared.pid;
  process.start = clock_.ns(shared.start_tsc);
  process.last_event = process.start;
  seen_[slot] = process.generation;
  by_slot_[slot_key(slot, process.generation)] = &process;
  living_.push_back(&process);
  version_++;

  Process *parent = nullptr;
  if (shared.parent_slot != 0) parent = find(shared.parent_slot - 1, shared.parent_generation);
  if (parent != nullptr) {
    process.parent = parent->row + 1;
    process.ppid = parent->pid;
    process.executable = parent->executable;
    process.command = parent->command;
    process.executable_path = parent->executable_path;
    process.image = std::make_shared<Image>(
        definitions_, process.row, parent->image,
        Inherited{shared.inherited_nodes, shared.inherited_codes, shared.inherited_modules});
  } else {
    process.image = std::make_shared<Image>(definitions_, process.row);
  }
  Process *&latest = latest_of_pid_[process.pid];
  if (latest != nullptr && !latest->ended()) {
    // The same process after an exec: its former image is gone.
    process.image_number = latest->image_number + 1;
    if (process.parent == 0) process.parent = latest->parent;
    if (process.ppid == 0) process.ppid = latest->ppid;
    if (!latest->dying) mark_dying(*latest, process.start);
  }
  latest = &process;
  watch(process);
  recycle_slots();
}

// Whether the pid that an agent gave is another process's here. Getting this wrong would mean taking a
// ring from a living thread.
bool Processes::is_foreign(const Process &process, const Procfs::Stat &stat) const {
  if (stat.exists) {
    // The usual process starts right before it registers; for others it is worth a closer look.
    static const uint64_t tick_ns = 1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
    uint64_t started = stat.start_time * tick_ns;
    uint64_t registered = clock_.start_monotonic_ns() + process.start;
    return started + kLateNs < registered && !procfs_.maps_session(process.pid);
  }
  // It has ended before we came to look, or it has never been here. Pids are handed out in turn.
  uint32_t last = procfs_.last_pid();
  return last != 0 && last - process.pid > kRecentPids;
}

void Processes::watch(Process &process) {
  Procfs::Stat stat = procfs_.stat(process.pid);
  process.foreign = is_foreign(process, stat);
  if (process.foreign) return;
  if (!stat.exists) {
    mark_dying(process, clock_.now());
    return;
  }
  process.start_time = stat.start_time;
  if (process.ppid == 0) process.ppid = stat.ppid;
  std::string path = procfs_.executable(process.pid);
  if (!path.empty()) {
    process.executable_path = path;
    process.executable = definitions_.string(path);
  }
  std::string command = procfs_.command(process.pid);
  if (!command.empty()) process.command = definitions_.string(command);
  adopt_parent(process);
  process.pidfd = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  if (process.pidfd < 0) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &process;
  if (epoll_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, process.pidfd, &event) != 0) {
    close(process.pidfd);
    process.pidfd = -1;
  }
}

// A process that was spawned, not forked, knows its parent by pid only.
void Processes::adopt_parent(Process &process) {
  if (process.parent != 0 || process.ppid == 0) return;
  auto found = latest_of_pid_.find(process.ppid);
  if (found == latest_of_pid_.end() || found->second == &process) return;
  process.parent = found->second->row + 1;
}

void Processes::describe(Process &process, uint32_t ppid, std::string_view executable,
                         std::string_view command) {
  if (process.ppid == 0) process.ppid = ppid;
  if (!executable.empty()) {
    process.executable = definitions_.string(executable);
    process.executable_path = executable;
  }
  if (!command.empty()) process.command = definitions_.string(command);
  adopt_parent(process);
  version_++;
}

Process *Processes::find(uint32_t slot, uint32_t generation) {
  auto found = by_slot_.find(slot_key(slot, generation));
  return found == by_slot_.end() ? nullptr : found->second;
}

// ------------------------------------------------------------------------------------- deaths

void Processes::mark_dying(Process &process, uint64_t when) {
  process.dying = true;
  process.dying_since = std::max<uint64_t>(when, process.start + 1);
}

void Processes::check_deaths(uint64_t now) {
  epoll_event events[64];
  int n = epoll_ < 0 ? 0 : epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < n; i++) {
    Process &process = *static_cast<Process *>(events[i].data.ptr);
    if (!process.dying) mark_dying(process, now);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, process.pidfd, nullptr);
  }
  bool slow = now >= next_slow_check_;
  if (slow) next_slow_check_ = now + kSlowCheckNs;
  for (Process *process : living_) {
    if (process->dying || process->foreign) continue;
    if (!slow) continue;
    if (process->pidfd < 0) {
      Procfs::Stat stat = procfs_.stat(process->pid);
      if (!stat.exists || stat.start_time != process->start_time) mark_dying(*process, now);
    } else if (shared_load(session_.process(process->slot).state) == HT_PROCESS_EXEC) {
      // On its way into a program that does not report: known by its new executable.
      std::string path = procfs_.executable(process->pid);
      if (!path.empty() && path != process->executable_path) mark_dying(*process, now);
    }
  }
}

void Processes::end(Process &process) {
  if (process.ended()) return;
  read_counters();
  aggregator_.end_process(*process.book);
  process.end = process.dying_since;
  std::erase(living_, &process);
  if (process.pidfd >= 0) close(process.pidfd);
  process.pidfd = -1;
  ht_process &shared = session_.process(process.slot);
  if (shared_load(shared.generation) == process.generation) {
    shared_store(shared.state, static_cast<uint32_t>(HT_PROCESS_ENDED));
  }
  ended_.push_back(&process);
  ended_slots_.push_back(process.slot);
  version_++;
  forget_definitions();
}

// A child may be heard of long after its parent's end: it registers with its first allocation. So the
// definitions of the ended stay, as far as that is cheap.
void Processes::forget_definitions() {
  uint64_t bytes = 0;
  size_t kept = 0;
  while (kept < ended_.size()) {
    bytes += ended_[ended_.size() - 1 - kept]->image->bytes();
    if (bytes > kDefinitionBytes) break;
    kept++;
  }
  while (ended_.size() > std::max<size_t>(kept, 1)) {
    ended_.front()->image = std::make_shared<Image>(definitions_, ended_.front()->row);
    ended_.pop_front();
  }
}

// Agents take a new slot as long as there is one. A child reads its parent's slot as late as its first
// allocation, so the oldest go first.
void Processes::recycle_slots() {
  if (session_.processes_used() < HT_MAX_PROCESSES) return;
  while (ended_slots_.size() > kKeptSlots) {
    ht_process &shared = session_.process(ended_slots_.front());
    ended_slots_.pop_front();
    uint32_t expected = HT_PROCESS_ENDED;
    __atomic_compare_exchange_n(&shared.state, &expected, HT_PROCESS_FREE, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
  }
}

void Processes::read_counters() {
  for (Process *process : living_) {
    const ht_process &shared = session_.process(process->slot);
    if (shared_load(shared.generation) != process->generation) continue;
    process->wait_ns = __atomic_load_n(&shared.wait_ns, __ATOMIC_RELAXED);
    process->lost_events = __atomic_load_n(&shared.lost_events, __ATOMIC_RELAXED);
    process->fp_fallbacks = __atomic_load_n(&shared.fp_fallbacks, __ATOMIC_RELAXED);
    process->truncated = __atomic_load_n(&shared.truncated, __ATOMIC_RELAXED);
    process->python_version = __atomic_load_n(&shared.python_version, __ATOMIC_RELAXED);
    process->python_status = __atomic_load_n(&shared.python_status, __ATOMIC_RELAXED);
    process->allocator = __atomic_load_n(&shared.allocator, __ATOMIC_RELAXED);
    process->off_reason = __atomic_load_n(&shared.off_reason, __ATOMIC_RELAXED);
  }
}

} // namespace heaptide
