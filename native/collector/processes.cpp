#include "collector/processes.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace heaptide {
namespace {

constexpr uint64_t kSlowCheckNs = 50'000'000;
constexpr uint64_t kLateNs = 5'000'000'000;    // between a process's start and its first event
constexpr uint64_t kInexactNs = 100'000'000;   // of what the system says of a process's start
constexpr uint32_t kRecentPids = 10'000;       // made between two looks at the session
constexpr uint64_t kDefinitionBytes = 8 << 20; // kept for children yet to be heard of
constexpr size_t kKeptSlots = 2048;            // ended ones, before the first is used again

uint64_t slot_key(uint32_t slot, uint32_t generation) { return uint64_t{generation} << 32 | slot; }

uint64_t boot_ahead_ns() {
  timespec monotonic, boot;
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return static_cast<uint64_t>((boot.tv_sec - monotonic.tv_sec) * 1'000'000'000 + boot.tv_nsec -
                               monotonic.tv_nsec);
}

} // namespace

Processes::Processes(Session &session, const Clock &clock, const Procfs &procfs,
                     Aggregator &aggregator, Definitions &definitions)
    : session_(session),
      clock_(clock),
      procfs_(procfs),
      aggregator_(aggregator),
      definitions_(definitions),
      seen_(HT_MAX_PROCESSES),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      boot_ahead_ns_(boot_ahead_ns()) {}

Processes::~Processes() {
  for (Process &process : processes_) {
    if (process.pidfd >= 0) close(process.pidfd);
  }
  if (epoll_ >= 0) close(epoll_);
}

std::vector<uint32_t> Processes::fresh_slots(uint32_t used) const {
  std::vector<uint32_t> fresh;
  // Slots are not used again before all have been used.
  for (uint32_t slot = used < HT_MAX_PROCESSES ? first_unseen_ : 0; slot < used; slot++) {
    const ht_process &shared = session_.process(slot);
    uint32_t state = shared_load(shared.state);
    if (state != HT_PROCESS_LIVE && state != HT_PROCESS_EXEC) continue;
    if (seen_[slot] != shared_load(shared.generation)) fresh.push_back(slot);
  }
  std::sort(fresh.begin(), fresh.end(), [this](uint32_t a, uint32_t b) {
    return session_.process(a).start_tsc < session_.process(b).start_tsc;
  });
  return fresh;
}

