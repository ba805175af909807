// What tests of whole recordings share.
#ifndef HEAPTIDE_COLLECTOR_TESTS_RECORDINGS_H
#define HEAPTIDE_COLLECTOR_TESTS_RECORDINGS_H

#include <initializer_list>
#include <string>
#include <thread>

#include "collector/tests/check.h"
#include "collector/tests/producer.h"
#include "collector/tests/reader.h"

namespace heaptide::testing {

inline constexpr int kProcesses = 3, kThreads = 4, kContexts = 9, kDeltas = 10, kTimeline = 11,
                     kPeak = 12, kLifetimes = 13, kSizes = 14, kMarks = 15, kNotes = 16;

inline Options options_for(const Scratch &scratch) {
  Options options;
  options.output = scratch.path("a.tide");
  return options;
}

inline std::string fields(std::initializer_list<uint64_t> numbers, unsigned width) {
  std::string bytes;
  for (uint64_t number : numbers) {
    bytes.append(reinterpret_cast<const char *>(&number), width);
  }
  return bytes;
}

inline std::string text_field(const std::string &text) { return fields({text.size()}, 4) + text; }

// Bytes alive when the sum over all processes was highest.
inline uint64_t sum_at_peak(ReadRecording &r) {
  uint64_t sum = 0;
  for (size_t i = 0; i < r.rows(kPeak); i++) {
    if (r.tables[kPeak]["process"][i] == 0xffffffff) sum += r.tables[kPeak]["bytes"][i];
  }
  return sum;
}

// A thread has a ring until it ends.
template <class Body>
void in_thread(TestSession &session, uint32_t slot, Body body) {
  std::thread([&] {
    Producer producer(session.session, slot);
    body(producer);
  }).join();
}

} // namespace heaptide::testing

#endif
