#include "collector/collector.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "collector/meta_json.h"

namespace heaptide {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kFirstCheckpointNs = 100 * kMs;
constexpr uint64_t kCheckpointNs = 950 * kMs;
constexpr uint64_t kFiguresNs = 40 * kMs;
constexpr uint64_t kRefineNs = 100 * kMs;
// A ring lasts 0.2 ms for a thread that does nothing but allocate and free, and longer for others.
constexpr uint64_t kActiveSleepNs = 250'000;
constexpr uint64_t kWakeUpNs = 50'000; // what it takes to get the processor back
constexpr double kWakeAt = 0.25;
constexpr unsigned kIdleRounds = 8; // before sleeps get longer
constexpr uint64_t kLongestSleepNs = 10 * kMs;
constexpr uint64_t kLastRoundsNs = 200 * kMs, kLastSleepNs = 50'000;
constexpr uint64_t kSmallFile = 1 << 20;
constexpr uint32_t kMostSlicesAtMarks = 1000;
constexpr uint64_t kEndBytes = 160; // of the chunk that ends a file

constexpr const char *kReasons[] = {"finished", "stopped",   "duration",
                                    "max-size", "disk-full", "error"};

std::string seconds(uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ns) / 1e9);
  return text;
}

void nap(uint64_t ns) {
  timespec time = {0, static_cast<long>(ns)};
  nanosleep(&time, nullptr);
}

} // namespace

Collector::Collector(Session &session, const Options &options)
    : session_(session),
      options_(options),
      aggregator_(
          session.header().sample_interval,
          [this](const SliceRows &rows) { checkpoint_.add_slice(rows); },
          [this](const Book &book) { checkpoint_.add_leaving(book); }),
      decoder_(aggregator_, *this),
      processes_(session_, clock_, procfs_, aggregator_, definitions_),
      threads_(aggregator_, definitions_, procfs_),
      rings_(session_, processes_, threads_, clock_),
      drain_(processes_, rings_, decoder_, clock_, [this] { beat(); }),
      syncs_(session_, processes_, rings_),
      timeline_(aggregator_, processes_, procfs_),
      checkpoint_(aggregator_, definitions_, processes_, threads_, timeline_),
      own_resident_(procfs_.open_resident(static_cast<uint32_t>(getpid()))) {
  if ((session_.header().config & HT_CONFIG_THREAD_PEAKS) != 0) aggregator_.keep_threads();
}

Collector::~Collector() {
  if (own_resident_ >= 0) close(own_resident_);
}

void Collector::beat() {
  ht_session_header &h = session_.header();
  __atomic_store_n(&h.heartbeat, h.heartbeat + 1, __ATOMIC_RELAXED);
}

bool Collector::start(std::string *error) {
  ht_session_header &h = session_.header();
  bool roomy = options_.max_bytes == 0 || options_.max_bytes > kSmallFile;
  // What an end may be called is in the file from the start: a full disk takes no more words.
  for (const char *reason : kReasons) definitions_.string(reason);
  double now = static_cast<double>(clock_.start_realtime_ns()) / 1e9;
  std::vector<Chunk> first;
  first.push_back(Checkpoint::meta(make_meta(options_, h.config, h.sample_interval, now)));
  for (Chunk &chunk : checkpoint_.make(0, false)) first.push_back(std::move(chunk));
  if (options_.max_bytes != 0) file_.keep_index();
  if (!file_.create(options_.output, roomy) || !file_.append(first)) {
    *error = options_.output + ": " + std::strerror(file_.error()) +
             "; choose another place for the recording with -o";
    session_.set_error(file_.error() == ENOSPC ? HT_ERROR_DISK_FULL : HT_ERROR_IO, file_.error(),
                       *error);
    return false;
  }
  if (options_.max_bytes != 0) checkpoint_.set_limit(options_.max_bytes);
  writer_ = std::make_unique<FileWriter>(file_);
  // Where a program records itself, nobody waits for our end.
  launcher_ = shared_load(session_.header().root_pid) == 0 ? getppid() : 0;
  h.start_tsc = clock_.start_tsc();
  h.start_monotonic_ns = clock_.start_monotonic_ns();
  h.start_realtime_ns = clock_.start_realtime_ns();
  h.file_bytes = file_.bytes();
  h.collector_pid = static_cast<uint32_t>(getpid());
  next_checkpoint_ = kFirstCheckpointNs;
  seen_slice_end_ = aggregator_.slice_end();
  squeeze_at_ = options_.max_bytes / 8 * 5;
  if (options_.start_after_ns == 0) recording_since_ = std::max<uint64_t>(clock_.now(), 1);
  session_.set_state(recording_since_ != 0 ? HT_STATE_RECORDING : HT_STATE_PAUSED);
  return true;
}

