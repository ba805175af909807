#include "collector/decoder.h"

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

// The native half of the stack of the allocation at `at`, without a branch on whether it has one.
HT_HOT uint32_t native_of(const uint64_t *at) {
  return static_cast<uint32_t>(at[2]) & (0u - (static_cast<uint32_t>(*at >> 52) & 1));
}

bool is_mapping(unsigned kind) {
  return kind == HT_KIND_MMAP || kind == HT_KIND_SBRK || kind == HT_KIND_ARENA;
}

} // namespace

unsigned Decoder::length(uint64_t word) {
  unsigned words = kLengths[word >> 52];
  return words == kByValue ? 1 + static_cast<unsigned>(word & 0xffff) : words;
}

// Words of the event at `at`; 0: there is none, or it does not end by `end`.
HT_HOT unsigned Decoder::whole(const uint64_t *at, const uint64_t *end) {
  unsigned words = kLengths[*at >> 52];
  if (words == kByValue) [[unlikely]]
    words = length(*at);
  return words - 1 >= static_cast<size_t>(end - at) ? 0 : words;
}

Decoder::Decoder(Aggregator &aggregator, MetaListener &listener)
    : aggregator_(aggregator),
      listener_(listener),
      cache_(kFirstCacheSets, kEmptySet),
      cache_mask_(kFirstCacheSets - 1) {}

// ------------------------------------------------------------------------------- looking ahead

// Finds the events of [at, end), and asks for the groups of blocks and the cache entries they name.
void Decoder::look(const Stream &stream, const uint64_t *at, const uint64_t *end, Batch *batch) {
  const Book &book = *stream.book;
  const CacheSet *cache = cache_.data();
  const uint32_t thread_kinds = stream.thread->row << 4;
  batch->stream = &stream;
  batch->at = at;
  batch->end = end;
  batch->garbage = false;
  Item *item = batch->items;
  while (at < end) {
    uint64_t word = *at;
    unsigned words = whole(at, end);
    if (words == 0) [[unlikely]] {
      batch->garbage = word != 0;
      break;
    }
    LiveTable::Spot spot = book.spot(HT_VALUE(word));
    LiveTable::prefetch(spot);
    // Without a branch on what the event is: that would be guessed wrong every other time.
    size_t set = cache_set(static_cast<uint32_t>(at[1] >> 32), native_of(at),
                           thread_kinds | (HT_AUX(word) & 0xf));
    __builtin_prefetch(cache + set);
    bool fresh = HT_OP(word) == HT_OP_ALLOC;
    *item++ = {at, spot.group, spot.partition, spot.tag,
               fresh ? static_cast<uint32_t>(set) : kNoSet};
    at += words;
  }
  batch->count = static_cast<unsigned>(item - batch->items);
  batch->moves = book.moves();
}

// Spots go stale when the table grows.
void Decoder::refresh_spots(Batch *batch, unsigned from) {
  const Book &book = *batch->stream->book;
  for (unsigned i = from; i < batch->count; i++) {
    Item &item = batch->items[i];
    item.group = book.spot(HT_VALUE(*item.event)).group;
  }
  batch->moves = book.moves();
}

void Decoder::ask_slots(const Batch &batch) {
  for (unsigned i = 0; i < batch.count; i++) {
    const Item &item = batch.items[i];
    __builtin_prefetch(LiveTable::likely_slot(item.spot(), item.fresh()), 1);
  }
}

void Decoder::ask_contexts(const Batch &batch) {
  const Book &book = *batch.stream->book;
  for (unsigned i = 0; i < batch.count; i++) {
    const Item &item = batch.items[i];
    const CacheSet &set = cache_[item.cache_set & cache_mask_];
    unsigned found = set.match_first(static_cast<uint32_t>(item.event[1] >> 32));
    const uint32_t *cached = &set.context[__builtin_ctz(found | 8)];
    const uint32_t *stored = &LiveTable::likely_slot(item.spot(), false)->context;
    book.ask_context(*(item.fresh() ? cached : stored));
  }
}

template <bool kPlain>
const uint64_t *Decoder::count_far(Stream &stream, const uint64_t *at, const uint64_t *end,
                                   Force force, const Ahead &ahead) {
  const Book &book = *stream.book;
  Batch *batch = &batches_[current_], *next = &batches_[1 - current_];
  if (batch->stream != &stream || batch->at != at || batch->end != end) {
    look(stream, at, end, batch);
  } else if (batch->moves != book.moves()) {
    refresh_spots(batch, 0);
  }
  ask_slots(*batch);
  next->stream = nullptr;
  if (ahead.stream != nullptr) look(*ahead.stream, ahead.at, ahead.end, next);
  ask_contexts(*batch);
  for (unsigned i = 0; i < batch->count; i++) {
    if (batch->moves != book.moves()) [[unlikely]]
      refresh_spots(batch, i);
    const Item &item = batch->items[i];
    if (!one<kPlain>(stream, item.event, item.spot(), force)) {
      forget_ahead();
      return item.event;
    }
  }
  if (batch->garbage) garbage_++;
  current_ = 1 - current_;
  return end;
}

