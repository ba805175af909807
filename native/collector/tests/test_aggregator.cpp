// The aggregator against a model that keeps everything and computes each figure from scratch.
#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "collector/aggregator.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

using testing::Random;

struct ModelBlock {
  uint64_t size;
  uint32_t context; // row
  uint64_t sequence;
  uint64_t born;
};

struct ModelContext {
  uint32_t process, thread;
  unsigned kind;
  uint64_t live_bytes = 0, live_blocks = 0, bytes_in = 0, blocks_in = 0, bytes_out = 0,
           blocks_out = 0, reallocations = 0, copied = 0;
  uint64_t counters[kCounters] = {};
};

using Composition = std::map<uint32_t, std::pair<uint64_t, uint64_t>>; // row -> bytes, blocks

struct ModelProcess {
  std::map<uint64_t, ModelBlock> blocks;
  uint64_t live = 0, peak = 0, peak_time = 0, arena = 0, arena_peak = 0, unmatched = 0;
  Composition at_peak;
  bool ended = false;
};

unsigned lifetime_bucket(uint64_t further) {
  const uint64_t bounds[] = {0, 1, 7, 63, 511, 4095, 32767};
  return static_cast<unsigned>(std::lower_bound(bounds, bounds + 7, further) - bounds);
}

unsigned time_bucket(uint64_t ns) {
  unsigned bucket = 0;
  for (uint64_t bound = 1'000'000; bucket < 7 && ns >= bound; bound *= 10) bucket++;
  return bucket;
}

unsigned size_bucket(uint64_t size) {
  const uint64_t bounds[] = {16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576};
  return static_cast<unsigned>(std::lower_bound(bounds, bounds + 11, size) - bounds);
}

class Model {
 public:
  std::vector<ModelProcess> processes;
  std::vector<ModelContext> contexts;
  std::vector<uint64_t> sequences; // by thread
  std::vector<uint64_t> frees;     // by thread
  uint64_t sum = 0, sum_peak = 0;
  Composition at_sum_peak;
  uint64_t now = 0;

  void enter(uint32_t context, uint64_t bytes) {
    ModelContext &c = contexts[context];
    c.live_bytes += bytes, c.live_blocks++, c.bytes_in += bytes, c.blocks_in++;
    c.counters[kBySize + size_bucket(bytes)]++;
    ModelProcess &p = processes[c.process];
    if (c.kind == HT_KIND_ARENA) {
      p.arena += bytes;
      p.arena_peak = std::max(p.arena_peak, p.arena);
    } else {
      p.live += bytes;
      sum += bytes;
    }
  }
  void leave(uint32_t context, uint64_t bytes, bool whole) {
    ModelContext &c = contexts[context];
    c.live_bytes -= bytes, c.live_blocks -= whole, c.bytes_out += bytes, c.blocks_out += whole;
    ModelProcess &p = processes[c.process];
    if (c.kind == HT_KIND_ARENA) {
      p.arena -= bytes;
    } else {
      p.live -= bytes;
      sum -= bytes;
    }
  }
  void end_of_life(const ModelBlock &block) {
    ModelContext &c = contexts[block.context];
    c.counters[kByAllocations + lifetime_bucket(sequences[c.thread] - block.sequence)]++;
    uint64_t ticks = now / kTickNs - block.born / kTickNs;
    c.counters[kByTime + time_bucket(ticks * kTickNs)]++;
  }
  void look_at_peaks(uint32_t process) {
    ModelProcess &p = processes[process];
    if (p.live > p.peak) {
      p.peak = p.live;
      p.peak_time = now;
      p.at_peak = composition([&](const ModelContext &c) { return c.process == process; });
    }
    if (sum > sum_peak) {
      sum_peak = sum;
      at_sum_peak = composition([&](const ModelContext &c) { return !processes[c.process].ended; });
    }
  }
  Composition composition(const std::function<bool(const ModelContext &)> &wanted) const {
    Composition all;
    for (uint32_t i = 0; i < contexts.size(); i++) {
      const ModelContext &c = contexts[i];
      if (c.kind == HT_KIND_ARENA || !wanted(c) || c.live_blocks + c.live_bytes == 0) continue;
      all[i] = {c.live_bytes, c.live_blocks};
    }
    return all;
  }
};

