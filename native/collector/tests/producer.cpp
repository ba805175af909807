#include "collector/tests/producer.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace heaptide::testing {

TestSession::TestSession(uint32_t config, uint64_t sample_interval)
    : fd_(memfd_create("heaptide", MFD_CLOEXEC)) {
  CHECK_EQUAL(0, ftruncate(fd_, static_cast<off_t>(HT_SESSION_BYTES)));
  ht_session_header header{};
  header.magic = HT_WIRE_MAGIC;
  header.version = HT_WIRE_VERSION;
  header.config = config;
  header.sample_interval = sample_interval;
  CHECK_EQUAL(static_cast<ssize_t>(sizeof header), pwrite(fd_, &header, sizeof header, 0));
  std::string error;
  CHECK(session.map(fd_, &error));
  CHECK_EQUAL(std::string(), error);
}

TestSession::~TestSession() { close(fd_); }

uint32_t TestSession::register_process(uint32_t parent, uint32_t inherited_nodes) {
  uint32_t slot = prepare_process(parent, inherited_nodes, static_cast<uint32_t>(getpid()));
  show_process(slot);
  return slot;
}

void TestSession::show_process(uint32_t slot) {
  shared_store(session.process(slot).state, static_cast<uint32_t>(HT_PROCESS_LIVE));
}

uint32_t TestSession::prepare_process(uint32_t parent, uint32_t inherited_nodes, uint32_t pid) {
  uint32_t slot = __atomic_fetch_add(&session.header().processes_used, 1, __ATOMIC_RELAXED);
  shared_store(session.process(slot).state, static_cast<uint32_t>(HT_PROCESS_CLAIMED));
  fill_in(slot, parent, inherited_nodes, pid);
  return slot;
}

