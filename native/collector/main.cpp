// heaptide-collector: reads what agents record, and writes the recording. Started by `heaptide run`.
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <string>

#include "collector/collector.h"
#include "collector/import_main.h"
#include "collector/options.h"
#include "collector/session.h"

namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_terminate(int) { stop.store(true, std::memory_order_relaxed); }

// It lives as long as the program that it records, whatever the terminal says. A write beyond a file
// size limit is to fail, not to kill.
void set_signals() {
  for (int number : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1,
                     SIGUSR2, SIGALRM}) {
    signal(number, SIG_IGN);
  }
  struct sigaction action{};
  action.sa_handler = on_terminate;
  sigaction(SIGTERM, &action, nullptr);
}

// A descriptor or two for each recorded process; sleeps that end when they should.
void set_limits() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  prctl(PR_SET_TIMERSLACK, 5000, 0, 0, 0);
}

// What a checkpoint needs goes back to the system after it: the usual thresholds grow with what is freed,
// and a second arena keeps what the writing thread has freed.
void set_memory() {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 512 << 10);
  mallopt(M_ARENA_MAX, 1);
}

int fail(const std::string &error) {
  std::fprintf(stderr, "heaptide-collector: %s\n", error.c_str());
  return 2;
}

// Started by someone who waits for it, and who may be interrupted.
int import_from_input(const heaptide::Options &options) {
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  std::string error;
  try {
    heaptide::ImportStatus status = heaptide::import_log(options, STDIN_FILENO, &error);
    if (!error.empty()) std::fprintf(stderr, "%s\n", error.c_str());
    return status;
  } catch (const std::exception &exception) {
    std::fprintf(stderr, "%s\n", exception.what());
    return heaptide::kImportFailed;
  }
}

} // namespace

int main(int argc, char **argv) {
  set_signals();
  set_limits();
  set_memory();
  heaptide::Options options;
  heaptide::Session session;
  std::string error;
  if (!heaptide::parse_options(argc, argv, &options, &error)) return fail(error);
  if (!options.import_format.empty()) return import_from_input(options);
  if (!session.map(HT_SESSION_FD, &error)) return fail(error);
  try {
    heaptide::Collector collector(session, options);
    if (!collector.start(&error)) return fail(error);
    collector.run(stop);
  } catch (const std::exception &exception) {
    // Out of memory, in all likelihood. The file stands as the last checkpoint left it.
    session.set_state(HT_STATE_STOPPED);
    error = std::string("the collector ended early: ") + exception.what();
    session.set_error(HT_ERROR_INTERNAL, 0, error);
    return fail(error);
  }
  return 0;
}