struct Summed {
  uint64_t blocks_in = 0, bytes_in = 0, blocks_out = 0, bytes_out = 0, reallocations = 0,
           copied = 0, temporary = 0, short_lived = 0;
};

// Drives both with the same random events, in several processes and threads.
class Pair {
 public:
  Pair(uint64_t seed, size_t processes)
      : random_(seed), aggregator_(0, [this](const SliceRows &rows) { add(rows); }) {
    for (size_t i = 0; i < processes; i++) add_process();
  }

  void run(int events) {
    for (int i = 0; i < events; i++) {
      if (random_.below(40) == 0) model.now += random_.below(3'000'000);
      if (random_.below(20'000) == 0) model.now += random_.below(20'000'000'000);
      aggregator_.advance(model.now);
      uint32_t process = static_cast<uint32_t>(random_.below(model.processes.size()));
      if (model.processes[process].ended) continue;
      event(process);
      model.look_at_peaks(process);
    }
  }

  void end_process(uint32_t process) {
    aggregator_.end_process(aggregator_.book(process));
    ModelProcess &p = model.processes[process];
    p.ended = true;
    model.sum -= p.live;
  }

  void add_process() {
    Book &book = aggregator_.add_process();
    model.processes.emplace_back();
    threads_.emplace_back();
    flights_.emplace_back();
    maps_.emplace_back();
    for (int i = 0; i < 3; i++) {
      threads_.back().push_back(&aggregator_.add_thread(book));
      model.sequences.push_back(0);
      model.frees.push_back(0);
    }
    flights_.back().resize(3);
  }

  void check() {
    aggregator_.end_last_slice();
    for (uint32_t row = 0; row < model.processes.size(); row++) check_process(row);
    for (uint32_t i = 0; i < model.contexts.size(); i++) {
      const ModelContext &c = model.contexts[i];
      const Summed &s = slices_[i];
      CHECK_EQUAL(c.blocks_in, s.blocks_in);
      CHECK_EQUAL(c.bytes_in, s.bytes_in);
      CHECK_EQUAL(c.blocks_out, s.blocks_out);
      CHECK_EQUAL(c.bytes_out, s.bytes_out);
      CHECK_EQUAL(c.reallocations, s.reallocations);
      CHECK_EQUAL(c.copied, s.copied);
      CHECK_EQUAL(c.counters[0], s.temporary);
      CHECK_EQUAL(c.counters[0] + c.counters[1] + c.counters[2], s.short_lived);
    }
    std::map<std::pair<uint64_t, uint64_t>, uint64_t> spread;
    for (const ModelContext &c : model.contexts) {
      if (c.kind == HT_KIND_ARENA) continue;
      for (unsigned i = 0; i < kCounters; i++) {
        if (c.counters[i] != 0) spread[{c.thread, i}] += c.counters[i];
      }
    }
    CHECK(spread == spread_);
    CHECK_EQUAL(model.sum_peak, aggregator_.peak_bytes());
    CHECK_EQUAL(model.sum, aggregator_.live_bytes());
    Composition at_sum_peak;
    for (uint32_t row = 0; row < model.processes.size(); row++) {
      aggregator_.book(row).each_context([&](const ContextSums &sums) {
        if (sums.kind != HT_KIND_ARENA && sums.sum_blocks + sums.sum_bytes != 0) {
          at_sum_peak[sums.row] = {sums.sum_bytes, sums.sum_blocks};
        }
      });
    }
    CHECK(model.at_sum_peak == at_sum_peak);
  }

  Model model;

 private:
  void add(const SliceRows &rows) {
    CHECK(rows.start < rows.end);
    CHECK(rows.start >= last_end_);
    CHECK_EQUAL(next_slice_++, rows.number);
    last_end_ = rows.end;
    for (size_t i = 0; i < rows.context.size(); i++) {
      Summed &s = slices_[rows.context[i]];
      s.blocks_in += rows.blocks_in[i], s.bytes_in += rows.bytes_in[i];
      s.blocks_out += rows.blocks_out[i], s.bytes_out += rows.bytes_out[i];
      s.reallocations += rows.reallocations[i], s.copied += rows.copied_bytes[i];
      s.temporary += rows.temporary[i], s.short_lived += rows.short_lived[i];
    }
    for (size_t i = 0; i < rows.spread.blocks.size(); i++) {
      spread_[{rows.spread.thread[i], rows.spread.bucket[i]}] += rows.spread.blocks[i];
    }
  }

  uint32_t context(uint32_t process, Thread &thread, unsigned kind, uint32_t *row) {
    uint32_t stack = static_cast<uint32_t>(random_.below(12));
    Book &book = aggregator_.book(process);
    uint32_t index = aggregator_.context(book, thread, stack, kind);
    *row = book.contexts().row(index);
    if (*row == model.contexts.size()) {
      model.contexts.push_back({});
      model.contexts.back().process = process;
      model.contexts.back().thread = thread.row;
      model.contexts.back().kind = kind;
    }
    return index;
  }

  void event(uint32_t process) {
    size_t which = random_.below(3);
    Thread &thread = *threads_[process][which];
    InFlight &flight = flights_[process][which];
    uint64_t kind_of_event = random_.below(100);
    if (flight.active) return end_realloc(process, thread, flight);
    if (kind_of_event < 45) return allocate(process, thread);
    if (kind_of_event < 80) return free(process, thread);
    if (kind_of_event < 90) return begin_realloc(process, flight);
    map(process, thread);
  }

  uint64_t some_size() {
    return random_.below(50) == 0 ? random_.below(uint64_t{1} << 36) : random_.below(300);
  }
  uint64_t some_address() { return 16 * (1 + random_.below(3000)); }

  void allocate(uint32_t process, Thread &thread) {
    ModelProcess &p = model.processes[process];
    uint64_t address = some_address(), size = some_size();
    Book &book = aggregator_.book(process);
    uint32_t row, index = context(process, thread, random_.below(5), &row);
    bool fits = !p.blocks.contains(address);
    CHECK_EQUAL(fits, book.allocate(thread, address, size, index, Misfit::kRefuse));
    if (!fits) return;
    model.sequences[thread.row]++;
    p.blocks[address] = {size, row, model.sequences[thread.row], model.now};
    model.enter(row, size);
  }

  void free(uint32_t process, Thread &thread) {
    ModelProcess &p = model.processes[process];
    Book &book = aggregator_.book(process);
    uint64_t address = some_address();
    auto found = p.blocks.lower_bound(address);
    if (found != p.blocks.end() && random_.below(20) != 0) address = found->first;
    found = p.blocks.find(address);
    bool fits = found != p.blocks.end();
    CHECK_EQUAL(fits, book.free(thread, address, Misfit::kRefuse));
    if (!fits) {
      if (random_.below(2) != 0) return;
      CHECK(book.free(thread, address, Misfit::kCount));
      p.unmatched++;
      return;
    }
    model.end_of_life(found->second);
    model.leave(found->second.context, found->second.size, true);
    model.frees[thread.row]++;
    p.blocks.erase(found);
  }

  void begin_realloc(uint32_t process, InFlight &flight) {
    ModelProcess &p = model.processes[process];
    if (p.blocks.empty()) return;
    auto found = p.blocks.lower_bound(some_address());
    if (found == p.blocks.end()) found = p.blocks.begin();
    Thread &any = *threads_[process][0];
    CHECK(aggregator_.book(process).begin_realloc(any, found->first, flight, Misfit::kRefuse));
    in_flight_[&flight] = {found->first, found->second};
    p.blocks.erase(found);
  }

  void end_realloc(uint32_t process, Thread &thread, InFlight &flight) {
    ModelProcess &p = model.processes[process];
    Book &book = aggregator_.book(process);
    auto [old_address, old] = in_flight_[&flight];
    uint64_t outcome = random_.below(10);
    if (outcome == 0 && !p.blocks.contains(old_address)) { // failed
      CHECK(book.end_realloc(thread, flight, 0, 0, 0, false, Misfit::kRefuse));
      p.blocks[old_address] = old;
      return;
    }
    if (outcome == 1) { // of size 0
      CHECK(book.end_realloc(thread, flight, 0, 0, 0, true, Misfit::kRefuse));
      model.end_of_life(old);
      model.leave(old.context, old.size, true);
      model.frees[thread.row]++;
      return;
    }
    uint64_t address = outcome < 6 ? old_address : some_address(), size = some_size();
    uint32_t row, index = context(process, thread, random_.below(5), &row);
    bool fits = !p.blocks.contains(address);
    CHECK_EQUAL(fits,
                book.end_realloc(thread, flight, address, size, index, false, Misfit::kRefuse));
    if (!fits) return;
    model.leave(old.context, old.size, true);
    model.sequences[thread.row]++;
    p.blocks[address] = {size, row, model.sequences[thread.row], model.now};
    model.enter(row, size);
    model.contexts[row].reallocations++;
    if (address != old_address) model.contexts[row].copied += std::min(size, old.size);
  }

  // Mappings are modelled page by page.
  struct Mapped {
    ModelBlock block;
    size_t pages;
  };
  struct Maps {
    std::map<uint64_t, int> page; // page -> mapping
    std::map<int, Mapped> mappings;
    int next = 0;
  };

  // Takes pages away; returns what was hit, and whether all of it is gone.
  std::vector<std::pair<ModelBlock, bool>> take_pages(uint32_t process, uint64_t from,
                                                      uint64_t count) {
    std::vector<std::pair<ModelBlock, bool>> hit;
    Maps &maps = maps_[process];
    std::map<int, uint64_t> taken;
    for (uint64_t page = from; page < from + count; page++) {
      auto found = maps.page.find(page);
      if (found == maps.page.end()) continue;
      taken[found->second]++;
      maps.page.erase(found);
    }
    for (auto [number, pages] : taken) {
      Mapped &mapped = maps.mappings[number];
      mapped.pages -= pages;
      model.leave(mapped.block.context, pages * 4096, mapped.pages == 0);
      hit.push_back({mapped.block, mapped.pages == 0});
      if (mapped.pages == 0) maps.mappings.erase(number);
    }
    return hit;
  }

  void put_pages(uint32_t process, Thread &thread, uint32_t row, uint64_t from, uint64_t count) {
    Maps &maps = maps_[process];
    ModelBlock block = {count * 4096, row, model.sequences[thread.row], model.now};
    for (uint64_t page = from; page < from + count; page++) maps.page[page] = maps.next;
    maps.mappings[maps.next++] = {block, count};
    model.enter(row, count * 4096);
  }

  bool is_arena(const ModelBlock &block) {
    return model.contexts[block.context].kind == HT_KIND_ARENA;
  }

  void map(uint32_t process, Thread &thread) {
    Book &book = aggregator_.book(process);
    ModelProcess &p = model.processes[process];
    uint64_t from = 1000 + random_.below(200), count = 1 + random_.below(30);
    uint64_t what = random_.below(3);
    if (what == 0) {
      const unsigned kinds[] = {HT_KIND_MMAP, HT_KIND_SBRK, HT_KIND_ARENA};
      unsigned kind = kinds[random_.below(3)];
      uint32_t row, index = context(process, thread, kind, &row);
      bool free_range = true;
      for (uint64_t page = from; page < from + count; page++) {
        free_range = free_range && !maps_[process].page.contains(page);
      }
      CHECK_EQUAL(free_range, book.map(thread, from * 4096, count * 4096, index, Misfit::kRefuse));
      if (!free_range) { // in its place, with nobody having said that the old one goes
        for (auto &[block, whole] : take_pages(process, from, count)) {
          p.unmatched += whole && !is_arena(block);
        }
        CHECK(book.map(thread, from * 4096, count * 4096, index, Misfit::kCount));
      }
      if (kind != HT_KIND_ARENA) model.sequences[thread.row]++;
      put_pages(process, thread, row, from, count);
    } else if (what == 1) {
      auto hit = take_pages(process, from, count);
      CHECK_EQUAL(!hit.empty(), book.unmap(thread, from * 4096, count * 4096, Misfit::kRefuse));
      for (auto &[block, whole] : hit) {
        if (!whole || is_arena(block)) continue;
        model.end_of_life(block);
        model.frees[thread.row]++;
      }
    } else {
      uint64_t to = 2000 + random_.below(200), new_count = 1 + random_.below(30);
      uint32_t row, index = context(process, thread, HT_KIND_MMAP, &row);
      auto hit = take_pages(process, from, count);
      bool known = !hit.empty(), whole = true;
      for (auto &[block, gone] : hit) whole = whole && gone;
      CHECK(book.remap(thread, from * 4096, count * 4096, to * 4096, new_count * 4096, index,
                       Misfit::kCount));
      for (auto &[block, gone] : take_pages(process, to, new_count)) {
        p.unmatched += gone && !is_arena(block);
      }
      model.sequences[thread.row]++;
      put_pages(process, thread, row, to, new_count);
      if (known && whole) model.contexts[row].reallocations++;
    }
  }

  void check_process(uint32_t row) {
    const ModelProcess &p = model.processes[row];
    const Book &book = aggregator_.book(row);
    CHECK_EQUAL(p.live, book.live_bytes());
    CHECK_EQUAL(p.peak, book.peak_bytes());
    CHECK_EQUAL(p.peak_time, book.peak_time());
    CHECK_EQUAL(p.arena, book.arena_bytes());
    CHECK_EQUAL(p.arena_peak, book.arena_peak_bytes());
    CHECK_EQUAL(p.unmatched, book.unmatched_frees());
    Composition at_peak;
    book.each_context([&](const ContextSums &sums) {
      const ModelContext &c = model.contexts[sums.row];
      for (unsigned i = 0; i < kCounters; i++) CHECK_EQUAL(c.counters[i], sums.counters[i]);
      if (sums.kind != HT_KIND_ARENA && sums.peak_blocks + sums.peak_bytes != 0) {
        at_peak[sums.row] = {sums.peak_bytes, sums.peak_blocks};
      }
    });
    CHECK(p.at_peak == at_peak);
    uint64_t frees = 0, sequences = 0;
    for (Thread *thread : threads_[row]) {
      CHECK_EQUAL(model.frees[thread->row], thread->deallocations);
      CHECK_EQUAL(model.sequences[thread->row], thread->sequence);
      frees += thread->deallocations, sequences += thread->sequence;
    }
    Book::Totals totals = book.totals();
    CHECK_EQUAL(frees, totals.deallocations);
    CHECK_EQUAL(sequences, totals.allocations + totals.reallocations);
  }

  Random random_;
  Aggregator aggregator_;
  std::vector<std::vector<Thread *>> threads_;
  std::vector<std::vector<InFlight>> flights_;
  std::map<InFlight *, std::pair<uint64_t, ModelBlock>> in_flight_;
  std::vector<Maps> maps_;
  std::map<uint64_t, Summed> slices_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> spread_; // by thread and counter
  uint64_t last_end_ = 0, next_slice_ = 0;
};

TEST(figures_of_one_process_agree_with_a_model) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    Pair pair(seed, 1);
    pair.run(20'000);
    pair.check();
  }
}