bool TestSession::reuse_process(uint32_t pid) {
  for (uint32_t slot = 0; slot < HT_MAX_PROCESSES; slot++) {
    uint32_t expected = HT_PROCESS_FREE;
    if (__atomic_compare_exchange_n(&session.process(slot).state, &expected, HT_PROCESS_CLAIMED,
                                    false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      fill_in(slot, 0, 0, pid);
      show_process(slot);
      return true;
    }
  }
  return false;
}

void TestSession::fill_in(uint32_t slot, uint32_t parent, uint32_t inherited_nodes, uint32_t pid) {
  ht_process &process = session.process(slot);
  process.pid = pid;
  process.parent_slot = parent;
  process.parent_generation = parent == 0 ? 0 : shared_load(session.process(parent - 1).generation);
  shared_store(process.generation, process.generation + 1);
  process.inherited_nodes = inherited_nodes;
  process.start_tsc = read_tsc();
}

void TestSession::begin_exec(uint32_t slot) {
  shared_store(session.process(slot).state, static_cast<uint32_t>(HT_PROCESS_EXEC));
}

Producer::Producer(Session &session, uint32_t process_slot) : session_(session) {
  for (index_ = 0; index_ < HT_MAX_RINGS; index_++) {
    ht_ring_header &ring = session.ring(index_);
    uint32_t expected = HT_RING_FREE;
    if (__atomic_compare_exchange_n(&ring.state, &expected, HT_RING_CLAIMED, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      break;
    }
  }
  uint32_t used = __atomic_load_n(&session.header().rings_used, __ATOMIC_RELAXED);
  while (used <= index_ &&
         !__atomic_compare_exchange_n(&session.header().rings_used, &used, index_ + 1, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  ring_ = &session.ring(index_);
  open_block(0);
  ring_->generation++;
  ring_->process = process_slot;
  ring_->process_generation = session.process(process_slot).generation;
  ring_->pid = static_cast<uint32_t>(getpid());
  ring_->tid = static_cast<uint32_t>(syscall(SYS_gettid));
  ring_->start_tsc = read_tsc();
  shared_store<uint64_t>(ring_->head, 0);
  shared_store<uint64_t>(ring_->tail, 0);
  shared_store(ring_->state, static_cast<uint32_t>(HT_RING_LIVE));
}

void Producer::open_block(uint64_t number) {
  at_ = const_cast<uint64_t *>(session_.block(index_, number));
  limit_ = at_ + HT_BLOCK_WORDS;
  // As an agent does; but one word after the other, so that a thread sanitizer sees what is shared.
  for (unsigned i = 1; i < HT_BLOCK_WORDS; i++) __atomic_store_n(&at_[i], 0, __ATOMIC_RELAXED);
  __atomic_store_n(&at_[0], read_tsc(), __ATOMIC_RELEASE);
  at_++;
  block_ = number;
}

bool Producer::wait_for_room(uint64_t number) {
  while (number - shared_load(ring_->tail) >= HT_RING_BLOCKS) {
    if (session_.state() == HT_STATE_STOPPED) return false;
    uint32_t *sleeping = &session_.header().sleeping;
    if (__atomic_exchange_n(sleeping, 0, __ATOMIC_RELAXED) != 0) {
      syscall(SYS_futex, sleeping, 1 /* FUTEX_WAKE */, 1, nullptr, nullptr, 0);
    }
    usleep(50);
  }
  return true;
}

void Producer::emit(std::initializer_list<uint64_t> words) {
  if (refused_) return;
  if (at_ + words.size() > limit_) {
    if (session_.state() != HT_STATE_RECORDING || !wait_for_room(block_ + 1)) {
      refused_ = true;
      return;
    }
    open_block(block_ + 1);
    shared_store(ring_->head, block_);
  }
  uint64_t *event = at_;
  at_ += words.size();
  const uint64_t *word = words.begin();
  for (size_t i = 1; i < words.size(); i++) {
    __atomic_store_n(&event[i], word[i], __ATOMIC_RELAXED);
  }
  __atomic_store_n(event, *word, __ATOMIC_RELEASE);
}

void Producer::allocate(uint64_t address, uint64_t size, uint32_t node, unsigned kind) {
  if (size <= UINT32_MAX) {
    emit({HT_WORD(HT_OP_ALLOC, kind, address), size | uint64_t{node} << 32});
  } else {
    emit({HT_WORD(HT_OP_ALLOC, kind | HT_ALLOC_BIG, address), uint64_t{node} << 32, size});
  }
}

void Producer::meta(unsigned type, const std::string &bytes) {
  constexpr size_t kMost = 120 * 8;
  for (size_t from = 0; from == 0 || from < bytes.size(); from += kMost) {
    std::string part = bytes.substr(from, kMost);
    bool more = from + kMost < bytes.size();
    std::vector<uint64_t> words((part.size() + 7) / 8 + 1);
    std::memcpy(words.data() + 1, part.data(), part.size());
    words[0] =
        HT_WORD(HT_OP_META, 0, (words.size() - 1) | uint64_t{type} << 16 | uint64_t{more} << 24);
    if (at_ + words.size() > limit_) {
      if (!wait_for_room(block_ + 1)) return;
      open_block(block_ + 1);
      shared_store(ring_->head, block_);
    }
    uint64_t *event = at_;
    at_ += words.size();
    for (size_t i = 1; i < words.size(); i++) {
      __atomic_store_n(&event[i], words[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(event, words[0], __ATOMIC_RELEASE);
  }
}

Recorder::Recorder(TestSession &session, Options options)
    : session_(session), options_(std::move(options)) {
  thread_ = std::thread([this] {
    Collector collector(session_.session, options_);
    std::string error;
    CHECK(collector.start(&error));
    CHECK_EQUAL(std::string(), error);
    started_ = true;
    collector.run(stop_);
  });
  while (!started_) usleep(200);
}

void Recorder::finish() {
  shared_store(session_.session.header().finish, 1u);
  wait();
}

void Recorder::wait() {
  if (thread_.joinable()) thread_.join();
}

} // namespace heaptide::testing
