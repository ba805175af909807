#include "collector/rings.h"

#include <algorithm>

namespace heaptide {
namespace {

constexpr uint64_t kFirstCheckNs = 500'000, kCheckNs = 50'000'000;
// What a thread has freed tells what other threads' events are about that are read in the same round or
// the next one.
constexpr uint32_t kQuietRounds = 2;
// A ring that has been used this much is worth its pages; a smaller one is left to the next thread.
constexpr uint64_t kDiscardBlocks = 64;

} // namespace

Rings::Rings(Session &session, Processes &processes, Threads &threads, const Clock &clock)
    : session_(session),
      processes_(processes),
      threads_(threads),
      clock_(clock),
      cursors_(HT_MAX_RINGS) {}

void Rings::discover() {
  uint32_t used = session_.rings_used();
  for (uint32_t index = 0; index < used; index++) {
    const ht_ring_header &ring = session_.ring(index);
    const Cursor *cursor = cursors_[index].get();
    if (cursor != nullptr && cursor->process != nullptr) continue; // being read
    if (shared_load(ring.state) != HT_RING_LIVE) continue;
    if (cursor != nullptr && cursor->generation == ring.generation) continue;
    add(index, ring);
  }
}

void Rings::add(uint32_t index, const ht_ring_header &ring) {
  Process *process = processes_.find(ring.process, ring.process_generation);
  if (process == nullptr) {
    processes_.discover();
    process = processes_.find(ring.process, ring.process_generation);
    if (process == nullptr) return;
  }
  if (cursors_[index] == nullptr) cursors_[index] = std::make_unique<Cursor>();
  Cursor &cursor = *cursors_[index];
  cursor = Cursor();
  cursor.ring = index;
  cursor.generation = ring.generation;
  cursor.pid = ring.pid;
  cursor.tid = ring.tid;
  cursor.process = process;
  // A thread of the same number is another's successor.
  for (Cursor *other : open_) {
    if (other->process == process && other->tid == cursor.tid) other->tid = 0;
  }
  cursor.thread = &threads_.begin(*process, ring.tid, clock_.ns(ring.start_tsc));
  cursor.stream.book = process->book;
  cursor.stream.image = process->image.get();
  cursor.stream.thread = cursor.thread->place;
  cursor.stream.owner = &cursor;
  cursor.at.block = cursor.published = shared_load(ring.tail);
  cursor.first = cursor.sure = cursor.limit = cursor.at;
  process->open_rings++;
  open_.push_back(&cursor);
}

void Rings::look(Cursor &cursor) {
  if (!cursor.is_due()) cursor.unread_since = cursor.looked_from;
  cursor.looked_from = read_tsc();
  look_again(cursor);
  cursor.looked_until = read_tsc();
  cursor.first = cursor.sure = cursor.limit;
  cursor.quiet_rounds = cursor.is_due() ? 0 : cursor.quiet_rounds + 1;
  cursor.has_sought = false;
}

void Rings::look_again(Cursor &cursor) {
  uint64_t head = shared_load(session_.ring(cursor.ring).head);
  if (head < cursor.limit.block || head - cursor.at.block > HT_RING_BLOCKS) {
    // The head of a ring only ever goes on, and never over what has not been read. A fresh ring
    // whose first block has been read to its end is one ahead of its head.
    if (head + 1 == cursor.at.block) return;
    broken_++;
    cursor.at.block = cursor.limit.block = head;
    cursor.at.word = cursor.limit.word = HT_BLOCK_WORDS;
    cursor.first = cursor.sure = cursor.limit;
    return;
  }
  unsigned word = head == cursor.limit.block ? cursor.limit.word : 1;
  const uint64_t *block = session_.block(cursor.ring, head);
  while (word < HT_BLOCK_WORDS) {
    uint64_t first = __atomic_load_n(&block[word], __ATOMIC_ACQUIRE);
    if (first == 0) break;
    unsigned length = Decoder::length(first);
    if (length == 0 || length > HT_BLOCK_WORDS - word) {
      word = HT_BLOCK_WORDS; // garbage: the decoder will say so
      break;
    }
    word += length;
  }
  cursor.limit = {head, word};
}

void Rings::publish(Cursor &cursor, uint64_t kept) {
  if (cursor.process->open_rings <= 1) kept = 0;
  if (cursor.published + kept >= cursor.at.block) return;
  cursor.published = cursor.at.block - kept;
  shared_store(session_.ring(cursor.ring).tail, cursor.published);
}

bool Rings::filling_up() const {
  for (const Cursor *cursor : open_) {
    uint64_t head = shared_load(session_.ring(cursor->ring).head);
    if (head - cursor->at.block >= HT_RING_BLOCKS / 4 && head >= cursor->at.block) return true;
  }
  return false;
}

// ------------------------------------------------------------------------------------ release

void Rings::release(Cursor &cursor, uint64_t now) {
  threads_.end(*cursor.thread, now);
  cursor.process->open_rings--;
  cursor.process = nullptr;
  std::erase(open_, &cursor);
  ht_ring_header &ring = session_.ring(cursor.ring);
  if (cursor.at.block >= kDiscardBlocks) session_.discard_ring(cursor.ring);
  // The next to claim it begins at block 0 and says so.
  shared_store(ring.state, static_cast<uint32_t>(HT_RING_FREE));
}

void Rings::release(Process &process, uint64_t now) {
  std::vector<Cursor *> gone;
  for (Cursor *cursor : open_) {
    if (cursor->process == &process) gone.push_back(cursor);
  }
  for (Cursor *cursor : gone) release(*cursor, now);
}

void Rings::release_unused(uint64_t now) {
  std::vector<Cursor *> gone;
  for (Cursor *cursor : open_) {
    if (cursor->quiet_rounds < kQuietRounds || now < cursor->next_check) continue;
    if (now < cursor->quiet_since + kFirstCheckNs || cursor->process->foreign) continue;
    cursor->next_check = now + std::min(now - cursor->quiet_since, kCheckNs);
    if (cursor->tid == 0 || !Threads::runs(cursor->pid, cursor->tid)) gone.push_back(cursor);
  }
  for (Cursor *cursor : gone) {
    // It may have said something between our last look and its end.
    look(*cursor);
    if (!cursor->is_due()) release(*cursor, now);
  }
}

} // namespace heaptide
