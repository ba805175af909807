// From rings to the file: whole recordings of producers whose events are known.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "collector/meta_json.h"
#include "collector/tests/check.h"
#include "collector/tests/producer.h"
#include "collector/tests/reader.h"
#include "collector/tests/recordings.h"

namespace heaptide {
namespace {

using namespace testing;

TEST(one_thread_is_recorded_exactly) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  constexpr uint64_t kBlocks = 50'000;
  in_thread(session, slot, [&](Producer &p) {
    p.meta(HT_META_PROCESS, fields({1, 7}, 4) + text_field("/bin/program") + fields({2}, 4) +
                                text_field("program") + text_field("argument"));
    p.meta(HT_META_NOTE, text_field("something to know"));
    p.meta(HT_META_MARK, fields({read_tsc()}, 8) + text_field("half way"));
    p.node(HT_NODE_FIRST, 0x1000);
    p.node(HT_NODE_FIRST + 1, 0x2000, HT_NODE_FIRST);
    for (uint64_t i = 1; i <= kBlocks; i++) p.allocate(i * 16, 10, HT_NODE_FIRST);
    for (uint64_t i = 1; i <= kBlocks; i++) p.free(i * 16);
    for (uint64_t i = 1; i <= 100; i++) p.allocate(i * 16, uint64_t{5} << 32, HT_NODE_FIRST + 1);
    p.begin_realloc(16);
    p.end_realloc(0x100000, 30);
    p.free(0x900000); // nobody's
  });
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(std::string("finished"), r.end_reason);
  CHECK_EQUAL(kBlocks + 100, r.total(kProcesses, "allocations"));
  CHECK_EQUAL(1u, r.total(kProcesses, "reallocations"));
  CHECK_EQUAL(kBlocks, r.total(kProcesses, "deallocations"));
  CHECK_EQUAL(1u, r.total(kProcesses, "unmatched_frees"));
  CHECK_EQUAL((uint64_t{99} * 5 << 32) + 30, r.total(kProcesses, "live_bytes"));
  CHECK_EQUAL(uint64_t{500} << 32, r.total(kProcesses, "peak_bytes"));
  CHECK_EQUAL(uint64_t{500} << 32, r.total(kPeak, "bytes"));
  CHECK_EQUAL(30u, r.total(kProcesses, "copied_bytes"));
  CHECK_EQUAL(kBlocks + 101, r.total(kDeltas, "blocks_in"));
  CHECK_EQUAL(kBlocks + 1, r.total(kDeltas, "blocks_out"));
  CHECK_EQUAL(kBlocks + 101, r.total(kTimeline, "allocations") / 2); // its own and the sum's
  CHECK_EQUAL(kBlocks + 101,
              r.total(kSizes, "size_0") + r.total(kSizes, "size_1") + r.total(kSizes, "size_11"));
  CHECK_EQUAL(1u, r.rows(kThreads));
  CHECK_EQUAL(3u, r.rows(kContexts));
  CHECK_EQUAL(r.total(kProcesses, "live_bytes"), r.total(kThreads, "live_bytes"));
  CHECK_EQUAL(std::string("/bin/program"), r.strings[r.tables[kProcesses]["exe"][0]]);
  CHECK_EQUAL(std::string("program\x1f"
                          "argument"),
              r.strings[r.tables[kProcesses]["command"][0]]);
  CHECK_EQUAL(std::string("something to know"), r.strings[r.tables[kNotes]["text"].at(0)]);
  CHECK_EQUAL(std::string("half way"), r.strings[r.tables[kMarks]["name"].at(0)]);
  CHECK_EQUAL(2u, r.frames_of(r.tables[kContexts]["stack"].at(1)).size());
}

// Addresses go from thread to thread as fast as they can: a shared free list, as allocators have.
TEST(threads_that_share_addresses_are_recorded_exactly) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  constexpr int kWorkers = 4;
  constexpr uint64_t kTurns = 30'000, kKept = 2'000;
  std::mutex lock;
  std::vector<uint64_t> unused, handed_on;
  for (uint64_t i = 1; i <= 64 + kWorkers * kKept; i++) unused.push_back(i * 32);
  auto take = [&](std::vector<uint64_t> *from) {
    std::lock_guard guard(lock);
    if (from->empty()) return uint64_t{0};
    uint64_t address = from->back();
    from->pop_back();
    return address;
  };
  auto give = [&](std::vector<uint64_t> *to, uint64_t address) {
    std::lock_guard guard(lock);
    to->push_back(address);
  };
  std::atomic<uint64_t> allocated{0}, freed{0}, reallocated{0};
  std::vector<std::thread> threads;
  for (int worker = 0; worker < kWorkers; worker++) {
    threads.emplace_back([&, worker] {
      Producer p(session.session, slot);
      Random random(static_cast<uint64_t>(worker) + 1);
      uint64_t kept = 0, own = 0, moved = 0, ended = 0;
      auto allocate = [&](uint64_t size) {
        uint64_t address = take(&unused);
        if (address != 0) p.allocate(address, size), own++;
        return address;
      };
      auto release = [&](uint64_t address) {
        p.free(address); // before it is done
        give(&unused, address);
        ended++;
      };
      for (uint64_t turn = 0; turn < kTurns; turn++) {
        uint64_t address = allocate(8);
        if (address == 0) continue;
        switch (random.below(4)) {
          case 0: // another thread frees it
            give(&handed_on, address);
            break;
          case 1: {
            p.begin_realloc(address);
            uint64_t to = take(&unused);
            if (to != 0) give(&unused, address);
            p.end_realloc(to != 0 ? to : address, 12);
            release(to != 0 ? to : address);
            moved++;
            break;
          }
          case 2:
            if (kept < kKept && turn % 8 == 0) {
              kept++; // for good
              break;
            }
            [[fallthrough]];
          default:
            release(address);
        }
        if (uint64_t other = take(&handed_on); other != 0) release(other);
      }
      while (uint64_t other = take(&handed_on)) release(other);
      allocated += own, freed += ended, reallocated += moved;
    });
  }
  for (std::thread &thread : threads) thread.join();
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  uint64_t left = handed_on.size();
  CHECK_EQUAL(allocated.load(), r.total(kProcesses, "allocations"));
  CHECK_EQUAL(reallocated.load(), r.total(kProcesses, "reallocations"));
  // Which of two blocks at one address has been freed may be mistaken, and with it 8 or 12 bytes. On a
  // machine with more to do, rarely, that leaves a free without a block (docs/limits.md); it is said so.
  uint64_t unmatched = r.total(kProcesses, "unmatched_frees");
  CHECK(unmatched <= freed / 10'000);
  // One that was put off until its address had been taken again is a block that was freed unseen, and a
  // free without a block: two of these, and the counts are right.
  uint64_t counted = r.total(kProcesses, "deallocations"),
           live = r.total(kProcesses, "live_blocks");
  CHECK(counted <= freed + unmatched && freed <= counted + unmatched);
  CHECK_EQUAL(allocated - counted, live);
  CHECK(r.total(kProcesses, "live_bytes") >= live * 8);
  CHECK(r.total(kProcesses, "live_bytes") <= live * 12);
  CHECK_EQUAL(0u, left);
  CHECK_EQUAL(static_cast<size_t>(kWorkers), r.rows(kThreads));
  // No block is ever more alive than addresses there are.
  CHECK(r.total(kProcesses, "peak_bytes") <= (64 + kWorkers * kKept) * 12);
}

// More blocks than the nearer caches hold, so that the decoder looks ahead: in pages and elsewhere, at
// addresses that are used again at once.
TEST(a_large_heap_is_recorded_exactly) {
  struct Block {
    uint64_t address, size;
    uint32_t context;
  };
  constexpr uint64_t kBlocks = 400'000, kTurns = 600'000;
  constexpr uint32_t kNodes = 3'000;
  std::vector<uint64_t> unused, held(kNodes);
  for (uint64_t i = kBlocks * 2; i > 0; i--) unused.push_back(i * 48 + (i % 50 == 0 ? 8 : 0));
  std::vector<Block> live;
  uint64_t bytes = 0, peak = 0, frees = 0;
  std::mt19937_64 random(1);
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  in_thread(session, session.register_process(), [&](Producer &p) {
    for (uint32_t i = 0; i < kNodes; i++) p.node(HT_NODE_FIRST + i, 0x1000 + i);
    auto allocate = [&](uint32_t context) {
      uint64_t size = 1 + random() % (random() % 97 == 0 ? 5'000 : 200);
      live.push_back({unused.back(), size, context});
      unused.pop_back();
      held[context] += size;
      bytes += size;
      peak = std::max(peak, bytes);
      p.allocate(live.back().address, size, HT_NODE_FIRST + context);
    };
    for (uint32_t i = 0; i < kNodes; i++) allocate(i); // in the order of their contexts
    while (live.size() < kBlocks) allocate(static_cast<uint32_t>(random() % kNodes));
    for (uint64_t i = 0; i < kTurns; i++) {
      if (random() % 2 == 0) {
        allocate(static_cast<uint32_t>(random() % kNodes));
        continue;
      }
      std::swap(live[random() % live.size()], live.back());
      p.free(live.back().address);
      held[live.back().context] -= live.back().size;
      bytes -= live.back().size;
      frees++;
      unused.push_back(live.back().address);
      live.pop_back();
    }
  });
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(live.size() + frees, r.total(kProcesses, "allocations"));
  CHECK_EQUAL(frees, r.total(kProcesses, "deallocations"));
  CHECK_EQUAL(0u, r.total(kProcesses, "unmatched_frees"));
  CHECK_EQUAL(bytes, r.total(kProcesses, "live_bytes"));
  CHECK_EQUAL(peak, r.total(kProcesses, "peak_bytes"));
  CHECK_EQUAL(peak, r.total(kPeak, "bytes"));
  std::vector<uint64_t> left(kNodes); // by context, as the reader has the columns
  const std::vector<uint64_t> &in = r.column(kDeltas, "bytes_in", kNodes);
  const std::vector<uint64_t> &out = r.column(kDeltas, "bytes_out", kNodes);
  for (uint32_t i = 0; i < kNodes; i++) left[i] = in[i] - out[i];
  CHECK(left == held);
}

// Everything that a process wrote before it was killed is in the file.
TEST(a_killed_process_loses_nothing) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  int said[2];
  CHECK_EQUAL(0, pipe(said));
  pid_t child = fork();
  if (child == 0) {
    uint32_t slot = session.register_process();
    Producer p(session.session, slot);
    p.node(HT_NODE_FIRST, 0x1000);
    uint64_t count = 0;
    for (;;) {
      p.allocate(16 * ++count, 10, HT_NODE_FIRST);
      if (write(said[1], &count, sizeof count) < 0) _exit(1);
    }
  }
  close(said[1]);
  uint64_t count = 0, last = 0;
  while (last < 20'000 && read(said[0], &count, sizeof count) == sizeof count) last = count;
  kill(child, SIGKILL);
  while (read(said[0], &count, sizeof count) == sizeof count) last = count;
  waitpid(child, nullptr, 0);
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  uint64_t recorded = r.total(kProcesses, "allocations");
  CHECK(recorded == last || recorded == last + 1);
  CHECK_EQUAL(recorded * 10, r.total(kPeak, "bytes"));
  CHECK(r.total(kProcesses, "end") > 0);
  CHECK(r.total(kThreads, "end") > 0);
}

// A target may scribble over its rings: the collector goes on, and so do other threads.
TEST(garbage_in_a_ring_does_no_harm) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  Random random(11);
  in_thread(session, slot, [&](Producer &p) {
    for (int i = 0; i < 20'000; i++) {
      uint64_t word = random();
      if (word >> 56 < 12) word |= uint64_t{random.below(10)} << 56;
      // Events of all kinds and of none, with values that were never promised.
      if (word >> 56 == HT_OP_META) word = HT_WORD(HT_OP_META, 0, random() & 0x01ff'007f);
      p.emit({word == 0 ? 1 : word, random(), random() >> random.below(64), random(), random()});
    }
  });
  in_thread(session, slot, [&](Producer &p) {
    for (uint64_t i = 1; i <= 1000; i++) p.allocate(i << 20, 3, 0, HT_KIND_NEW);
  });
  {
    // A head that goes wrong, on a ring of its own.
    std::thread([&] {
      Producer p(session.session, slot);
      p.allocate(uint64_t{5000} << 20, 3);
      for (uint32_t i = 0; i < session.session.rings_used(); i++) {
        if (session.session.ring(i).tid == static_cast<uint32_t>(gettid())) {
          shared_store(session.session.ring(i).head, ~uint64_t{0} / 3);
          usleep(20'000);
        }
      }
    }).join();
  }
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(std::string("finished"), r.end_reason);
  uint64_t sane = 0;
  for (size_t i = 0; i < r.rows(kContexts); i++) {
    if (r.tables[kContexts]["kind"][i] == HT_KIND_NEW && r.tables[kContexts]["thread"][i] == 1) {
      sane += r.tables[kDeltas]["blocks_in"].at(i);
    }
  }
  CHECK_EQUAL(1000u, sane);
}

// Each at a stack of its own.
void allocate_until_refused(Producer &p) {
  uint32_t node = HT_NODE_FIRST;
  for (uint64_t i = 1; !p.refused(); i++) {
    p.node(node, i * 8);
    p.allocate(i * 16, 10, node++);
    if (i % 100 == 0) usleep(500);
  }
}

TEST(a_full_disk_ends_the_recording_cleanly) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  with_size_limit(400'000, [&] {
    in_thread(session, slot, allocate_until_refused);
    recorder.wait();
  });
  const ht_session_header &header = session.session.header();
  CHECK_EQUAL(static_cast<uint32_t>(HT_STATE_STOPPED), header.state);
  CHECK_EQUAL(static_cast<uint32_t>(HT_ERROR_DISK_FULL), header.error);
  CHECK_EQUAL(EFBIG, header.error_errno);
  CHECK(std::string(header.error_text).find("a.tide") != std::string::npos);
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(std::string("disk-full"), r.end_reason);
  CHECK(r.rows(kContexts) > 0);
  CHECK(testing::is_finished(scratch.path("a.tide")));
}

// A round that does not fit leaves room for the states that come last, which are of a later moment.
TEST(a_full_disk_ends_the_peak_with_the_deltas) {
  Scratch scratch;
  TestSession session;
  Recorder recorder(session, options_for(scratch));
  uint32_t slot = session.register_process();
  with_size_limit(120'000, [&] {
    in_thread(session, slot, [&](Producer &p) {
      uint32_t node = HT_NODE_FIRST;
      for (uint64_t i = 1; i <= 8050; i++) {
        p.node(node, i * 8);
        p.allocate(i * 16, 10, node++);
        if (i == 50) usleep(300'000);
        if (i > 50) p.free(i * 16);
      }
      p.node(node, 8);
      p.allocate(1 << 20, 1'000'000, node);
      while (!p.refused()) {
        p.allocate(2 << 20, 10, HT_NODE_FIRST);
        p.free(2 << 20);
        usleep(500);
      }
    });
    recorder.wait();
  });
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(std::string("disk-full"), r.end_reason);
  CHECK(r.total(kPeak, "bytes") <= r.total(kDeltas, "bytes_in"));
  for (uint64_t context : r.tables[kPeak]["context"]) CHECK(context < r.rows(kContexts));
}

TEST(limits_end_the_recording) {
  for (bool by_size : {false, true}) {
    Scratch scratch;
    TestSession session;
    Options options = options_for(scratch);
    (by_size ? options.max_bytes : options.duration_ns) = by_size ? 2'000'000 : 300'000'000;
    Recorder recorder(session, options);
    uint32_t slot = session.register_process();
    in_thread(session, slot, allocate_until_refused);
    recorder.wait();
    ReadRecording r(scratch.path("a.tide"));
    CHECK_EQUAL(std::string(by_size ? "max-size" : "duration"), r.end_reason);
    CHECK_EQUAL(by_size ? uint32_t{HT_ERROR_MAX_SIZE} : uint32_t{HT_ERROR_NONE},
                session.session.header().error);
    if (by_size) {
      CHECK(session.session.header().file_bytes <= options.max_bytes);
      CHECK(session.session.header().file_bytes > options.max_bytes / 3);
    }
  }
}

TEST(a_paused_session_begins_when_told) {
  Scratch scratch;
  TestSession session;
  Options options = options_for(scratch);
  options.start_after_ns = 50'000'000;
  Recorder recorder(session, options);
  while (session.session.state() == HT_STATE_PAUSED) usleep(1000);
  CHECK_EQUAL(HT_STATE_RECORDING, session.session.state());
  recorder.finish();
  ReadRecording r(scratch.path("a.tide"));
  CHECK_EQUAL(0u, r.rows(kProcesses));
  CHECK_EQUAL(std::string("finished"), r.end_reason);
  CHECK(r.tables[18]["time"].at(0) >= 50'000'000);
}

TEST(meta_is_completed) {
  Options options;
  options.command = {"a \"b\"", "c\xff"};
  std::vector<std::string> keys;
  std::string meta = make_meta(options, HT_CONFIG_FOLLOW, 512, 1.5);
  CHECK(json_keys(meta, &keys));
  CHECK_EQUAL(8u, keys.size());
  CHECK(meta.find("\"command\": [\"a \\\"b\\\"\", \"c\xef\xbf\xbd\"]") != std::string::npos);
  CHECK(meta.find("\"native\": \"off\", \"sample_interval\": 512, \"follow\": true") !=
        std::string::npos);
  keys.clear();
  options.meta = R"({"command": ["x", {"y": "}"}], "own": 1 } )";
  meta = make_meta(options, 0, 0, 1);
  CHECK(json_keys(meta, &keys));
  CHECK_EQUAL(9u, keys.size());
  CHECK_EQUAL(1, std::count(keys.begin(), keys.end(), "command"));
  CHECK(!json_keys("[1]", &keys) && !json_keys("{\"a\": ", &keys) && !json_keys("", &keys));
}