// ------------------------------------------------------------------------------------- events

void Collector::on_process(Stream &stream, uint32_t ppid, std::string_view executable,
                           const std::vector<std::string_view> &arguments) {
  std::string command;
  for (size_t i = 0; i < arguments.size(); i++) {
    if (i > 0) command += '\x1f';
    command += arguments[i];
  }
  processes_.describe(*static_cast<Cursor *>(stream.owner)->process, ppid, executable, command);
}

void Collector::on_thread_name(Stream &stream, uint32_t tid, std::string_view name) {
  threads_.set_name(*static_cast<Cursor *>(stream.owner)->process, tid, name);
}

void Collector::on_mark(Stream &stream, uint64_t tsc, std::string_view name) {
  // Questions about a phase are answered by slices: one ends here. Programs that mark every turn of a loop
  // get none for each.
  uint64_t ns = std::min(clock_.ns(tsc), clock_.now());
  if (slices_at_marks_ < kMostSlicesAtMarks) {
    slices_at_marks_++;
    ns = aggregator_.end_slice_at(ns);
  }
  checkpoint_.add_mark(ns, stream.book->row(), static_cast<Cursor *>(stream.owner)->thread->row,
                       name);
}

void Collector::on_note(Stream &stream, std::string_view text) {
  checkpoint_.add_note(stream.time, stream.book->row(), text);
}

// --------------------------------------------------------------------------------------- loop

Drain::Round Collector::poll() {
  beat();
  uint64_t now = clock_.now();
  processes_.discover();
  processes_.check_deaths(now);
  syncs_.look();
  Drain::Round round = drain_.round();
  look_before_ = std::exchange(last_look_, now);
  // All that has happened before `now` has been counted.
  aggregator_.advance(now);
  if (syncs_.any()) answer_syncs();
  return round;
}

void Collector::answer_syncs() {
  uint32_t flags = syncs_.flags();
  if (!syncs_.are_due()) return;
  uint64_t now = clock_.now();
  if ((flags & HT_SYNC_SLICE) != 0) now = aggregator_.end_slice_at(now);
  // The program waits, and has said that it may.
  if ((flags & HT_SYNC_WRITE) != 0 && writer_ != nullptr) {
    auto wait = [this] {
      while (!writer_->idle() && writer_->error() == 0) {
        nap(kLastSleepNs);
        beat();
      }
    };
    wait();
    if ((flags & HT_SYNC_WRITE_PEAK) != 0) checkpoint_.want_peaks();
    if (writer_->error() == 0) write_checkpoint(now);
    wait();
  }
  syncs_.answer(now);
}

void Collector::housekeeping(uint64_t now) {
  if (aggregator_.slice_end() != seen_slice_end_) {
    seen_slice_end_ = aggregator_.slice_end();
    timeline_.tick(now, aggregator_.slice_ns() / 100);
    checkpoint_.look_for_quiet();
  }
  threads_.look_for_names(now);
  rings_.release_unused(now);
  if (now >= next_refine_) {
    clock_.refine();
    next_refine_ = now + kRefineNs;
  }
  if (now >= next_figures_) {
    publish_figures(now);
    next_figures_ = now + kFiguresNs;
  }
  uint64_t most = options_.max_bytes;
  if (most != 0 && squeeze_ != Squeeze::kNo &&
      file_.bytes() + checkpoint_.bytes_to_come() >
          (most > kSmallFile ? most / 8 * 7 : most + most / 4)) {
    // More comes than making room can make up for. What the last round adds has to fit into the rest. A
    // program's start is much beside a low limit, and little of it once it is folded.
    room_ = false;
  }
  if (!writer_->idle()) return;
  if (options_.max_bytes != 0 && make_room(now)) return;
  if (now >= next_checkpoint_) write_checkpoint(now);
}

