// Figures that a program asks for while it runs (heaptide_sync): exact as of its request.
#ifndef HEAPTIDE_COLLECTOR_SYNCS_H
#define HEAPTIDE_COLLECTOR_SYNCS_H

#include <cstdint>
#include <vector>

#include "collector/rings.h"

namespace heaptide {

class Syncs {
 public:
  Syncs(Session &session, Processes &processes, Rings &rings)
      : session_(session), processes_(processes), rings_(rings) {}

  // Before a round: takes up requests. What came before them is in the rings, and the round finds it.
  void look();
  bool any() const { return !requests_.empty(); }
  uint32_t flags() const; // of all of them
  // After a round: whether all that came before has been counted. Some may have been left to the next one.
  bool are_due();
  void answer(uint64_t now_ns);
  // Whether a request waits that no look has taken up.
  bool pending() const;

 private:
  struct Request {
    Process *process;
    uint32_t number, tid, flags;
  };
  void fill(const Request &request, uint64_t now_ns);

  Session &session_;
  Processes &processes_;
  Rings &rings_;
  std::vector<Request> requests_;
};

} // namespace heaptide

#endif
