// The aggregator beside its model: both are given the same random events, in several processes and threads,
// and have to agree.
#ifndef HEAPTIDE_COLLECTOR_TESTS_MODEL_PAIR_H
#define HEAPTIDE_COLLECTOR_TESTS_MODEL_PAIR_H

#include "collector/plain_book.h"
#include "collector/tests/check.h"
#include "collector/tests/model.h"

namespace heaptide::testing {

struct Summed {
  uint64_t blocks_in = 0, bytes_in = 0, blocks_out = 0, bytes_out = 0, reallocations = 0,
           copied = 0, temporary = 0, short_lived = 0;
};

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

  uint64_t plain() const { return plain_; }

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
  // Half of the events are offered to the shortest way first.
  bool try_plain() { return random_.below(2) == 0; }
  uint64_t some_address() { return 16 * (1 + random_.below(3000)); }

  void allocate(uint32_t process, Thread &thread) {
    ModelProcess &p = model.processes[process];
    uint64_t address = some_address(), size = some_size();
    Book &book = aggregator_.book(process);
    uint32_t row, index = context(process, thread, random_.below(5), &row);
    bool fits = !p.blocks.contains(address);
    bool freed = try_plain() && book.is_plain() &&
                 PlainBook(book, thread).allocate_and_free(address, size, index);
    bool counted = freed || (try_plain() && book.is_plain() &&
                             PlainBook(book, thread).allocate(address, size, index));
    if (counted) CHECK(fits);
    plain_ += counted;
    if (!counted) CHECK_EQUAL(fits, book.allocate(thread, address, size, index, Misfit::kRefuse));
    if (!fits) return;
    model.sequences[thread.row]++;
    p.blocks[address] = {size, row, model.sequences[thread.row], model.now};
    model.enter(row, size);
    if (!freed) return;
    model.end_of_life(p.blocks[address]);
    model.leave(row, size, true);
    model.frees[thread.row]++;
    p.blocks.erase(address);
  }

  void free(uint32_t process, Thread &thread) {
    ModelProcess &p = model.processes[process];
    Book &book = aggregator_.book(process);
    uint64_t address = some_address();
    auto found = p.blocks.lower_bound(address);
    if (found != p.blocks.end() && random_.below(20) != 0) address = found->first;
    found = p.blocks.find(address);
    bool fits = found != p.blocks.end();
    bool counted = try_plain() && book.is_plain() && PlainBook(book, thread).free(address);
    if (counted) CHECK(fits);
    plain_ += counted;
    if (!counted) CHECK_EQUAL(fits, book.free(thread, address, Misfit::kRefuse));
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
  uint64_t plain_ = 0; // events that went the shortest way
};

} // namespace heaptide::testing

#endif
