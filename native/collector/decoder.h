// Events to figures: reads blocks of words as wire.h lays them out, and drives the aggregator.
#ifndef HEAPTIDE_COLLECTOR_DECODER_H
#define HEAPTIDE_COLLECTOR_DECODER_H

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "collector/aggregator.h"
#include "collector/image.h"
#include "collector/meta.h"

namespace heaptide {

// Words of an event by the upper 12 bits of its first word: op and flags. kByValue: META's depends on
// its value. 4 KiB, of which a few lines are ever used.
inline constexpr uint8_t kByValue = UINT8_MAX;
constexpr std::array<uint8_t, 4096> make_lengths() {
  std::array<uint8_t, 4096> lengths{};
  for (uint64_t upper = 0; upper < lengths.size(); upper++) {
    bool by_value = HT_OP(upper << 52) == HT_OP_META;
    lengths[upper] = by_value ? kByValue : static_cast<uint8_t>(ht_event_words(upper << 52));
  }
  return lengths;
}
inline constexpr std::array<uint8_t, 4096> kLengths = make_lengths();
static_assert(HT_ALLOC_NATIVE >= 0x10 && HT_ALLOC_BIG >= 0x10, "above the kind");

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

  // The events that begin in [at, until) and end by `end`; at most a block.
  struct Events {
    const uint64_t *at, *until, *end;
  };

  // What the next call will probably be about: events of a producer with the same book.
  struct Ahead {
    const Stream *stream = nullptr; // nullptr: nothing
    Events events{};
  };

  // Decodes the events: returns where the next one begins, at `until` or behind it, or where one stands that
  // has come too early. A zero word ends the block. What the events in `ahead` need is asked from memory
  // meanwhile.
  const uint64_t *decode(Stream &stream, const Events &events, Force force, const Ahead &ahead);

  // To be called when the words last given as `ahead`, or their stream, have changed.
  void forget_ahead() { looked_at_ = nullptr; }

  // Words of the event that begins with `word`; 0: no such event.
  HT_HOT static unsigned length(uint64_t word) {
    unsigned words = kLengths[word >> 52];
    if (words == kByValue) [[unlikely]]
      words = ht_event_words(word);
    return words;
  }

  uint64_t garbage() const { return garbage_; } // events skipped that made no sense

 private:
  // What an event says of its stack: its only node, or the Python one; and the native one, or 0.
  struct StackNames {
    uint32_t first, second;
    bool operator==(const StackNames &) const = default;
  };
  // A context by what events say of it.
  struct Known {
    StackNames names = {0, 0};
    uint32_t thread_kind = UINT32_MAX, context = Book::kNone;

    HT_HOT bool is(StackNames other, uint32_t kind) const {
      return names == other && thread_kind == kind;
    }
  };
  static constexpr unsigned kWays = 4;
  struct alignas(64) KnownSet { // a cache line
    Known known[kWays];
  };
  static constexpr size_t kFirstCache = size_t{1} << 12, kMostCache = size_t{1} << 17;
  // A context by the name of its only node and its thread and kind, in front of those.
  struct Single {
    uint64_t name = UINT64_MAX; // the node in the upper half; there is no such node
    uint32_t context = Book::kNone;
  };
  static_assert(sizeof(Single) == 16);

  static unsigned whole(const uint64_t *at, const uint64_t *end);
  static StackNames names_of(const uint64_t *at);
  template <class Visit>
  static void each_event(Events events, Visit visit);

  HT_HOT size_t cache_place(StackNames names, uint32_t thread_kind) const {
    uint64_t hash = (uint64_t{names.second} << 32 | names.first) ^ uint64_t { thread_kind } << 40;
    return hash * 0x9e3779b97f4a7c15ull >> 40 & cache_mask_;
  }

  // `salt`: of the thread, its row times kSalt.
  static constexpr uint64_t kSalt = 61 * sizeof(Single);
  template <class T>
  HT_HOT static T *single_at(T *singles, uint64_t mask, uint64_t name, uint64_t kind,
                             uint64_t salt) {
    uint64_t bytes = (name >> 28) ^ kind << 12 ^ salt;
    return &singles[(bytes & mask) / sizeof(Single)];
  }
  static uint64_t name_of(const uint64_t *at, uint32_t row);
  const Single *single_of(const uint64_t *at, uint32_t row) const;
  uint64_t singles_mask() const { return (singles_.size() - 1) * sizeof(Single); }

  // The context, or kNone: it is not known.
  HT_HOT uint32_t remembered(StackNames names, uint32_t thread_kind) const {
    const KnownSet &set = cache_[cache_place(names, thread_kind)];
    if (set.known[0].is(names, thread_kind)) [[likely]]
      return set.known[0].context;
    for (unsigned i = 1; i < kWays; i++) {
      if (set.known[i].is(names, thread_kind)) return set.known[i].context;
    }
    return Book::kNone;
  }
  bool context(Stream &stream, StackNames names, unsigned kind, bool undefined, uint32_t *context);
  void remember(StackNames names, uint32_t thread_kind, uint32_t context);
  void grow_cache();

  // In a large book, what a block's events read is asked for in steps, each for what the step before has
  // found: where pages are kept, then pages, before the block before is counted; then lives; then
  // contexts. So a block's worth of cache misses is under way at once.
  void look(const Stream &stream, const Events &events);
  void look_closer(const Stream &stream, const Events &events, const Ahead &ahead);
  const uint64_t *count(Stream &stream, Events events, Force force);
  const uint64_t *count_plain(Stream &stream, const Events &events);

  // Each counts one event; false: it has come too early. `undefined`: its stack may be, too.
  bool uncommon(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined);
  bool allocation(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined);
  bool mapping(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined);
  void meta(Stream &stream, const uint64_t *at);
  void record(Stream &stream);

  Aggregator &aggregator_;
  MetaListener &listener_;
  std::vector<KnownSet> cache_;
  std::vector<Single> singles_;
  size_t cache_mask_;
  const uint64_t *looked_at_ = nullptr; // the words that have been asked for ahead
  uint64_t garbage_ = 0;
};

} // namespace heaptide

#endif