// Events of a book small enough for the nearer caches: one after the other. Returns where it stopped,
// `end`: it did not.
template <bool kPlain>
const uint64_t *Decoder::count_near(Stream &stream, const uint64_t *at, const uint64_t *end,
                                    Force force) {
  const Book &book = *stream.book;
  while (at < end) {
    unsigned words = whole(at, end);
    if (words == 0) [[unlikely]] {
      if (*at != 0) garbage_++;
      break;
    }
    if (!one<kPlain>(stream, at, book.spot(HT_VALUE(*at)), force)) return at;
    at += words;
  }
  return end;
}

const uint64_t *Decoder::decode(Stream &stream, const uint64_t *at, const uint64_t *end,
                                Force force, const Ahead &ahead) {
  aggregator_.advance(stream.time);
  bool plain = stream.book->is_plain();
  if (stream.book->is_large()) {
    return plain ? count_far<true>(stream, at, end, force, ahead)
                 : count_far<false>(stream, at, end, force, ahead);
  }
  forget_ahead();
  return plain ? count_near<true>(stream, at, end, force)
               : count_near<false>(stream, at, end, force);
}

// The context as the cache knows it; nullptr: it does not.
HT_HOT const uint32_t *Decoder::remembered(uint32_t first, uint32_t second,
                                           uint32_t thread_kind) const {
  const CacheSet &set = cache_[cache_set(first, second, thread_kind)];
  unsigned found = set.match(first, second, thread_kind);
  return found == 0 ? nullptr : &set.context[__builtin_ctz(found)];
}

// The common events are dealt with here, with as few instructions as they can do with.
template <bool kPlain>
HT_HOT bool Decoder::one(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Force &force) {
  uint64_t word = *at, address = HT_VALUE(word);
  unsigned code = static_cast<unsigned>(word >> 52), kind = HT_AUX(word) & 0xf;
  if (kind < HT_KIND_MMAP && address != 0 && !force.first) [[likely]] {
    if (code == HT_OP_FREE << 4) {
      return stream.book->free<kPlain>(*stream.thread, spot, address, force.rest);
    }
    if ((code & ~1u) == HT_OP_ALLOC << 4) { // 1: HT_ALLOC_NATIVE
      const uint32_t *known = remembered(static_cast<uint32_t>(at[1] >> 32), native_of(at),
                                         stream.thread->row << 4 | kind);
      if (known != nullptr) [[likely]] {
        return stream.book->allocate<kPlain>(*stream.thread, spot, address,
                                             static_cast<uint32_t>(at[1]), *known, force.rest);
      }
    }
  }
  Misfit misfit = force.first ? force.first_as : force.rest;
  bool undefined = force.first;
  force.first = false;
  return uncommon(stream, at, spot, misfit, undefined);
}

bool Decoder::uncommon(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Misfit misfit,
                       bool undefined) {
  Book &book = *stream.book;
  Thread &thread = *stream.thread;
  uint64_t word = *at;
  switch (HT_OP(word)) {
    case HT_OP_FREE:
      if (is_mapping(HT_AUX(word) & 0xf)) return book.unmap_at(thread, HT_VALUE(word), misfit);
      return book.free(thread, spot, HT_VALUE(word), misfit);
    case HT_OP_ALLOC:
    case HT_OP_REALLOC_END:
      return allocation(stream, at, spot, misfit, undefined);
    case HT_OP_REALLOC_BEGIN:
      return book.begin_realloc(thread, HT_VALUE(word), stream.realloc, misfit);
    case HT_OP_UNMAP:
    case HT_OP_REMAP:
      return mapping(stream, at, misfit, undefined);
    case HT_OP_NODE:
      stream.image->add_node(static_cast<uint32_t>(word), HT_AUX(word), at[1], at[2]);
      return true;
    case HT_OP_META:
      meta(stream, at);
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

bool Decoder::allocation(Stream &stream, const uint64_t *at, LiveTable::Spot spot, Misfit misfit,
                         bool undefined) {
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
    const uint32_t *known = remembered(first, second, thread.row << 4 | kind);
    if (known != nullptr) {
      index = *known;
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
  return book.allocate(thread, spot, address, size, index, misfit);
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
