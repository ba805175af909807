// Whole recordings of several processes and threads, that come, go, and take each other's places.
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "collector/tests/check.h"
#include "collector/tests/producer.h"
#include "collector/tests/reader.h"
#include "collector/tests/recordings.h"

namespace heaptide {
namespace {

using namespace testing;

// Waits until so many allocations have been counted: what is recorded after this is counted after them.
// Within a block of its ring an event has no time of its own, so nothing else says which of two processes
// was first.
void wait_until_counted(const TestSession &session, uint64_t allocations) {
  while (shared_load(session.session.header().allocations) < allocations) usleep(1000);
}

// A child knows its parent's stacks, frees what it inherited, and has figures of its own. A process that
// execs becomes another row.
TEST(processes_are_told_apart) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  pid_t parent = fork();
  if (parent == 0) {
    uint32_t slot = session.register_process();
    Producer p(session.session, slot);
    p.node(HT_NODE_FIRST, 0x1000);
    for (uint64_t i = 1; i <= 100; i++) p.allocate(16 * i, 1000, HT_NODE_FIRST);
    wait_until_counted(session, 100);
    pid_t child = fork();
    if (child == 0) {
      uint32_t own = session.register_process(slot + 1, HT_NODE_FIRST);
      Producer q(session.session, own);
      for (uint64_t i = 1; i <= 50; i++) q.free(16 * i); // the parent's, in its own copy
      for (uint64_t i = 1; i <= 50; i++) q.allocate(16 * i, 10, HT_NODE_FIRST);
      // The next image of the same process.
      session.begin_exec(own);
      uint32_t next = session.register_process();
      Producer s(session.session, next);
      s.allocate(64, 7);
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    wait_until_counted(session, 151);
    p.free(16);
    _exit(0);
  }
  waitpid(parent, nullptr, 0);
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(3u, r.rows(kProcesses));
  CHECK((r.tables[kProcesses]["allocations"] == std::vector<uint64_t>{100, 50, 1}));
  CHECK((r.column(kProcesses, "unmatched_frees", 3) == std::vector<uint64_t>{0, 50, 0}));
  CHECK((r.tables[kProcesses]["live_bytes"] == std::vector<uint64_t>{99'000, 500, 7}));
  CHECK((r.column(kProcesses, "parent", 3) == std::vector<uint64_t>{0, 1, 1}));
  CHECK((r.column(kProcesses, "image", 3) == std::vector<uint64_t>{0, 0, 1}));
  CHECK_EQUAL(r.tables[kProcesses]["pid"][1], r.tables[kProcesses]["pid"][2]);
  // One stack for both.
  CHECK_EQUAL(r.tables[kContexts]["stack"][0], r.tables[kContexts]["stack"][1]);
  CHECK_EQUAL(100'500u, sum_at_peak(r));
}

// Processes that are gone before anybody has looked: what each image did is its own, and the images of one
// process are never alive together.
TEST(images_that_come_and_go_between_two_looks_are_recorded_exactly) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  constexpr uint64_t kChildren = 60, kImages = 3;
  pid_t parent = fork();
  if (parent == 0) {
    uint32_t slot = session.register_process();
    Producer p(session.session, slot);
    for (uint64_t i = 1; i <= kChildren; i++) {
      pid_t child = fork();
      if (child == 0) {
        uint32_t image = session.register_process(slot + 1);
        for (uint64_t k = 0; k < kImages; k++) {
          if (k > 0) {
            session.begin_exec(image);
            image = session.register_process();
          }
          Producer q(session.session, image);
          // Of the later images more, so that two of them together would be a peak.
          for (uint64_t n = 1; n <= i + 100 * k; n++) q.allocate(n * 16, 1'000);
        }
        _exit(0);
      }
      waitpid(child, nullptr, 0);
    }
    _exit(0);
  }
  waitpid(parent, nullptr, 0);
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(1 + kChildren * kImages, r.rows(kProcesses));
  const auto &images = r.column(kProcesses, "image", r.rows(kProcesses));
  const auto &parents = r.column(kProcesses, "parent", r.rows(kProcesses));
  std::map<uint64_t, uint64_t> next_child; // by image number
  for (size_t row = 1; row < r.rows(kProcesses); row++) {
    uint64_t image = images[row], child = ++next_child[image];
    CHECK_EQUAL(1u, parents[row]);
    CHECK_EQUAL(child + 100 * image, r.tables[kProcesses]["allocations"][row]);
    CHECK_EQUAL((child + 100 * image) * 1'000, r.tables[kProcesses]["peak_bytes"][row]);
    CHECK(r.tables[kProcesses]["end"][row] >= r.tables[kProcesses]["start"][row]);
  }
  for (uint64_t image = 0; image < kImages; image++) CHECK_EQUAL(kChildren, next_child[image]);
  // Each child is waited for, but that it has ended is seen at the next look only.
  CHECK(sum_at_peak(r) >= (kChildren + 100 * (kImages - 1)) * 1'000);
  CHECK_EQUAL(r.total(kProcesses, "allocations") * 1'000, r.total(kDeltas, "bytes_in"));
}

// A pid that is used again is another process, not the next image of the one that had it.
TEST(a_pid_used_again_is_another_process) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t parent = session.register_process();
  auto in_child = [&](auto what) {
    pid_t child = fork();
    if (child == 0) {
      what();
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    return static_cast<uint32_t>(child);
  };
  auto allocate = [&](uint32_t slot, uint64_t count) {
    Producer p(session.session, slot);
    for (uint64_t i = 1; i <= count; i++) p.allocate(i * 16, 10);
  };
  uint32_t pid = in_child([&] { allocate(session.register_process(parent + 1), 5); });
  // Forked, so no exec has led to it; spawned, but nothing with that pid was about to exec. They are seen
  // when all is done: their pid is nobody's.
  for (uint32_t of : {parent + 1, 0u}) {
    uint32_t slot = session.prepare_process(of, 0, pid);
    in_child([&] { allocate(slot, of != 0 ? 6 : 7); });
    session.show_process(slot);
  }
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(4u, r.rows(kProcesses));
  CHECK((r.tables[kProcesses]["allocations"] == std::vector<uint64_t>{0, 5, 6, 7}));
  CHECK((r.column(kProcesses, "image", 4) == std::vector<uint64_t>{0, 0, 0, 0}));
  CHECK((r.column(kProcesses, "parent", 4) == std::vector<uint64_t>{0, 1, 1, 0}));
}

// Slots are given back as their processes end, so that more processes than there are slots can come.
TEST(slots_of_processes_that_ended_serve_the_next) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t gone = 0;
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  gone = static_cast<uint32_t>(child);
  constexpr uint32_t kMore = 200;
  uint32_t slot = 0;
  for (uint32_t i = 0; i < HT_MAX_PROCESSES; i++)
    session.show_process(slot = session.prepare_process(0, 0, gone));
  CHECK_EQUAL(HT_MAX_PROCESSES - 1, slot);
  for (uint32_t i = 0; i < kMore; i++) {
    while (!session.reuse_process(gone)) usleep(500);
  }
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(HT_MAX_PROCESSES + kMore, r.rows(kProcesses));
}

// Rings are used again by the next threads; there are far more threads than rings would be.
TEST(rings_of_threads_that_ended_serve_the_next) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  constexpr uint64_t kThreadsRun = 300;
  for (uint64_t i = 1; i <= kThreadsRun; i++) {
    in_thread(session, slot, [&](Producer &p) {
      for (uint64_t k = 0; k < 70; k++) p.allocate((i * 100 + k) * 16, 1);
    });
    usleep(2000);
  }
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(kThreadsRun * 70, r.total(kProcesses, "allocations"));
  CHECK_EQUAL(kThreadsRun, r.rows(kThreads));
  CHECK(session.session.header().rings_used < kThreadsRun);
}

} // namespace
} // namespace heaptide