// Parents, and former images, are taken up before those that come from them, which register later.
void Processes::discover() {
  uint32_t used = session_.processes_used();
  while (first_unseen_ < used && seen_[first_unseen_] != 0) first_unseen_++;
  std::vector<uint32_t> fresh = fresh_slots(used);
  if (fresh.empty()) return;
  if (used == HT_MAX_PROCESSES) {
    // Used again in any order: the slot of a parent may have been passed just before it registered,
    // and its child's not yet. Then the parent's is found now; what is later still has time.
    uint64_t latest = session_.process(fresh.back()).start_tsc;
    fresh = fresh_slots(used);
    std::erase_if(fresh, [&](uint32_t s) { return session_.process(s).start_tsc > latest; });
  }
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
  uint32_t parent_slot = shared.parent_slot & ~HT_PARENT_SELF;
  bool goes_on = parent_slot != shared.parent_slot;
  if (parent_slot != 0) parent = find(parent_slot - 1, shared.parent_generation);
  if (parent != nullptr && goes_on) {
    process.executable = parent->executable;
    process.command = parent->command;
    process.executable_path = parent->executable_path;
    process.image = parent->image;
    succeed(process, *parent, shared.start_tsc);
  } else if (parent != nullptr) {
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
  Procfs::Stat stat = open_pid(process);
  Process *&latest = latest_of_pid_[process.pid];
  if (latest != nullptr && parent_slot == 0 && is_next_image(process, *latest, stat)) {
    succeed(process, *latest, shared.start_tsc);
  }
  latest = &process;
  watch(process, stat);
  recycle_slots();
}

// Whether a process is what the exec of another of its pid has led to. If not they are strangers: pids
// are used again, and namespaces count by themselves.
bool Processes::is_next_image(const Process &process, const Process &former,
                              const Procfs::Stat &stat) const {
  if (stat.found && former.start_time != 0 && stat.start_time != former.start_time) return false;
  if (process.start > former.died_at) return false;
  if (former.ended() || former.has_execed) return former.has_execed;
  const ht_process &shared = session_.process(former.slot);
  return shared_load(shared.generation) == former.generation &&
         shared_load(shared.state) == HT_PROCESS_EXEC;
}

// The same process after an exec: its former image is gone, and did all it did before.
void Processes::succeed(Process &process, Process &former, uint64_t start_tsc) {
  process.image_number = former.image_number + 1;
  process.parent = former.parent;
  process.ppid = former.ppid;
  process.start_time = former.start_time;
  uint64_t until = std::max(process.start, former.start + 1);
  if (former.ended()) {
    former.written = former.written && former.end <= until;
    former.end = std::min(former.end, until);
    return;
  }
  process.predecessor = &former;
  former.last_tsc = std::min(former.last_tsc, start_tsc);
  former.dying_since = former.dying ? std::min(former.dying_since, until) : until;
  former.dying = true;
}

uint64_t Processes::started_at(const Procfs::Stat &stat) const {
  static const uint64_t tick_ns = 1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  return stat.start_time * tick_ns;
}

uint64_t Processes::registered_at(const Process &process) const {
  return clock_.start_monotonic_ns() + boot_ahead_ns_ + process.start;
}

// Whether the pid that an agent gave is another process's here. Getting this wrong would mean taking a
// ring from a living thread.
bool Processes::is_foreign(const Process &process, const Procfs::Stat &stat) const {
  if (stat.found) {
    // The usual process starts right before it registers; for others it is worth a closer look.
    if (started_at(stat) + kLateNs >= registered_at(process)) return false;
    if (stat.exists) return !procfs_.maps_session(process.pid);
  }
  // It has ended before we came to look, or it has never been here. Pids are handed out in turn.
  uint32_t last = procfs_.last_pid();
  if (last == 0) return false;
  uint32_t ago =
      last >= process.pid ? last - process.pid : last + procfs_.most_pids() - process.pid;
  return ago > kRecentPids;
}

// What the system knows of a process that has just been heard of; nothing if it is gone.
Procfs::Stat Processes::open_pid(Process &process) const {
  // Opened first: what is then said of the pid is said of the process that it refers to.
  process.pidfd = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  Procfs::Stat stat = procfs_.stat(process.pid);
  // Another has its pid by now.
  if (started_at(stat) > registered_at(process) + kInexactNs) return Procfs::Stat();
  process.foreign = is_foreign(process, stat);
  return stat;
}

void Processes::watch(Process &process, const Procfs::Stat &stat) {
  if (!process.foreign && !stat.exists) {
    process.died_at = clock_.now();
    mark_dying(process, process.died_at);
  }
  if (process.foreign || !stat.exists) {
    if (process.pidfd >= 0) close(process.pidfd);
    process.pidfd = -1;
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
  const Process &parent = *found->second;
  if (parent.ended() && parent.end < process.start) return; // its pid is another's by now
  process.parent = parent.row + 1;
  process.has_guessed_parent = true;
}

void Processes::describe(Process &process, uint32_t ppid, std::string_view executable,
                         std::string_view command) {
  // It has asked itself, perhaps before its parent left it to another.
  if (ppid != 0 && ppid != process.ppid && (process.parent == 0 || process.has_guessed_parent)) {
    process.ppid = ppid;
    process.parent = 0;
  }
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

Process *Processes::successor(const Process &process) const {
  auto waits = [&](const Process *other) { return other->predecessor == &process; };
  auto found = std::find_if(living_.begin(), living_.end(), waits);
  return found == living_.end() ? nullptr : *found;
}

// ------------------------------------------------------------------------------------- deaths

void Processes::mark_dying(Process &process, uint64_t when) {
  process.dying = true;
  process.dying_since = std::max<uint64_t>(when, process.start + 1);
}

void Processes::check_deaths(uint64_t now) {
  epoll_event events[64];
  int n = epoll_ < 0 ? 0 : epoll_wait(epoll_, events, 64, 0);
  // Read after the look: since `now` it may have gone on to another image, or spawned a child, and
  // both would seem to come from a stranger if it had been dead by then.
  uint64_t looked = n > 0 ? clock_.now() : now;
  for (int i = 0; i < n; i++) {
    Process &process = *static_cast<Process *>(events[i].data.ptr);
    process.died_at = looked;
    if (!process.dying) mark_dying(process, looked);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, process.pidfd, nullptr);
  }
  bool slow = now >= next_slow_check_;
  if (slow) next_slow_check_ = now + kSlowCheckNs;
  for (Process *process : living_) {
    if (process->dying || process->foreign) continue;
    if (!slow) continue;
    if (process->pidfd < 0) {
      Procfs::Stat stat = procfs_.stat(process->pid);
      if (stat.exists && stat.start_time == process->start_time) continue;
      process->died_at = clock_.now();
      mark_dying(*process, process->died_at);
    } else if (shared_load(session_.process(process->slot).state) == HT_PROCESS_EXEC) {
      // On its way into a program that does not report: known by its new executable.
      std::string path = procfs_.executable(process->pid);
      if (!path.empty() && path != process->executable_path) {
        process->has_execed = true;
        mark_dying(*process, now);
      }
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
    process.has_execed = process.has_execed || shared_load(shared.state) == HT_PROCESS_EXEC;
    shared_store(shared.state, static_cast<uint32_t>(HT_PROCESS_ENDED));
  }
  ended_.push_back(&process);
  ended_slots_.push_back(process.slot);
  version_++;
  forget_definitions();
  recycle_slots();
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
