#include "collector/decoder.h"

#include <algorithm>

#include "collector/plain_book.h"

namespace heaptide {
namespace {

bool is_mapping(unsigned kind) {
  return kind == HT_KIND_MMAP || kind == HT_KIND_SBRK || kind == HT_KIND_ARENA;
}

} // namespace

// Words of the event at `at`; 0: there is none, or it does not end by `end`.
HT_HOT unsigned Decoder::whole(const uint64_t *at, const uint64_t *end) {
  unsigned words = length(*at);
  return words - 1 >= static_cast<size_t>(end - at) ? 0 : words;
}

// The stack of the allocation at `at`, without a branch on whether it has a native half.
HT_HOT Decoder::StackNames Decoder::names_of(const uint64_t *at) {
  uint32_t native = 0u - (static_cast<uint32_t>(*at >> 52) & 1);
  return {static_cast<uint32_t>(at[1] >> 32), static_cast<uint32_t>(at[2]) & native};
}

// The name that Single has for it: without a native half.
HT_HOT uint64_t Decoder::name_of(const uint64_t *at, uint32_t row) {
  return (at[1] & ~uint64_t{UINT32_MAX}) | row | (HT_AUX(*at) & 0xf);
}

const Decoder::Single *Decoder::single_of(const uint64_t *at, uint32_t row) const {
  return single_at(singles_.data(), singles_mask(), name_of(at, row), HT_AUX(*at) & 0xf,
                   (row >> 4) * kSalt);
}

Decoder::Decoder(Aggregator &aggregator, MetaListener &listener)
    : aggregator_(aggregator),
      listener_(listener),
      cache_(kFirstCache),
      singles_(kFirstCache),
      cache_mask_(kFirstCache - 1) {}

// ------------------------------------------------------------------------------- looking ahead

// Calls visit(at) for each of the events.
template <class Visit>
HT_HOT void Decoder::each_event(Events events, Visit visit) {
  for (const uint64_t *at = events.at; at < events.until;) {
    unsigned words = whole(at, events.end);
    if (words == 0) break;
    visit(at);
    at += words;
  }
}

// Asks for what is read first of the events: the pages of their blocks, and what is known of their
// contexts.
void Decoder::look(const Stream &stream, const Events &events) {
  const LiveBlocks &live = stream.book->live();
  const uint32_t row = stream.thread->row << 4;
  each_event(events, [&](const uint64_t *event) {
    live.ask_page(HT_VALUE(*event));
    if ((HT_AUX(*event) & HT_ALLOC_NATIVE) == 0) {
      __builtin_prefetch(single_of(event, row));
    } else {
      __builtin_prefetch(&cache_[cache_place(names_of(event), row | (HT_AUX(*event) & 0xf))]);
    }
  });
  looked_at_ = events.at;
}

// Asks for the rest, and for what is read first of those ahead.
void Decoder::look_closer(const Stream &stream, const Events &events, const Ahead &ahead) {
  const Book &book = *stream.book;
  const LiveBlocks &live = book.live();
  const uint32_t row = stream.thread->row << 4;
  if (looked_at_ != events.at) look(stream, events);
  if (ahead.stream != nullptr) {
    each_event(ahead.events, [&](const uint64_t *event) { live.ask_entry(HT_VALUE(*event)); });
  }
  each_event(events, [&](const uint64_t *event) { live.ask_life(HT_VALUE(*event)); });
  if (ahead.stream != nullptr) look(*ahead.stream, ahead.events);
  each_event(events, [&](const uint64_t *event) {
    // Where a block is to be born another one often lives still: of an allocation what it says itself counts.
    // Both are looked up of any event, for a branch on its kind would often be mispredicted.
    const Single *single = single_of(event, row);
    uint32_t said = single->context, context = live.expected_context(HT_VALUE(*event), said);
    bool born = HT_OP(*event) == HT_OP_ALLOC;
    context = born ? said : context;
    if (born && single->name != name_of(event, row)) [[unlikely]]
      context = remembered(names_of(event), row | (HT_AUX(*event) & 0xf));
    book.ask_context(context);
  });
}

// ------------------------------------------------------------------------------------ counting

const uint64_t *Decoder::decode(Stream &stream, const Events &events, Force force,
                                const Ahead &ahead) {
  aggregator_.advance(stream.time);
  if (stream.book->is_large()) look_closer(stream, events, ahead);
  return count(stream, events, force);
}

// Counts events as long as they go the shortest way, and returns where the first one is that does not.
const uint64_t *Decoder::count_plain(Stream &stream, const Events &events) {
  // Op, kind and the lowest bits of the address, in one number; the kinds of small blocks come first.
  auto head = [](uint64_t word) {
    return static_cast<uint32_t>(word << 16 | word >> 48) & 0xfffff;
  };
  constexpr uint32_t kFree = HT_OP_FREE << 8, kAllocation = HT_OP_ALLOC << 8,
                     kWithNative = kAllocation | HT_ALLOC_NATIVE;
  constexpr uint64_t kFreeOf = uint64_t{HT_OP_ALLOC - HT_OP_FREE} << 56,
                     kFreeOfNative = kFreeOf | uint64_t{HT_ALLOC_NATIVE} << 48;
  PlainBook book(*stream.book, *stream.thread);
  const uint32_t row = stream.thread->row << 4;
  Single *const singles = singles_.data();
  const uint64_t mask = singles_mask(), salt = stream.thread->row * kSalt;
  const uint64_t *at = events.at, *const until = events.until, *const end = events.end;
  while (at < until) {
    const uint64_t word = *at;
    const uint32_t what = head(word);
    if (what - kFree < HT_KIND_MMAP) {
      if (!book.free(word)) [[unlikely]]
        break;
      at++;
      continue;
    }
    const uint64_t *next;
    uint64_t free_of;
    uint32_t context;
    if (what - kAllocation < HT_KIND_MMAP) [[likely]] {
      next = at + 2;
      if (next > end) [[unlikely]]
        break;
      const uint64_t kind = what & 0xf, name = name_of(at, row);
      Single *single = single_at(singles, mask, name, kind, salt);
      context = single->context;
      if (single->name != name) [[unlikely]] {
        context = remembered(names_of(at), row | (what & 0xf));
        if (context == Book::kNone) break;
        *single = {name, context};
      }
      free_of = word - kFreeOf;
    } else if (what - kWithNative < HT_KIND_MMAP) {
      next = at + 3;
      if (next > end) [[unlikely]]
        break;
      context = remembered(names_of(at), row | (what & 0xf));
      if (context == Book::kNone) [[unlikely]]
        break;
      free_of = word - kFreeOfNative;
    } else {
      break;
    }
    const uint64_t size = static_cast<uint32_t>(at[1]);
    if (*next == free_of && next < end && book.allocate_and_free(word, size, context)) {
      at = next + 1;
      continue;
    }
    if (!book.allocate(word, size, context)) [[unlikely]]
      break;
    at = next;
  }
  return at;
}

const uint64_t *Decoder::count(Stream &stream, Events events, Force force) {
  const bool plain = stream.book->is_plain();
  Misfit misfit = force.first ? force.first_as : force.rest;
  bool undefined = force.first;
  while (events.at < events.until) {
    if (plain && !undefined && !stream.book->is_disordered()) [[likely]] {
      events.at = count_plain(stream, events);
      if (events.at >= events.until) break;
    }
    unsigned words = whole(events.at, events.end);
    if (words == 0) [[unlikely]] {
      if (*events.at != 0) garbage_++;
      return events.end;
    }
    if (!uncommon(stream, events.at, misfit, undefined)) return events.at;
    events.at += words;
    misfit = force.rest;
    undefined = false;
  }
  return events.at;
}

bool Decoder::uncommon(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined) {
  Book &book = *stream.book;
  Thread &thread = *stream.thread;
  uint64_t word = *at;
  switch (HT_OP(word)) {
    case HT_OP_FREE:
      if (is_mapping(HT_AUX(word) & 0xf)) return book.unmap_at(thread, HT_VALUE(word), misfit);
      return book.free(thread, HT_VALUE(word), misfit);
    case HT_OP_ALLOC:
    case HT_OP_REALLOC_END:
      return allocation(stream, at, misfit, undefined);
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
bool Decoder::context(Stream &stream, StackNames names, unsigned kind, bool undefined,
                      uint32_t *context) {
  uint32_t stack;
  bool whole = stream.image->merge(names.first, names.second, false, &stack);
  if (!whole) {
    if (!undefined) return false;
    stream.image->merge(names.first, names.second, true, &stack);
  }
  *context = aggregator_.context(*stream.book, *stream.thread, stack, kind);
  if (aggregator_.open_contexts() / 2 > cache_mask_) grow_cache();
  if (whole) remember(names, stream.thread->row << 4 | kind, *context);
  return true;
}

// At the front of its set: the one at its end goes.
void Decoder::remember(StackNames names, uint32_t thread_kind, uint32_t context) {
  KnownSet &set = cache_[cache_place(names, thread_kind)];
  std::copy_backward(set.known, set.known + kWays - 1, set.known + kWays);
  set.known[0] = {names, thread_kind, context};
}

void Decoder::grow_cache() {
  if (cache_.size() >= kMostCache) return;
  size_t sets = cache_.size() * 4;
  give_back(cache_); // what it knows is soon known again
  cache_.resize(sets);
  give_back(singles_);
  singles_.resize(sets * kWays);
  cache_mask_ = sets - 1;
}

// ------------------------------------------------------------------------------------- events

bool Decoder::allocation(Stream &stream, const uint64_t *at, Misfit misfit, bool undefined) {
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
    index = remembered({first, second}, thread.row << 4 | kind);
    if (index == Book::kNone && !context(stream, {first, second}, kind, undefined, &index))
      return false;
  }
  if (end_of_realloc) {
    return book.end_realloc(thread, stream.realloc, address, size, index,
                            (aux & HT_ALLOC_FREED) != 0, misfit);
  }
  if (is_mapping(kind)) [[unlikely]] {
    return book.map(thread, address, size, index, misfit);
  }
  return book.allocate(thread, address, size, index, misfit);
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
  StackNames names = {static_cast<uint32_t>(at[4] >> 32), static_cast<uint32_t>(at[4])};
  if (!context(stream, names, kind, undefined, &index)) return false;
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
