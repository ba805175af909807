// How large blocks were and how long they lived, for each thread in the slice being counted: what its
// contexts have counted by now, less what they had before they changed in it.
#ifndef HEAPTIDE_COLLECTOR_SPREADS_H
#define HEAPTIDE_COLLECTOR_SPREADS_H

#include <cstdint>
#include <vector>

#include "collector/context.h"

namespace heaptide {

// A row for each thread and counter (kByAllocations and so on) that has some. Arenas are not counted.
struct SpreadRows {
  std::vector<uint64_t> thread, bucket, blocks;
};

class Spreads {
 public:
  // `context` is about to change, the first time in the slice. `counted`: of it so far.
  void begin(const Context &context, const Counted &counted);
  // To be called of a copy: `counted` by a context that has begun in the slice, and, after all of them, the
  // slice so far.
  void end(const Context &context, const Counted &counted);
  void append_to(SpreadRows *rows) const;
  // The next slice begins.
  void clear();

 private:
  struct Counts {
    Thread *thread;
    uint64_t blocks[kCounters]; // modulo 2^64, less what was counted before the slice
  };

  std::vector<Counts> threads_;
};

} // namespace heaptide

#endif
