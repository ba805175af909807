// Who a process is, and when it was gone. A round reads the time once, then looks for new processes, then
// for deaths: what a process does between those looks comes before its death, and is its own.
#include "collector/processes.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/tests/check.h"
#include "collector/tests/producer.h"

namespace heaptide {
namespace {

using testing::TestSession;

struct Watched {
  TestSession session;
  Clock clock;
  Procfs procfs;
  Definitions definitions;
  Aggregator aggregator{0, [](const SliceRows &) {}};
  Processes processes{session.session, clock, procfs, aggregator, definitions};

  // A process that registers, waits until it has been taken up and the next round has read its time, does
  // `what`, and is gone when that round looks for deaths. `what` gets its slot.
  template <class What>
  Process &watch_until_gone(What what) {
    pid_t child = fork();
    if (child == 0) {
      uint32_t slot = session.register_process();
      raise(SIGSTOP);
      what(slot);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status));
    processes.discover();
    Process &process = processes.all().back();
    CHECK_EQUAL(static_cast<uint32_t>(child), process.pid);
    uint64_t now = clock.now();
    kill(child, SIGCONT);
    waitpid(child, nullptr, 0);
    CHECK(!process.dying);
    processes.check_deaths(now);
    CHECK(process.dying);
    return process;
  }
};

// The later image has come and gone before anybody has seen it.
TEST(an_image_is_the_next_one_of_a_process_that_is_seen_to_be_gone_before_it) {
  for (bool heard_to_its_end : {false, true}) {
    Watched watched;
    Process &former = watched.watch_until_gone([&](uint32_t slot) {
      watched.session.begin_exec(slot);
      watched.session.register_process();
    });
    if (heard_to_its_end) watched.processes.end(former);
    watched.processes.discover();
    CHECK_EQUAL(2u, watched.processes.all().size());
    Process &next = watched.processes.all().back();
    CHECK_EQUAL(former.pid, next.pid);
    CHECK_EQUAL(1u, next.image_number);
    if (!heard_to_its_end) watched.processes.end(former);
    CHECK(former.end <= next.start);
  }
}

// Nothing says that the process was about to exec: what registers then is no later image of it.
TEST(an_image_is_a_strangers_without_an_exec) {
  Watched watched;
  watched.watch_until_gone([&](uint32_t) { watched.session.register_process(); });
  watched.processes.discover();
  CHECK_EQUAL(2u, watched.processes.all().size());
  CHECK_EQUAL(0u, watched.processes.all().back().image_number);
}

// A child that was spawned knows its parent by its pid.
TEST(a_child_has_the_parent_that_is_seen_to_be_gone_before_it) {
  Watched watched;
  Process &parent = watched.watch_until_gone([&](uint32_t) {
    pid_t child = fork();
    if (child == 0) {
      watched.session.register_process();
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  });
  watched.processes.end(parent);
  watched.processes.discover();
  CHECK_EQUAL(2u, watched.processes.all().size());
  Process &child = watched.processes.all().back();
  watched.processes.describe(child, parent.pid, "", "");
  CHECK_EQUAL(parent.row + 1, child.parent);
}

} // namespace
} // namespace heaptide
