// The aggregator against a model, and what it is to do in particular cases.
#include "collector/plain_book.h"
#include "collector/tests/check.h"
#include "collector/tests/model_pair.h"

namespace heaptide {
namespace {

using testing::Pair;
using testing::Random;

TEST(figures_of_one_process_agree_with_a_model) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    Pair pair(seed, 1);
    pair.run(20'000);
    pair.check();
    CHECK(pair.plain() > 4'000);
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
  auto check = [&](uint64_t times) {
    book.each_context([&](const ContextSums &sums) {
      CHECK_EQUAL(times, sums.counters[kByAllocations]);
      CHECK_EQUAL(times, sums.counters[kByTime]);
      CHECK_EQUAL(times, sums.counters[kBySize]);
    });
    CHECK_EQUAL(times, book.ended().temporary);
    CHECK_EQUAL(times, thread.deallocations);
    CHECK_EQUAL(times * 10, thread.bytes);
    CHECK_EQUAL(0u, book.live_blocks());
  };
  check(kTimes);
  {
    PlainBook plain(book, thread);
    for (uint64_t i = 0; i < kTimes; i++) {
      CHECK(plain.allocate(64, 10, context));
      CHECK(plain.free(64));
    }
  }
  check(kTimes * 2);
  {
    PlainBook plain(book, thread);
    for (uint64_t i = 0; i < kTimes; i++) CHECK(plain.allocate_and_free(64, 10, context));
  }
  check(kTimes * 3);
}

// What is kept elsewhere is nothing of the shortest way's, nor is an address that is taken.
TEST(the_shortest_way_leaves_alone_what_it_does_not_know) {
  Aggregator aggregator(0, [](const SliceRows &) {});
  Book &book = aggregator.add_process();
  Thread &thread = aggregator.add_thread(book);
  uint32_t context = aggregator.context(book, thread, 1, HT_KIND_MALLOC);
  constexpr uint64_t kLarge = 0x7000, kSmall = 0x7200, kUnused = 0x7240;
  book.allocate(thread, kLarge, 5000, context, Misfit::kRefuse); // there before the page is
  book.allocate(thread, kSmall, 50, context, Misfit::kRefuse);
  CHECK(!PlainBook(book, thread).allocate(kLarge, 10, context));
  CHECK(!PlainBook(book, thread).allocate_and_free(kLarge, 10, context));
  CHECK(!PlainBook(book, thread).free(kLarge));
  CHECK(!PlainBook(book, thread).allocate(kSmall, 10, context));
  CHECK(!PlainBook(book, thread).allocate(kUnused, 5000, context));
  CHECK(!PlainBook(book, thread).free(kUnused));
  CHECK(!PlainBook(book, thread).free(0x123000)); // no page
  CHECK_EQUAL(5050u, book.live_bytes());
  CHECK(book.free(thread, kLarge, Misfit::kRefuse));
  CHECK(PlainBook(book, thread).allocate(kLarge, 10, context));
  book.allocate(thread, kUnused, 5000, context, Misfit::kRefuse); // the page is there
  CHECK(!PlainBook(book, thread).allocate(kUnused, 10, context));
  CHECK(book.free(thread, kUnused, Misfit::kRefuse));
  CHECK(PlainBook(book, thread).free(kLarge));
  CHECK(PlainBook(book, thread).free(kSmall));
  CHECK_EQUAL(0u, book.live_bytes());
  CHECK_EQUAL(0u, book.live_blocks());
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
