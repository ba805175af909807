// Events that do not come in the order that a book wants: what to do with them, and what is kept of them. A
// handful at a time, if any.
#ifndef HEAPTIDE_COLLECTOR_DISORDER_H
#define HEAPTIDE_COLLECTOR_DISORDER_H

#include <cstdint>

#include "collector/context.h"
#include "collector/intern_map.h"
#include "collector/live_table.h"
#include "collector/sampling.h"

namespace heaptide {

// A block between the beginning and the end of its realloc: out of the table, still in the totals.
struct InFlight {
  bool active = false;
  bool known = false;  // the block was in the table
  bool orphan = false; // it was not, but may be yet
  uint64_t address = 0;
  Block block{};
};

// What to do with an event that does not fit what lives at its address.
enum class Misfit {
  kRefuse,     // something that comes first may yet be found
  kCount,      // nothing will be: a free without a block, a block whose free nobody saw
  kKeepBlocks, // of two blocks, events to come may tell which one stays; a free is refused
  // Counted, but events to come may put it right (see settle): a free may be that of a block that
  // another thread, or any, is still to allocate.
  kKeep,
  kKeepForAny,
};

// A block that lives, but another one has its place in the table.
struct Shadow {
  Block block;
  uint32_t age;
};

// A realloc's new block, as far as the old one's end has to know it.
struct Move {
  uint32_t context = InternMap<int>::kNone;
  Weight weight{};
  uint64_t address = 0, size = 0;
};

// A free whose block is not known yet.
struct Orphan {
  uint64_t address;
  Thread *thread; // that freed it
  uint32_t age;
  bool for_any;     // any thread may yet allocate its block, its own too
  InFlight *flight; // of the realloc that has begun with it, until that ends
  Move move;        // what its end has made; context kNone: nothing, or it was a free
};

} // namespace heaptide

#endif
