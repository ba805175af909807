// Writes rings as agents do: what tests record.
#ifndef HEAPTIDE_COLLECTOR_TESTS_PRODUCER_H
#define HEAPTIDE_COLLECTOR_TESTS_PRODUCER_H

#include <initializer_list>
#include <string>
#include <thread>

#include "collector/collector.h"
#include "collector/session.h"
#include "collector/tests/check.h"

namespace heaptide::testing {

// A session's memory, filled in as the launcher does.
class TestSession {
 public:
  explicit TestSession(uint32_t config = 0, uint64_t sample_interval = 0);
  ~TestSession();

  Session session;

  // A process slot for the calling process. parent: slot + 1.
  uint32_t register_process(uint32_t parent = 0, uint32_t inherited_nodes = 0);
  // For a process of another pid, that nobody sees before show_process.
  uint32_t prepare_process(uint32_t parent, uint32_t inherited_nodes, uint32_t pid);
  void show_process(uint32_t slot);
  // A slot that has been used before; false: there is none.
  bool reuse_process(uint32_t pid);
  void begin_exec(uint32_t slot);

 private:
  void fill_in(uint32_t slot, uint32_t parent, uint32_t inherited_nodes, uint32_t pid);

  int fd_;
};

// The ring of one thread.
class Producer {
 public:
  Producer(Session &session, uint32_t process_slot);

  void emit(std::initializer_list<uint64_t> words);
  void allocate(uint64_t address, uint64_t size, uint32_t node = 0, unsigned kind = HT_KIND_MALLOC);
  void free(uint64_t address) { emit({HT_WORD(HT_OP_FREE, HT_KIND_MALLOC, address)}); }
  void begin_realloc(uint64_t address) {
    emit({HT_WORD(HT_OP_REALLOC_BEGIN, HT_KIND_MALLOC, address)});
  }
  void end_realloc(uint64_t address, uint64_t size) {
    emit({HT_WORD(HT_OP_REALLOC_END, HT_KIND_MALLOC, address), size});
  }
  void node(uint32_t id, uint64_t address, uint32_t parent = HT_NODE_ROOT_NATIVE) {
    emit({HT_WORD(HT_OP_NODE, 0, id), address, parent});
  }
  void meta(unsigned type, const std::string &bytes);

  bool refused() const { return refused_; } // the recording is over

 private:
  void open_block(uint64_t number);
  bool wait_for_room(uint64_t number);

  Session &session_;
  ht_ring_header *ring_ = nullptr;
  uint32_t index_ = 0;
  uint64_t *at_ = nullptr, *limit_ = nullptr;
  uint64_t block_ = 0;
  bool refused_ = false;
};

// A collector at work in a thread of its own.
class Recorder {
 public:
  Recorder(TestSession &session, Options options);
  // Ends it, as the launcher does once the program has ended, and waits until the file is whole.
  void finish();
  void wait();

 private:
  TestSession &session_;
  Options options_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> started_{false};
  std::thread thread_;
};

} // namespace heaptide::testing

#endif
