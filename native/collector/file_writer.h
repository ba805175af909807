// Writes chunks from a thread of its own: a disk that makes its writers wait must not make the recorded
// program wait, too.
#ifndef HEAPTIDE_COLLECTOR_FILE_WRITER_H
#define HEAPTIDE_COLLECTOR_FILE_WRITER_H

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "collector/folder.h"
#include "collector/recording_file.h"

namespace heaptide {

class FileWriter {
 public:
  // `file` is used by the thread only, from here to the end of stop().
  explicit FileWriter(RecordingFile &file);
  ~FileWriter() { stop(); }

  // Takes over the chunks. To be called only while idle().
  void submit(std::vector<Chunk> chunks);
  // Folds the file (see Folder), likewise.
  void fold();
  bool idle();
  // errno of a failed write, 0: none so far.
  int error();
  // Waits until everything is written, and ends the thread.
  void stop();

 private:
  void run();

  RecordingFile &file_;
  Folder folder_{file_};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Chunk> chunks_;
  bool pending_ = false, folding_ = false, stopping_ = false;
  int error_ = 0;
  std::thread thread_;
};

} // namespace heaptide

#endif