TEST(options_are_checked) {
  auto parse = [](std::vector<std::string> words, Options *options) {
    std::vector<char *> argv;
    words.insert(words.begin(), "heaptide-collector");
    for (std::string &word : words) argv.push_back(word.data());
    std::string error;
    bool good = parse_options(static_cast<int>(argv.size()), argv.data(), options, &error);
    CHECK_EQUAL(good, error.empty());
    return good;
  };
  Options options;
  CHECK(parse({"--output", "x", "--duration", "1.5", "--max-size", "99", "--start-after", "1e-2",
               "--", "ls", "--output", "y"},
              &options));
  CHECK_EQUAL(std::string("x"), options.output);
  CHECK_EQUAL(1'500'000'000u, options.duration_ns);
  CHECK_EQUAL(10'000'000u, options.start_after_ns);
  CHECK_EQUAL(99u, options.max_bytes);
  CHECK_EQUAL(3u, options.command.size());
  for (auto words : std::vector<std::vector<std::string>>{{},
                                                          {"--output"},
                                                          {"--output", "x", "--duration", "soon"},
                                                          {"--output", "x", "--max-size", "-1"},
                                                          {"--output", "x", "--what", "y"}}) {
    Options other;
    CHECK(!parse(words, &other));
  }
}

} // namespace
} // namespace heaptide
