#include "collector/decoder.h"

#include <algorithm>
#include <array>

namespace heaptide {
namespace {

// Words of an event by the upper 12 bits of its first word: op and flags. kByValue: META's depends on
// its value. 4 KiB, of which a few lines are ever used.
constexpr uint8_t kByValue = UINT8_MAX;
constexpr std::array<uint8_t, 4096> make_lengths() {
  std::array<uint8_t, 4096> lengths{};
  for (unsigned flags = 0; flags < 16; flags++) {
    auto set = [&](unsigned op, unsigned words) {
      lengths[op << 4 | flags] = static_cast<uint8_t>(words);
    };
    unsigned longer = (flags & 1) + (flags >> 1 & 1);
    set(HT_OP_FREE, 1);
    set(HT_OP_ALLOC, 2 + longer);
    set(HT_OP_REALLOC_BEGIN, 1);
    set(HT_OP_REALLOC_END, 2 + longer);
    set(HT_OP_UNMAP, 2);
    set(HT_OP_REMAP, 5);
    set(HT_OP_NODE, 3);
    set(HT_OP_META, kByValue);
  }
  return lengths;
}
constexpr std::array<uint8_t, 4096> kLengths = make_lengths();
static_assert(HT_ALLOC_NATIVE == 0x10 && HT_ALLOC_BIG == 0x20);

bool is_mapping(unsigned kind) {
  return kind == HT_KIND_MMAP || kind == HT_KIND_SBRK || kind == HT_KIND_ARENA;
}

} // namespace

unsigned Decoder::length(uint64_t word) {
  unsigned words = kLengths[word >> 52];
  return words == kByValue ? 1 + static_cast<unsigned>(word & 0xffff) : words;
}

Decoder::Decoder(Aggregator &aggregator, MetaListener &listener)
    : aggregator_(aggregator),
      listener_(listener),
      cache_(kFirstCacheSets, kEmptySet),
      cache_mask_(kFirstCacheSets - 1) {}

// ------------------------------------------------------------------------------- looking ahead

// Goes through the events of a block. What it needs over and over is held here, where no store can
// have changed it.
struct Decoder::Looker {
  const Book &book;
  Decoder &decoder;
  CacheSet *cache;
  size_t cache_mask;
  uint32_t thread_kinds;
  const uint64_t *event, *end;
  bool done = false;
  bool garbage = false;

  Looker(Decoder &d, const Stream &stream, const uint64_t *from, const uint64_t *until)
      : book(*stream.book),
        decoder(d),
        cache(d.cache_.data()),
        cache_mask(d.cache_mask_),
        thread_kinds(stream.thread->row << 4),
        event(from),
        end(until) {}

