// heaptrack's files as recordings: their figures, their dialects, and what is wrong with broken ones.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/heaptrack_log.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

constexpr std::string_view kHead =
    "v 10400 3\nX app one two\nI 1000 1000\ns 8 /bin/app\ns 4 main\ns 6 main.c\ns 4 leaf\n"
    "i 1000 1 2 3 a\ni 1010 1 4 3 14\nt 1 0\nt 2 1\n";

struct Read {
  bool good = false;
  std::string error;
  uint64_t calls = 0, live = 0, peak = 0, temporary = 0;
  bool raw = false;
};

Read read(std::string_view log) {
  int fd = memfd_create("log", MFD_CLOEXEC);
  CHECK(fd >= 0);
  CHECK(write(fd, log.data(), log.size()) == static_cast<ssize_t>(log.size()));
  lseek(fd, 0, SEEK_SET);
  Imported imported;
  HeaptrackLog reader(imported);
  Read found;
  std::string path = "/tmp/heaptide-test-" + std::to_string(getpid()) + ".tide";
  CHECK(imported.create(path, &found.error));
  unlink(path.c_str());
  found.good = reader.read(fd, &found.error);
  close(fd);
  found.calls = imported.book().totals().allocations;
  found.live = imported.book().live_bytes();
  found.peak = imported.book().peak_bytes();
  found.raw = reader.is_raw();
  for (uint32_t count : reader.temporary()) found.temporary += count;
  std::string error;
  if (found.good) CHECK(imported.finish("{}", {}, &error));
  return found;
}

std::string with(std::string_view rest) { return std::string(kHead) + std::string(rest); }

TEST(heaptrack_events) {
  Read found = read(with("a 64 2\na 8 1\nc 0\n+ 0\n+ 1\nR 10\n- 1\nc a\n+ 0\n- 0\nc 14\n"));
  CHECK(found.good);
  CHECK(found.calls == 3);
  CHECK(found.peak == 200);
  CHECK(found.live == 100);
  // The second is freed next after it came; and the third.
  CHECK(found.temporary == 2);
}

TEST(heaptrack_kind_0_after_a_free_is_temporary_to_heaptrack) {
  CHECK(read(with("a 8 1\na 9 1\n+ 0\n+ 0\n+ 1\n- 0\n- 0\n")).temporary == 1);
  CHECK(read(with("a 9 1\na 8 1\n+ 1\n+ 1\n+ 0\n- 1\n- 1\n")).temporary == 0);
}

TEST(heaptrack_frees_of_what_was_there_before) {
  Read found = read(with("a 8 1\n- 0\n+ 0\n- 0\n- 0\n"));
  CHECK(found.good && found.calls == 1 && found.live == 0);
}

TEST(heaptrack_old_versions) {
  Read found = read("v 10100 2\nX app\ns a b\ns main\ni 10 1 2\nt 1 0\na 8 1\n+ 0\n+ 0\n- 0\n");
  CHECK(found.good && found.calls == 2 && found.live == 8);
  found = read("v 10200\ns main\ni 10 0 1\nt 1 0\na 8 1\n+ 0\n");
  CHECK(found.good && found.calls == 1);
  // Before there were kinds, events had pointers.
  found = read("v 10000\ns main\ni 10 0 1\nt 1 0\n+ 8 1 500\n+ 10 1 600\n- 500\n- 777\n");
  CHECK(found.good && found.calls == 2 && found.live == 16 && found.peak == 24);
}

TEST(heaptrack_raw) {
  Read found = read(
      "v 10400 3\nx 8 /bin/app\nX app\nI 1000 1\nm 1 x 1000 0 1000 2000 1000\nm 9 /lib/a.so 9000 0 "
      "10\n"
      "t 1010 0\nt 9001 1\n+ 40 2 5000\n+ 8 1 6000\nc 5\n- 5000\nm 1 -\nc 9\n");
  CHECK(found.good && found.raw);
  CHECK(found.calls == 2 && found.live == 8 && found.peak == 72);
}

TEST(heaptrack_suppressions_of_both_dialects_and_comments) {
  Read found = read(with("S leak:one\nS 8 leak:two\n# comment\n\nA\na 8 1\n+ 0\n"));
  CHECK(found.good && found.calls == 1);
}

TEST(heaptrack_errors_name_the_line) {
  auto refused = [](std::string_view log, std::string_view error) {
    Read found = read(log);
    CHECK(!found.good);
    CHECK(found.error.find(error) != std::string::npos);
  };
  refused("", "line 1: it is no heaptrack file");
  refused("X app\n", "line 1: the version");
  refused("v 10400 4\n", "line 1: it is of a newer heaptrack");
  refused("v 10400 3\nv 10400 3\n", "line 2: there is a second version");
  refused(with("X again\n"), "line 12: there is a second command");
  refused(with("t 9 0\n"), "line 12: there is no such instruction");
  refused(with("t 1 9\n"), "line 12: its parent is not there yet");
  refused(with("s 9 short\n"), "line 12: the text is not as long");
  refused(with("i 10 77\n"), "line 12: there is no such string");
  refused(with("a 8 77\n"), "line 12: there is no such trace");
  refused(with("a ffffffffffffffff 1\n"), "line 12: the size is out of range");
  refused(with("q\n"), "line 12: it is no record");
}

TEST(heaptrack_events_that_make_no_sense_are_passed_over) {
  Read found = read(with("a 8 1\n+ 0\n+ 77\n+ AB\n- zz\nc xyz\n+ 0\n"));
  CHECK(found.good && found.calls == 2);
}

TEST(heaptrack_a_cut_last_line) {
  CHECK(read(with("a 8 1\n+ 0\ns 9 cu")).good);
  CHECK(read(with("a 8 1\n+ 0\n+")).good);
}

TEST(heaptrack_sums_do_not_overflow) {
  std::string log = with("a 1fffffffffffffff 1\n");
  for (int i = 0; i < 100; i++) log += "+ 0\n- 0\n";
  Read found = read(log);
  CHECK(found.good && found.calls <= 2);
}

// Changed files end in an answer; the sanitizers see to the rest.
TEST(heaptrack_mutated) {
  const std::string seeds[] = {
      with("a 64 2\na 8 1\nc 0\n+ 0\n+ 1\nR 10\n- 1\nc a\n+ 0\n- 0\nc 14\n"),
      "v 10400 3\nx 8 /bin/app\nX app\nm 1 x 1000 0 1000\nt 1010 0\n+ 40 1 5000\n- 5000\nc 9\n",
      "v 10000\ns main\ni 10 0 1\nt 1 0\n+ 8 1 500\n+ 10 1 600\n- 500\n"};
  const std::string_view words[] = {"0", "1", "ffffffffffffffff", "7fffffff", "", " ", "\n", "zz"};
  testing::Random random(1);
  auto below = [&](size_t n) { return static_cast<size_t>(random.below(n)); };
  unsigned good = 0;
  for (int round = 0; round < 3000; round++) {
    std::string log = seeds[below(std::size(seeds))];
    for (size_t change = 0; change <= below(4); change++) {
      size_t at = below(log.size());
      switch (below(4)) {
        case 0:
          log[at] = static_cast<char>(below(256));
          break;
        case 1:
          log.replace(at, below(5), words[below(std::size(words))]);
          break;
        case 2:
          log.insert(at, log.substr(below(log.size()), below(30)));
          break;
        default:
          log.resize(at + 1);
      }
    }
    Read found = read(log);
    CHECK(found.good || found.error.starts_with("line "));
    good += found.good;
  }
  CHECK(good > 0);
}

} // namespace
} // namespace heaptide