// Near the limit of the file's size: what is to be written is written, and the file folded, again as
// long as that gains. True: it is at it, or there is no room left.
bool Collector::make_room(uint64_t now) {
  uint64_t most = options_.max_bytes, bytes = file_.bytes() + checkpoint_.bytes_to_come();
  switch (squeeze_) {
    case Squeeze::kNo:
      if (bytes < squeeze_at_) return !room_;
      write_checkpoint(now); // slices are folded once they are in the file
      squeeze_ = Squeeze::kWritten;
      return true;
    case Squeeze::kWritten:
      writer_->fold();
      squeeze_ = Squeeze::kFolded;
      squeezed_from_ = bytes;
      return true;
    case Squeeze::kFolded:
      break;
  }
  squeeze_ = Squeeze::kNo;
  // The next time when half of what is left has been used up.
  uint64_t least = most / 64, left = most > bytes ? most - bytes : 0;
  squeeze_at_ = bytes + std::max(left / 2, least);
  if (left > least) return false;
  if (bytes + most / 32 <= squeezed_from_) {
    squeeze_ = Squeeze::kWritten;
  } else {
    room_ = false;
  }
  return true;
}

void Collector::write_checkpoint(uint64_t now) {
  next_checkpoint_ = now + kCheckpointNs;
  std::vector<Chunk> chunks = checkpoint_.make(now, false);
  if (chunks.empty()) return;
  writer_->submit(std::move(chunks));
}

bool Collector::reached_end(uint64_t now, bool stop, Ending *ending) {
  if (int error = writer_->error(); error != 0) {
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    *ending = {full ? "disk-full" : "error", full ? HT_ERROR_DISK_FULL : HT_ERROR_IO, error,
               options_.output + ": " + std::strerror(error) + "; the recording ends at " +
                   seconds(now) +
                   (full ? "; free some space or record to another place with -o"
                         : "; record to another place with -o")};
    return true;
  }
  if (shared_load(session_.header().finish) != 0) {
    *ending = {"finished", HT_ERROR_NONE, 0, ""};
    return true;
  }
  // Nobody is left to say that the program has ended.
  if (getppid() != launcher_ && processes_.living().empty() &&
      !procfs_.stat(shared_load(session_.header().root_pid)).exists) {
    *ending = {"finished", HT_ERROR_NONE, 0, ""};
    return true;
  }
  if (stop) {
    *ending = {"stopped", HT_ERROR_NONE, 0, ""};
    return true;
  }
  if (options_.duration_ns != 0 && recording_since_ != 0 &&
      now >= recording_since_ + options_.duration_ns) {
    *ending = {"duration", HT_ERROR_NONE, 0, ""};
    return true;
  }
  if (!room_) {
    *ending = {"max-size", HT_ERROR_MAX_SIZE, 0,
               "the recording has reached --max-size and ends at " + seconds(now)};
    return true;
  }
  return false;
}

void Collector::run(const std::atomic<bool> &stop) {
  Ending ending{};
  for (;;) {
    Drain::Round round = poll();
    uint64_t now = clock_.now();
    housekeeping(now);
    if (recording_since_ == 0 && now >= options_.start_after_ns) {
      recording_since_ = now;
      session_.set_state(HT_STATE_RECORDING);
    }
    if (reached_end(now, stop.load(std::memory_order_relaxed), &ending)) break;
    rest(round);
  }
  finish(ending);
}

// Sleeps until the fullest ring is about a quarter full, going by how fast it has filled up so far.
// Should one fill up faster, its thread wakes us.
void Collector::rest(const Drain::Round &round) {
  uint64_t ns = kActiveSleepNs;
  if (round.blocks > 0) {
    idle_rounds_ = 0;
    uint64_t since = std::max<uint64_t>(last_look_ - look_before_, 1);
    double pace = round.fullest / static_cast<double>(since);
    if (pace * static_cast<double>(kActiveSleepNs) > kWakeAt) {
      ns = static_cast<uint64_t>(kWakeAt / pace);
    }
    uint64_t passed = clock_.now() - last_look_ + kWakeUpNs;
    if (ns <= passed) return;
    ns -= passed;
  } else if (++idle_rounds_ > kIdleRounds) {
    ns = std::min(kActiveSleepNs << std::min(idle_rounds_ - kIdleRounds, 10u), kLongestSleepNs);
  }
  session_.about_to_sleep();
  if (!rings_.filling_up() && shared_load(session_.header().finish) == 0 && !syncs_.pending()) {
    session_.sleep(ns);
  }
  session_.awake();
}