  // Looks at the next event, if there is one.
  HT_HOT bool look(Item *item) {
    if (event >= end) {
      done = true;
      return false;
    }
    uint64_t word = *event;
    unsigned words = kLengths[word >> 52];
    if (words == kByValue) [[unlikely]]
      words = Decoder::length(word);
    if (words - 1 >= static_cast<size_t>(end - event)) [[unlikely]] {
      garbage = word != 0;
      done = true;
      return false;
    }
    LiveTable::Spot spot = book.spot(HT_VALUE(word));
    // Without a branch on what the event is: that would be guessed wrong every other time.
    uint32_t second = static_cast<uint32_t>(event[2]) &
                      (0u - (static_cast<uint32_t>(word >> 52) & 1)); // HT_ALLOC_NATIVE
    uint32_t set =
        static_cast<uint32_t>(decoder.cache_set(static_cast<uint32_t>(event[1] >> 32), second,
                                                thread_kinds | (HT_AUX(word) & 0xf)) &
                              cache_mask);
    LiveTable::prefetch(spot);
    __builtin_prefetch(cache + set);
    item->event = event;
    item->group = spot.group;
    item->partition = spot.partition;
    item->tag = spot.tag;
    item->cache_set = HT_OP(word) == HT_OP_ALLOC ? set : kNoSet;
    event += words;
    return true;
  }
};

// Makes [at, end) the events to be counted: as already looked at, or by looking now.
void Decoder::begin_window(const Stream &stream, const uint64_t *at, const uint64_t *end) {
  Window &w = window_;
  if (w.stream == &stream && w.at == at && w.end == end) {
    if (w.first > Window::kItems / 2) {
      std::copy(w.items + w.first, w.items + w.last, w.items);
      w.slots_asked -= std::min(w.slots_asked, w.first);
      w.contexts_asked -= std::min(w.contexts_asked, w.first);
      w.last -= w.first;
      w.first = 0;
    }
    return;
  }
  w.stream = &stream;
  w.first = w.last = w.slots_asked = w.contexts_asked = 0;
  w.garbage = false;
  w.moves = stream.book->moves();
  Looker looker(*this, stream, at, end);
  while (looker.look(&w.items[w.last])) w.last++;
  w.garbage = looker.garbage;
}

// Spots go stale when the table grows.
void Decoder::refresh_spots(const Book &book, unsigned from, unsigned until) {
  for (unsigned i = from; i < until; i++) {
    Item &item = window_.items[i];
    LiveTable::Spot spot = book.spot(HT_VALUE(*item.event));
    item.group = spot.group;
  }
  window_.moves = book.moves();
}

inline void Decoder::ask(const Book &book, unsigned until, unsigned limit) {
  unsigned slots = std::min(until + kSlotDistance, limit);
  unsigned contexts = std::min(until + kContextDistance, limit);
  // Not from further back: what has been counted may lie in memory that the table has left.
  for (unsigned i = std::max(window_.slots_asked, until); i < slots; i++) {
    const Item &item = window_.items[i];
    __builtin_prefetch(LiveTable::likely_slot(item.spot(), item.fresh()), 1);
  }
  for (unsigned i = std::max(window_.contexts_asked, until); i < contexts; i++) {
    const Item &item = window_.items[i];
    uint32_t context;
    if (item.fresh()) {
      const CacheSet &set = cache_[item.cache_set & cache_mask_];
      unsigned found = set.match_first(static_cast<uint32_t>(item.event[1] >> 32));
      context = set.context[__builtin_ctz(found | 8)];
    } else {
      context = LiveTable::likely_slot(item.spot(), false)->context;
    }
    book.prefetch_context(context);
  }
  window_.slots_asked = std::max(window_.slots_asked, slots);
  window_.contexts_asked = std::max(window_.contexts_asked, contexts);
}

template <bool kPlain>
const uint64_t *Decoder::count(Stream &stream, unsigned last, Looker *looker, Force force) {
  const Book &book = *stream.book;
  Window &w = window_;
  bool large = book.is_large();
  for (unsigned i = w.first; i < last; i++) {
    if (w.moves != book.moves()) [[unlikely]]
      refresh_spots(book, i, w.last);
    if (!looker->done && looker->look(&w.items[w.last])) w.last++;
    if (large && i % kStep == 0) ask(book, i, w.last);
    Misfit misfit = force.first ? force.first_as : force.rest;
    if (!one<kPlain>(stream, w.items[i], misfit, force.first)) return w.items[i].event;
    force.first = false;
  }
  if (w.moves != book.moves()) refresh_spots(book, last, w.last);
  while (!looker->done && looker->look(&w.items[w.last])) w.last++;
  return nullptr;
}

const uint64_t *Decoder::decode(Stream &stream, const uint64_t *at, const uint64_t *end,
                                Force force, const Ahead &ahead) {
  aggregator_.advance(stream.time);
  begin_window(stream, at, end);
  Window &w = window_;
  unsigned last = w.last;
  Looker looker(*this, ahead.stream == nullptr ? stream : *ahead.stream, ahead.at, ahead.end);
  const uint64_t *stopped = stream.book->is_plain() ? count<true>(stream, last, &looker, force)
                                                    : count<false>(stream, last, &looker, force);
  if (stopped != nullptr) {
    forget_ahead();
    return stopped;
  }
  if (w.garbage) garbage_++;
  w.stream = ahead.stream;
  w.at = ahead.at;
  w.end = ahead.end;
  w.first = last;
  w.garbage = looker.garbage;
  return end;
}

template <bool kPlain>
HT_HOT bool Decoder::one(Stream &stream, const Item &item, Misfit misfit, bool undefined) {
  Book &book = *stream.book;
  Thread &thread = *stream.thread;
  uint64_t word = *item.event;
  switch (HT_OP(word)) {
    case HT_OP_FREE:
      if (is_mapping(HT_AUX(word) & 0xf)) [[unlikely]] {
        return book.unmap_at(thread, HT_VALUE(word), misfit);
      }
      return book.free<kPlain>(thread, item.spot(), HT_VALUE(word), misfit);
    case HT_OP_ALLOC:
    case HT_OP_REALLOC_END:
      return allocation<kPlain>(stream, item, misfit, undefined);
    case HT_OP_REALLOC_BEGIN:
      return book.begin_realloc(thread, HT_VALUE(word), stream.realloc, misfit);
    case HT_OP_UNMAP:
    case HT_OP_REMAP:
      return mapping(stream, item.event, misfit, undefined);
    case HT_OP_NODE:
      stream.image->add_node(static_cast<uint32_t>(word), HT_AUX(word), item.event[1],
                             item.event[2]);
      return true;
    case HT_OP_META:
      meta(stream, item.event);
      return true;
  }
  return true;
}

// ------------------------------------------------------------------------------------ contexts

// The context of an event that the cache does not know. One whose stack had to be shown as cut off is
// not remembered: what is missing may yet come.
bool Decoder::context(Stream &stream, uint32_t first, uint32_t second, unsigned kind,
                      bool undefined, uint32_t *context) {
  uint32_t stack;
  bool whole = stream.image->merge(first, second, false, &stack);
  if (!whole) {
    if (!undefined) return false;
    stream.image->merge(first, second, true, &stack);
  }
  uint32_t before = aggregator_.contexts();
  *context = aggregator_.context(*stream.book, *stream.thread, stack, kind);
  if (aggregator_.contexts() != before && size_t{before} / 2 > cache_mask_) grow_cache();
  if (whole) remember(first, second, stream.thread->row << 4 | kind, *context);
  return true;
}

void Decoder::remember(uint32_t first, uint32_t second, uint32_t thread_kind, uint32_t context) {
  CacheSet &set = cache_[cache_set(first, second, thread_kind)];
  unsigned empty = CacheSet::equal(set.thread_kind, UINT32_MAX);
  unsigned at = empty != 0 ? static_cast<unsigned>(__builtin_ctz(empty)) : victim_++ % 4;
  set.first[at] = first;
  set.second[at] = second;
  set.thread_kind[at] = thread_kind;
  set.context[at] = context;
}

void Decoder::grow_cache() {
  if (cache_.size() >= kMostCacheSets) return;
  cache_mask_ = cache_.size() * 4 - 1;
  cache_.assign(cache_.size() * 4, kEmptySet);
}

// ------------------------------------------------------------------------------------- events

template <bool kPlain>
HT_HOT bool Decoder::allocation(Stream &stream, const Item &item, Misfit misfit, bool undefined) {
  const uint64_t *at = item.event;
  uint64_t word = *at;
  unsigned aux = HT_AUX(word), kind = aux & 0xf;
  uint64_t address = HT_VALUE(word);
  uint64_t size = static_cast<uint32_t>(at[1]);
  uint32_t first = static_cast<uint32_t>(at[1] >> 32), second = 0;
  const uint64_t *more = at + 2;
  if ((aux & HT_ALLOC_NATIVE) != 0) second = static_cast<uint32_t>(*more++);
  if ((aux & HT_ALLOC_BIG) != 0) [[unlikely]]
    size = *more;
  bool end_of_realloc = HT_OP(word) == HT_OP_REALLOC_END;
  if (kind > HT_KIND_ARENA || size > kLargestSize || (address == 0 && !end_of_realloc))
      [[unlikely]] {
    garbage_++;
    return true;
  }
  Thread &thread = *stream.thread;
  Book &book = *stream.book;
  uint32_t index = 0;
  if (address != 0) [[likely]] {
    uint32_t thread_kind = thread.row << 4 | kind;
    const CacheSet &set = cache_[cache_set(first, second, thread_kind)];
    unsigned found = set.match(first, second, thread_kind);
    if (found != 0) [[likely]] {
      index = set.context[__builtin_ctz(found)];
    } else if (!context(stream, first, second, kind, undefined, &index)) {
      return false;
    }
  }
  if (end_of_realloc) {
    return book.end_realloc(thread, stream.realloc, address, size, index,
                            (aux & HT_ALLOC_FREED) != 0, misfit);
  }
  if (is_mapping(kind)) [[unlikely]] {
    return book.map(thread, address, size, index, misfit);
  }
  return book.allocate<kPlain>(thread, item.spot(), address, size, index, misfit);
}

bool Decoder::mapping(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined) {
  uint64_t address = HT_VALUE(*at);
  if (HT_OP(*at) == HT_OP_UNMAP) {
    return stream.book->unmap(*stream.thread, address, at[1] & kAddressMask, misfit);
  }
  unsigned kind = HT_AUX(*at) & 0xf;
  uint64_t to = at[2] & kAddressMask, length = at[3] & kAddressMask;
  if (!is_mapping(kind) || to == 0) {
    garbage_++;
    return true;
  }
  uint32_t index;
  if (!context(stream, static_cast<uint32_t>(at[4] >> 32), static_cast<uint32_t>(at[4]), kind,
               undefined, &index)) {
    return false;
  }
  return stream.book->remap(*stream.thread, address, at[1] & kAddressMask, to, length, index,
                            misfit);
}

// --------------------------------------------------------------------------------------- meta

void Decoder::meta(Stream &stream, const uint64_t *at) {
  unsigned type = static_cast<unsigned>(*at >> 16) & 0xff;
  bool more = (*at >> 24 & 1) != 0;
  if (stream.meta.add(type, at + 1, static_cast<unsigned>(*at & 0xffff), more)) record(stream);
}

void Decoder::record(Stream &stream) {
  MetaReader reader(stream.meta.bytes());
  switch (stream.meta.type()) {
    case HT_META_PROCESS: {
      reader.u32(); // pid: the slot has it
      uint32_t ppid = reader.u32();
      std::string_view executable = reader.string();
      uint32_t count = reader.u32();
      std::vector<std::string_view> arguments;
      for (uint32_t i = 0; i < count && reader.ok(); i++) arguments.push_back(reader.string());
      listener_.on_process(stream, ppid, executable, arguments);
      break;
    }
    case HT_META_MODULE: {
      uint32_t id = reader.u32();
      uint64_t bias = reader.u64(), start = reader.u64(), end = reader.u64();
      std::string_view path = reader.string();
      std::string_view build_id = reader.string();
      if (reader.ok()) stream.image->add_module(id, bias, start, end, path, build_id);
      break;
    }
    case HT_META_CODE: {
      uint32_t id = reader.u32(), line = reader.u32(), version = reader.u32();
      std::string_view filename = reader.string(), qualname = reader.string();
      std::string_view table = reader.string();
      if (reader.ok()) stream.image->add_code(id, line, version, filename, qualname, table);
      break;
    }
    case HT_META_THREAD_NAME: {
      uint32_t tid = reader.u32();
      listener_.on_thread_name(stream, tid, reader.string());
      break;
    }
    case HT_META_EVAL_RANGE: {
      uint64_t start = reader.u64(), end = reader.u64();
      if (reader.ok() && start < end) stream.image->add_eval_range(start, end);
      break;
    }
    case HT_META_MARK: {
      uint64_t tsc = reader.u64();
      listener_.on_mark(stream, tsc, reader.string());
      break;
    }
    case HT_META_NOTE:
      listener_.on_note(stream, reader.string());
      break;
    case HT_META_FORK: // the slot says it, too
      break;
    default:
      garbage_++;
  }
  if (!reader.ok()) garbage_++;
}

} // namespace heaptide
