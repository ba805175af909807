// Events to figures: reads blocks of words as wire.h lays them out, and drives the aggregator.
#ifndef HEAPTIDE_COLLECTOR_DECODER_H
#define HEAPTIDE_COLLECTOR_DECODER_H

#include <emmintrin.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "collector/aggregator.h"
#include "collector/image.h"
#include "collector/meta.h"

namespace heaptide {

// One producer of events: whose they are, and what it is in the middle of.
struct Stream {
  Book *book = nullptr;
  Image *image = nullptr;
  Thread *thread = nullptr;
  InFlight realloc;
  MetaBuffer meta;
  uint64_t time = 0; // nanoseconds, of the block being decoded
  void *owner = nullptr;
};

// Told of what concerns neither stacks nor memory.
class MetaListener {
 public:
  virtual ~MetaListener() = default;
  virtual void on_process(Stream &stream, uint32_t ppid, std::string_view executable,
                          const std::vector<std::string_view> &arguments) = 0;
  virtual void on_thread_name(Stream &stream, uint32_t tid, std::string_view name) = 0;
  virtual void on_mark(Stream &stream, uint64_t tsc, std::string_view name) = 0;
  virtual void on_note(Stream &stream, std::string_view text) = 0;
};

// What to do with events that come too early: misfits (see Book), and stacks not yet defined, which
// stop the decoder.
struct Force {
  Misfit rest = Misfit::kRefuse;
  bool first = false; // count the first event whatever is missing; if it is a misfit, as this:
  Misfit first_as = Misfit::kCount; // not one that refuses
};

class Decoder {
 public:
  Decoder(Aggregator &aggregator, MetaListener &listener);

  // Words that may be read behind the end of what decode and `ahead` are given.
  static constexpr unsigned kPadding = 4;

  // What the next call will probably be about: words of a producer with the same book.
  struct Ahead {
    const Stream *stream = nullptr; // nullptr: nothing
    const uint64_t *at = nullptr, *end = nullptr;
  };

  // Decodes the events in [at, end): returns `end`, or where an event stands that has come too early.
  // A zero word ends the block. What the events in `ahead` need is asked from memory meanwhile. At
  // most a block each.
  const uint64_t *decode(Stream &stream, const uint64_t *at, const uint64_t *end, Force force,
                         const Ahead &ahead);

  // To be called when the words last given as `ahead`, or their stream, have changed.
  void forget_ahead() { batches_[0].stream = batches_[1].stream = nullptr; }

  // Words of the event that begins with `word`; 0: no such event.
  static unsigned length(uint64_t word);

  uint64_t garbage() const { return garbage_; } // events skipped that made no sense

 private:
  // Contexts by what an event says of them. A set is a cache line: one miss for its four.
  struct alignas(64) CacheSet {
    uint32_t first[4], second[4], thread_kind[4], context[4];

    // Bit i: entry i may be what is looked for.
    HT_HOT unsigned match_first(uint32_t value) const { return equal(first, value); }
    HT_HOT unsigned match(uint32_t one, uint32_t two, uint32_t kind) const {
      return equal(first, one) & equal(second, two) & equal(thread_kind, kind);
    }
    HT_HOT static unsigned equal(const uint32_t *four, uint32_t value) {
      __m128i found = _mm_cmpeq_epi32(_mm_load_si128(reinterpret_cast<const __m128i *>(four)),
                                      _mm_set1_epi32(static_cast<int>(value)));
      return static_cast<unsigned>(_mm_movemask_ps(_mm_castsi128_ps(found)));
    }
  };
  static constexpr CacheSet kEmptySet = {
      {}, {}, {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, {}};

  static constexpr uint32_t kNoSet = UINT32_MAX;

  // An event that has been looked at but not counted yet.
  struct Item {
    const uint64_t *event;
    LiveTable::Group *group; // with the next two, its Spot
    uint16_t partition, tag;
    uint32_t cache_set; // of a new block's context; kNoSet for other events

    LiveTable::Spot spot() const { return {group, partition, tag}; }
    bool fresh() const { return cache_set != kNoSet; }
  };

  // In a large book, the events of a block are looked at while the block before is counted, and what
  // they read is asked for in three steps: the groups and the cache entries; then the slots; then the
  // contexts. So a block's worth of cache misses is under way at once.
  struct Batch {
    const Stream *stream = nullptr; // nullptr: none
    const uint64_t *at = nullptr, *end = nullptr;
    unsigned count = 0;   // of items
    bool garbage = false; // behind the last is no event
    uint64_t moves = 0;   // of the book's table, when spots were computed
    Item items[HT_BLOCK_WORDS];
  };
  static constexpr size_t kFirstCacheSets = size_t{1} << 12, kMostCacheSets = size_t{1} << 17;

  static unsigned whole(const uint64_t *at, const uint64_t *end);
  void look(const Stream &stream, const uint64_t *at, const uint64_t *end, Batch *batch);
  void refresh_spots(Batch *batch, unsigned from);
  void ask_slots(const Batch &batch);
  void ask_contexts(const Batch &batch);

  HT_HOT size_t cache_set(uint32_t first, uint32_t second, uint32_t thread_kind) const {
    uint64_t hash = (uint64_t{second} << 32 | first) * 0x9e3779b97f4a7c15ull;
    return ((hash >> 32) ^ hash >> 52 ^ thread_kind * 0x9e3779b1u) & cache_mask_;
  }

  const uint32_t *remembered(uint32_t first, uint32_t second, uint32_t thread_kind) const;
  bool context(Stream &stream, uint32_t first, uint32_t second, unsigned kind, bool undefined,
               uint32_t *context);
  void remember(uint32_t first, uint32_t second, uint32_t thread_kind, uint32_t context);
  void grow_cache();
  // Count a block's events. Return where it stopped, `end`: it did not.
  template <bool kPlain>
  const uint64_t *count_near(Stream &stream, const uint64_t *at, const uint64_t *end, Force force);
  template <bool kPlain>
  const uint64_t *count_far(Stream &stream, const uint64_t *at, const uint64_t *end, Force force,
                            const Ahead &ahead);
  // Each counts one event; false: it has come too early. `undefined`: its stack may be, too.
  template <bool kPlain>
  bool one(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Force &force);
  bool uncommon(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Misfit misfit,
                bool undefined);
  bool allocation(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Misfit misfit,
                  bool undefined);
  bool mapping(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined);
  void meta(Stream &stream, const uint64_t *at);
  void record(Stream &stream);

  Aggregator &aggregator_;
  MetaListener &listener_;
  std::vector<CacheSet> cache_;
  unsigned victim_ = 0; // the next entry of a full set to go
  size_t cache_mask_;
  Batch batches_[2];
  unsigned current_ = 0; // the batch of what is counted next
  uint64_t garbage_ = 0;
};

} // namespace heaptide

#endif