void Collector::publish_figures(uint64_t now) {
  ht_session_header &h = session_.header();
  auto set = [](uint64_t &field, uint64_t value) {
    __atomic_store_n(&field, value, __ATOMIC_RELAXED);
  };
  Book::Totals totals = aggregator_.totals();
  set(h.live_bytes, aggregator_.live_bytes());
  set(h.live_blocks, aggregator_.live_blocks());
  set(h.peak_bytes, aggregator_.peak_bytes());
  set(h.peak_time_ns, aggregator_.peak_time());
  set(h.allocations, totals.allocations);
  set(h.deallocations, totals.deallocations);
  set(h.reallocations, totals.reallocations);
  set(h.total_bytes, totals.bytes);
  set(h.elapsed_ns, now);
  set(h.file_bytes, file_.bytes());
  set(h.rss_bytes, timeline_.rss());
  uint64_t shared = 0, resident = Procfs::read_resident(own_resident_, &shared);
  set(h.collector_rss_bytes, resident - std::min(shared, resident)); // the rings are not its own
  set(h.processes_live, processes_.living().size());
  set(h.threads_live, threads_.living());
  processes_.read_counters();
  uint64_t lost = 0;
  for (const Process &process : processes_.all()) lost += process.lost_events;
  set(h.lost_events, lost);
}

// ---------------------------------------------------------------------------------------- end

// Leaves out of the last chunks what does not fit below the file's limit: histograms, of which no
// summary speaks.
void Collector::fit_in(std::vector<Chunk> *chunks) {
  constexpr ChunkKind kLeast[] = {ChunkKind::kLifetimes, ChunkKind::kSizes};
  Folder folder(file_);
  for (;;) {
    uint64_t bytes = file_.bytes() + kEndBytes;
    for (const Chunk &chunk : *chunks) bytes += chunk_bytes(chunk.payload.size());
    bytes -= file_.superseded_by(*chunks);
    if (bytes <= options_.max_bytes) return;
    if (folder.promising()) {
      folder.fold();
      continue;
    }
    size_t before = chunks->size();
    for (ChunkKind kind : kLeast) {
      file_.drop(kind);
      std::erase_if(*chunks, [&](const Chunk &chunk) { return chunk.kind == kind; });
    }
    if (chunks->size() == before) return;
  }
}

void Collector::finish(const Ending &ending) {
  session_.set_state(HT_STATE_STOPPED);
  if (ending.error != HT_ERROR_NONE) {
    session_.set_error(ending.error, ending.number, ending.text);
  }
  // What is in the rings, and what threads still put there before they look at the state. Not if there is
  // no room for it: each ring may hold half a megabyte of a file. Then the recording ends with the last
  // round, and what that has added is all by which the file may miss its limit.
  uint64_t begun = clock_.now();
  int quiet = ending.error == HT_ERROR_MAX_SIZE ? 2 : 0;
  while (quiet < 2 && clock_.now() - begun < kLastRoundsNs) {
    quiet = poll().blocks == 0 ? quiet + 1 : 0;
    if (quiet > 0) nap(kLastSleepNs);
  }
  uint64_t now = clock_.now();
  threads_.look_for_names(now);
  timeline_.tick(now, kMs);
  aggregator_.end_last_slice();
  bool failed = writer_->error() != 0;
  writer_->stop();
  failed = failed || file_.error() != 0;
  std::vector<Chunk> chunks = checkpoint_.make(now, true, failed);
  // After a failure the numbering of rows in the file has stopped: only states are of use. What is counted
  // by context would be of a later moment than the file's deltas, and of contexts that it lacks.
  if (failed) {
    std::erase_if(chunks,
                  [](const Chunk &chunk) { return !chunk.is_state() || chunk.by_context(); });
  }
  if (options_.max_bytes != 0 && !failed) fit_in(&chunks);
  checkpoint_.set_reason(ending.reason);
  chunks.push_back(checkpoint_.end(now));
  bool written = file_.append_last(chunks);
  bool closed = file_.finish();
  publish_figures(now);
  if (ending.error == HT_ERROR_NONE && (failed || !written || !closed)) {
    int error = file_.error();
    session_.set_error(error == EIO ? HT_ERROR_IO : HT_ERROR_DISK_FULL, error,
                       options_.output + ": " + std::strerror(error) +
                           "; the last part of the recording is missing");
  }
}

} // namespace heaptide
