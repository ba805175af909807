// The session's shared memory, as wire.h lays it out, in the collector's address space.
#ifndef HEAPTIDE_COLLECTOR_SESSION_H
#define HEAPTIDE_COLLECTOR_SESSION_H

#include <cstdint>
#include <string>

#include "wire/wire.h"

namespace heaptide {

// All fields that another process may write are read and written through these.
template <class T>
T shared_load(const T &field) {
  return __atomic_load_n(&field, __ATOMIC_ACQUIRE);
}
template <class T>
void shared_store(T &field, T value) {
  __atomic_store_n(&field, value, __ATOMIC_RELEASE);
}

class Session {
 public:
  Session() = default;
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  // Maps the memfd `fd`. False: `*error` says why, in one line.
  bool map(int fd, std::string *error);

  ht_session_header &header() const { return *reinterpret_cast<ht_session_header *>(base_); }
  ht_process &process(uint32_t slot) const {
    return *reinterpret_cast<ht_process *>(base_ + HT_PROCESSES_OFFSET + slot * HT_PROCESS_BYTES);
  }
  ht_ring_header &ring(uint32_t index) const {
    return *reinterpret_cast<ht_ring_header *>(base_ + HT_RING_HEADERS_OFFSET +
                                               index * HT_RING_HEADER_BYTES);
  }
  // The words of one block of a ring, `number` counting on past the ring's end.
  const uint64_t *block(uint32_t ring, uint64_t number) const {
    return reinterpret_cast<const uint64_t *>(base_ + HT_RINGS_OFFSET +
                                              uint64_t{ring} * HT_RING_BYTES) +
           number % HT_RING_BLOCKS * HT_BLOCK_WORDS;
  }
  uint32_t processes_used() const;
  uint32_t rings_used() const;

  // Gives the memory of a ring that nobody uses back to the system.
  void discard_ring(uint32_t index);

  ht_session_state state() const {
    return static_cast<ht_session_state>(shared_load(header().state));
  }
  void set_state(ht_session_state state) {
    shared_store(header().state, static_cast<uint32_t>(state));
  }
  void set_error(ht_session_error error, int number, const std::string &text);

  // Sleeps until `ns` have passed or a producer whose ring fills up wakes us.
  void sleep(uint64_t ns);
  // Call before the last look at the rings that precedes sleep().
  void about_to_sleep() { __atomic_store_n(&header().sleeping, 1, __ATOMIC_SEQ_CST); }
  void awake() { __atomic_store_n(&header().sleeping, 0, __ATOMIC_RELAXED); }

 private:
  int fd_ = -1;
  char *base_ = nullptr;
};

} // namespace heaptide

#endif
