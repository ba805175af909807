#include "collector/file_writer.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace heaptide {

FileWriter::FileWriter(RecordingFile &file) : file_(file) {
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void FileWriter::submit(std::vector<Chunk> chunks) {
  std::lock_guard lock(mutex_);
  chunks_ = std::move(chunks);
  pending_ = true;
  changed_.notify_one();
}

void FileWriter::fold() {
  std::lock_guard lock(mutex_);
  pending_ = folding_ = true;
  changed_.notify_one();
}

bool FileWriter::idle() {
  std::lock_guard lock(mutex_);
  return !pending_;
}

int FileWriter::error() {
  std::lock_guard lock(mutex_);
  return error_;
}

void FileWriter::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void FileWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return pending_ || stopping_; });
    if (!pending_) return;
    std::vector<Chunk> chunks = std::move(chunks_);
    bool folding = std::exchange(folding_, false);
    lock.unlock();
    if (folding) {
      folder_.fold();
    } else {
      file_.append(chunks);
    }
    chunks = {};
    lock.lock();
    pending_ = false;
    error_ = file_.error();
  }
}

} // namespace heaptide
