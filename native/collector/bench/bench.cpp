// How many events a second one core decodes and counts, by the number of live blocks: an in-memory
// stream through the same path as the rings'. Frees are of random blocks.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include <time.h>

#include "collector/decoder.h"

namespace heaptide {
namespace {

class Silent : public MetaListener {
  void on_process(Stream &, uint32_t, std::string_view,
                  const std::vector<std::string_view> &) override {}
  void on_thread_name(Stream &, uint32_t, std::string_view) override {}
  void on_mark(Stream &, uint64_t, std::string_view) override {}
  void on_note(Stream &, std::string_view) override {}
};

struct Case {
  size_t live, stacks;
};

using Words = std::vector<uint64_t>; // whole blocks

void put(Words *words, std::initializer_list<uint64_t> event) {
  size_t used = words->size() % HT_BLOCK_WORDS;
  if (used + event.size() > HT_BLOCK_WORDS)
    words->resize((words->size() / HT_BLOCK_WORDS + 1) * HT_BLOCK_WORDS);
  if (words->size() % HT_BLOCK_WORDS == 0) words->push_back(words->size()); // a block's header
  words->insert(words->end(), event);
}

double cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Runs the blocks through the decoder; returns nanoseconds of processor time.
double run(Decoder *decoder, Stream *stream, Words *words) {
  words->resize((words->size() / HT_BLOCK_WORDS + 2) * HT_BLOCK_WORDS);
  double start = cpu_ns();
  const uint64_t *end = words->data() + words->size() - HT_BLOCK_WORDS;
  for (const uint64_t *block = words->data(); block < end; block += HT_BLOCK_WORDS) {
    stream->time += 3000;
    const uint64_t *next = block + HT_BLOCK_WORDS;
    decoder->decode(*stream, {block + 1, next, next}, {.rest = Misfit::kCount},
                    {stream, {next + 1, next + HT_BLOCK_WORDS, next + HT_BLOCK_WORDS}});
  }
  return cpu_ns() - start;
}

void measure(const Case &c, size_t events) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Silent silent;
  Decoder decoder(aggregator, silent);
  Definitions definitions;
  Image image(definitions, 0);
  Stream stream;
  stream.book = &aggregator.add_process();
  stream.image = &image;
  stream.thread = &aggregator.add_thread(*stream.book);
  std::mt19937_64 random(1);

  // Addresses as an allocator hands them out: 16 bytes apart, reused last in, first out.
  std::vector<uint64_t> unused, live;
  for (size_t i = c.live * 5 / 4 + 64; i-- > 0;) unused.push_back(0x7f0000000000ull + i * 48);
  Words words;
  for (size_t i = 0; i < c.stacks; i++) {
    put(&words, {HT_WORD(HT_OP_NODE, 0, HT_NODE_FIRST + i), 0x400000 + i * 8, HT_NODE_ROOT_NATIVE});
  }
  auto allocate = [&] {
    uint64_t node = HT_NODE_FIRST + random() % c.stacks;
    uint64_t size = 16 + random() % 200;
    put(&words, {HT_WORD(HT_OP_ALLOC, HT_KIND_MALLOC, unused.back()), node << 32 | size});
    live.push_back(unused.back());
    unused.pop_back();
  };
  for (size_t i = 0; i < c.live; i++) allocate();
  double filling = run(&decoder, &stream, &words);
  uint64_t table = aggregator.table_bytes();

  double steady = 1e300;
  size_t counted = 0;
  for (int repeat = 0; repeat < 5; repeat++) {
    words.clear();
    for (counted = 0; counted < events; counted++) {
      if (live.size() > c.live * 9 / 10 && (random() & 1 || unused.empty())) {
        std::swap(live[random() % live.size()], live.back());
        put(&words, {HT_WORD(HT_OP_FREE, HT_KIND_MALLOC, live.back())});
        unused.push_back(live.back());
        live.pop_back();
      } else if (!unused.empty()) {
        allocate();
      }
    }
    steady = std::min(steady, run(&decoder, &stream, &words));
  }
  std::printf(
      "%9zu live  %6zu stacks  %6.1f M events/s (%4.1f ns)  filling %6.1f M/s  %4.1f B a block\n",
      c.live, c.stacks, static_cast<double>(counted) / steady * 1e3,
      steady / static_cast<double>(counted), static_cast<double>(c.live) / filling * 1e3,
      static_cast<double>(table) / static_cast<double>(c.live));
}

} // namespace
} // namespace heaptide

int main(int argc, char **argv) {
  size_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 4'000'000;
  constexpr heaptide::Case kCases[] = {
      {4'000, 100}, {100'000, 5'000}, {1'000'000, 20'000}, {10'000'000, 100'000}};
  size_t only = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0; // live blocks
  for (const heaptide::Case &c : kCases) {
    if (only == 0 || c.live == only) heaptide::measure(c, events);
  }
  return 0;
}