TEST(figures_of_several_processes_agree_with_a_model) {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    Pair pair(seed, 1);
    pair.run(3'000);
    pair.add_process(); // the sum begins as the first one's figures
    pair.run(5'000);
    pair.add_process();
    pair.run(5'000);
    pair.end_process(1);
    pair.run(5'000);
    pair.add_process();
    pair.end_process(0);
    pair.run(5'000);
    pair.check();
  }
}

TEST(the_sum_begins_with_a_process_that_has_ended) {
  Pair pair(3, 1);
  pair.run(3'000);
  pair.end_process(0);
  pair.add_process();
  pair.run(300);
  pair.check();
}

// A counter of a histogram holds 16 bits; what goes beyond them is not lost.
TEST(histograms_count_on_beyond_their_counters) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  constexpr uint64_t kTimes = 200'001;
  for (uint64_t i = 0; i < kTimes; i++) {
    book.allocate(thread, 64, 10, context, Misfit::kRefuse);
    book.free(thread, 64, Misfit::kRefuse);
  }
  book.each_context([&](const ContextSums &sums) {
    CHECK_EQUAL(kTimes, sums.counters[kByAllocations]);
    CHECK_EQUAL(kTimes, sums.counters[kByTime]);
    CHECK_EQUAL(kTimes, sums.counters[kBySize]);
  });
  CHECK_EQUAL(kTimes, book.temporary());
}

// While a realloc is under way the heap neither dips nor rises.
TEST(a_realloc_is_one_step_for_the_peak) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  InFlight flight;
  book.allocate(thread, 64, 1000, context, Misfit::kRefuse);
  CHECK(book.begin_realloc(thread, 64, flight, Misfit::kRefuse));
  CHECK_EQUAL(1000u, book.live_bytes());
  CHECK(book.end_realloc(thread, flight, 128, 1500, context, false, Misfit::kRefuse));
  CHECK_EQUAL(1500u, book.live_bytes());
  CHECK_EQUAL(1500u, book.peak_bytes());
  CHECK_EQUAL(1000u, book.copied_bytes());
}

// A peak that begins anew is of what lives when one thread has the most, or the process has.
TEST(a_peak_begins_anew_for_a_thread_or_for_all) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  aggregator.keep_threads();
  Book &book = aggregator.add_process();
  Thread &one = aggregator.add_thread(book), &other = aggregator.add_thread(book);
  uint32_t of_one = aggregator.context(book, one, 1, HT_KIND_MALLOC);
  uint32_t of_other = aggregator.context(book, other, 2, HT_KIND_MALLOC);
  auto at_peak = [&] {
    std::map<uint32_t, uint64_t> found;
    book.each_context([&](const ContextSums &sums) { found[sums.row] = sums.peak_bytes; });
    return std::pair{found[0], found[1]};
  };
  book.allocate(one, 64, 5000, of_one, Misfit::kRefuse);
  book.free(one, 64, Misfit::kRefuse);
  book.begin_peak(&one);
  CHECK_EQUAL(0u, book.peak_bytes());
  book.allocate(one, 64, 1000, of_one, Misfit::kRefuse);
  book.allocate(other, 128, 70, of_other, Misfit::kRefuse);
  CHECK(at_peak() == std::pair(uint64_t{1000}, uint64_t{0}));
  book.allocate(one, 192, 500, of_one, Misfit::kRefuse);
  book.free(one, 64, Misfit::kRefuse);
  book.allocate(other, 256, 9000, of_other, Misfit::kRefuse);
  CHECK(at_peak() == std::pair(uint64_t{1500}, uint64_t{70}));
  book.begin_peak(nullptr);
  CHECK(at_peak() == std::pair(uint64_t{500}, uint64_t{9070}));
  book.allocate(other, 320, 10, of_other, Misfit::kRefuse);
  CHECK_EQUAL(9580u, book.peak_bytes());
  CHECK(at_peak() == std::pair(uint64_t{500}, uint64_t{9080}));
  book.keep_peak();
  book.allocate(one, 384, 90'000, of_one, Misfit::kRefuse);
  CHECK_EQUAL(9580u, book.peak_bytes());
  CHECK(at_peak() == std::pair(uint64_t{500}, uint64_t{9080}));
}

// What samples stand for goes as it came: nothing is left when all are freed.
TEST(sampled_figures_go_back_to_nothing) {
  Aggregator aggregator(4096, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  Random random(5);
  for (uint64_t i = 1; i <= 5000; i++) {
    aggregator.advance(i * 100'000);
    book.allocate(thread, i * 16, random.below(20'000), context, Misfit::kRefuse);
  }
  CHECK(book.live_blocks() > 5000);
  for (uint64_t i = 1; i <= 5000; i++) {
    aggregator.advance((5000 + i) * 100'000);
    CHECK(book.free(thread, i * 16, Misfit::kRefuse));
  }
  CHECK_EQUAL(0u, book.live_bytes());
  CHECK_EQUAL(0u, book.live_blocks());
  CHECK_EQUAL(book.totals().allocations, book.totals().deallocations);
}

// Two threads use one address in turn, and are counted in the wrong order: the one that keeps its
// block keeps it in the books.
TEST(the_block_that_stays_is_the_one_that_does) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &keeper = aggregator.add_thread(book), &user = aggregator.add_thread(book);
  uint32_t kept = aggregator.context(book, keeper, 1, HT_KIND_MALLOC);
  uint32_t used = aggregator.context(book, user, 2, HT_KIND_MALLOC);
  // In truth: user allocates and frees, then keeper allocates.
  CHECK(book.allocate(keeper, 64, 100, kept, Misfit::kRefuse));
  CHECK(!book.allocate(user, 64, 30, used, Misfit::kRefuse));
  CHECK(book.allocate(user, 64, 30, used, Misfit::kKeep));
  CHECK(book.free(user, 64, Misfit::kRefuse));
  for (int i = 0; i < 100; i++) book.settle();
  CHECK_EQUAL(100u, book.live_bytes());
  CHECK_EQUAL(0u, book.unmatched_frees());
  CHECK(book.free(keeper, 64, Misfit::kRefuse));
  // A free that comes before its allocation, and one that has none.
  CHECK(book.free(user, 64, Misfit::kKeep));
  CHECK(book.allocate(keeper, 64, 100, kept, Misfit::kRefuse));
  for (int i = 0; i < 3; i++) book.settle();
  CHECK_EQUAL(0u, book.live_bytes());
  CHECK_EQUAL(0u, book.unmatched_frees());
  CHECK(book.free(user, 80, Misfit::kKeep));
  for (int i = 0; i < 100; i++) book.settle();
  CHECK_EQUAL(1u, book.unmatched_frees());
  CHECK(book.allocate(keeper, 80, 100, kept, Misfit::kRefuse));
  CHECK_EQUAL(100u, book.live_bytes());
  // An allocation where a block was freed unseen.
  CHECK(book.allocate(user, 80, 30, used, Misfit::kKeep));
  for (int i = 0; i < 100; i++) book.settle();
  CHECK_EQUAL(30u, book.live_bytes());
  CHECK_EQUAL(2u, book.unmatched_frees());
}

// A realloc whose beginning is counted before its block's allocation, a free that another thread's has
// forestalled: all totals come out as they are, and what is alive is what lives.
TEST(totals_are_exact_whatever_the_order) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &one = aggregator.add_thread(book), &other = aggregator.add_thread(book);
  uint32_t ones = aggregator.context(book, one, 1, HT_KIND_MALLOC);
  uint32_t others = aggregator.context(book, other, 2, HT_KIND_MALLOC);
  InFlight flight;
  auto settle = [&] {
    for (int i = 0; i < 3; i++) book.settle();
  };
  // Ended before its block is known: an allocation so far, then a move.
  CHECK(book.begin_realloc(one, 64, flight, Misfit::kKeep));
  CHECK(book.end_realloc(one, flight, 96, 50, ones, false, Misfit::kRefuse));
  CHECK(book.allocate(other, 64, 30, others, Misfit::kRefuse));
  settle();
  CHECK_EQUAL(1u, one.reallocations);
  CHECK_EQUAL(0u, one.allocations());
  CHECK_EQUAL(50u, book.live_bytes());
  CHECK_EQUAL(30u, book.copied_bytes());
  // Its block comes in between.
  CHECK(book.begin_realloc(one, 64, flight, Misfit::kKeep));
  CHECK(book.allocate(other, 64, 30, others, Misfit::kRefuse));
  CHECK(book.end_realloc(one, flight, 64, 40, ones, false, Misfit::kRefuse));
  CHECK_EQUAL(2u, one.reallocations);
  CHECK_EQUAL(90u, book.live_bytes());
  // In place, with its block still to come: it is not what it waits for itself.
  CHECK(book.begin_realloc(one, 128, flight, Misfit::kKeepForAny));
  CHECK(book.end_realloc(one, flight, 128, 20, ones, false, Misfit::kRefuse));
  CHECK(book.allocate(other, 128, 10, others, Misfit::kRefuse));
  settle();
  CHECK_EQUAL(3u, one.reallocations);
  CHECK_EQUAL(0u, one.allocations());
  CHECK_EQUAL(3u, book.live_blocks());
  // In truth: other allocates, one frees, one allocates, other frees; other's free is counted early.
  CHECK(book.allocate(other, 256, 7, others, Misfit::kRefuse));
  CHECK(book.free(other, 256, Misfit::kRefuse));
  CHECK(book.free(one, 256, Misfit::kKeepForAny));
  CHECK(book.allocate(one, 256, 8, ones, Misfit::kRefuse));
  settle();
  CHECK_EQUAL(3u, book.live_blocks());
  // The same, but its own thread frees the block before: that is not taken from it.
  CHECK(book.free(one, 256, Misfit::kKeepForAny));
  CHECK(book.allocate(one, 256, 8, ones, Misfit::kRefuse));
  CHECK(book.free(one, 256, Misfit::kRefuse));
  CHECK(book.allocate(other, 256, 9, others, Misfit::kRefuse));
  // There is another block at the address: the one before is gone, and it is known whose it was.
  CHECK(book.allocate(other, 256, 11, others, Misfit::kRefuse));
  settle();
  CHECK_EQUAL(4u, book.live_blocks());
  CHECK_EQUAL(0u, book.unmatched_frees());
  // A realloc of nothing makes a block.
  CHECK(book.begin_realloc(one, 512, flight, Misfit::kKeep));
  settle();
  CHECK(book.end_realloc(one, flight, 544, 1, ones, false, Misfit::kRefuse));
  CHECK_EQUAL(3u, one.reallocations);
  CHECK_EQUAL(3u, one.allocations());
  CHECK_EQUAL(0u, book.unmatched_frees());
}

TEST(slices_grow_with_the_recording) {
  uint64_t slices = 0, longest = 0;
  Aggregator aggregator(0, [&](const SliceRows &rows) {
    slices++;
    longest = std::max(longest, rows.end - rows.start);
  });
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  for (uint64_t ns = 0; ns < 160'000'000'000; ns += 5'000'000) {
    aggregator.advance(ns);
    book.allocate(thread, 64, 1, context, Misfit::kRefuse);
    book.free(thread, 64, Misfit::kRefuse);
  }
  aggregator.end_last_slice();
  CHECK_EQUAL(160'000'000u, longest);
  CHECK_EQUAL(3000u, slices);
}

// Where the clock has not gone on since the last end: what came between is of a slice of its own.
TEST(a_slice_ends_wherever_it_is_told_to) {
  std::vector<std::pair<uint64_t, uint64_t>> slices; // their ends, and what came in them
  Aggregator aggregator(
      0, [&](const SliceRows &rows) { slices.emplace_back(rows.end, rows.bytes_in[0]); });
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  aggregator.advance(7000);
  book.allocate(thread, 64, 10, context, Misfit::kRefuse);
  CHECK_EQUAL(7000u, aggregator.end_slice_at(6000));
  book.allocate(thread, 128, 20, context, Misfit::kRefuse);
  CHECK_EQUAL(7001u, aggregator.end_slice_at(6500));
  CHECK_EQUAL(7002u, aggregator.end_slice_at(7000));
  CHECK_EQUAL(9000u, aggregator.end_slice_at(9000));
  std::vector<std::pair<uint64_t, uint64_t>> expected{{7000, 10}, {7001, 20}};
  CHECK(slices == expected);
}

} // namespace
} // namespace heaptide
