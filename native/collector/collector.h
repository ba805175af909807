// The collector: everything together, from the first poll to the file's end.
#ifndef HEAPTIDE_COLLECTOR_COLLECTOR_H
#define HEAPTIDE_COLLECTOR_COLLECTOR_H

#include <atomic>
#include <memory>
#include <string>

#include "collector/aggregator.h"
#include "collector/checkpoint.h"
#include "collector/clock.h"
#include "collector/decoder.h"
#include "collector/definitions.h"
#include "collector/drain.h"
#include "collector/file_writer.h"
#include "collector/options.h"
#include "collector/processes.h"
#include "collector/procfs.h"
#include "collector/recording_file.h"
#include "collector/rings.h"
#include "collector/session.h"
#include "collector/syncs.h"
#include "collector/threads.h"
#include "collector/timeline.h"

namespace heaptide {

class Collector : private MetaListener {
 public:
  // `session` is mapped and filled in by the launcher.
  Collector(Session &session, const Options &options);
  ~Collector() override;

  // Creates the file and lets agents begin. False: `*error` says why not, in one line.
  bool start(std::string *error);

  // Records until the session is finished, a limit is reached, or `*stop` is set. Returns once the
  // file is complete.
  void run(const std::atomic<bool> &stop);

 private:
  struct Ending {
    const char *reason;
    ht_session_error error;
    int number;       // errno
    std::string text; // for a person, empty: nothing to say
  };

  void on_process(Stream &stream, uint32_t ppid, std::string_view executable,
                  const std::vector<std::string_view> &arguments) override;
  void on_thread_name(Stream &stream, uint32_t tid, std::string_view name) override;
  void on_mark(Stream &stream, uint64_t tsc, std::string_view name) override;
  void on_note(Stream &stream, std::string_view text) override;

  bool reached_end(uint64_t now, bool stop, Ending *ending);
  Drain::Round poll();
  void housekeeping(uint64_t now);
  void write_checkpoint(uint64_t now);
  void answer_syncs();
  bool make_room(uint64_t now);
  void fit_in(std::vector<Chunk> *chunks);
  void publish_figures(uint64_t now);
  void rest(const Drain::Round &round);
  void finish(const Ending &ending);
  void beat();

  Session &session_;
  const Options &options_;
  Clock clock_;
  Procfs procfs_;
  Definitions definitions_;
  Aggregator aggregator_;
  Decoder decoder_;
  Processes processes_;
  Threads threads_;
  Rings rings_;
  Drain drain_;
  Syncs syncs_;
  Timeline timeline_;
  Checkpoint checkpoint_;
  RecordingFile file_;
  std::unique_ptr<FileWriter> writer_;

  uint64_t recording_since_ = 0; // nanoseconds; 0 while paused
  uint64_t next_checkpoint_ = 0, next_figures_ = 0, next_refine_ = 0;
  uint64_t seen_slice_end_ = 0;
  uint32_t slices_at_marks_ = 0;
  // Making room below the limit of the file's size (make_room).
  enum class Squeeze { kNo, kWritten, kFolded } squeeze_ = Squeeze::kNo;
  uint64_t squeeze_at_ = 0;    // of the file and what is to come, in bytes
  uint64_t squeezed_from_ = 0; // what it was before the last fold
  bool room_ = true;
  uint64_t last_look_ = 0, look_before_ = 0; // nanoseconds: when the last two rounds began
  unsigned idle_rounds_ = 0;
  int launcher_ = 0; // its pid; 0: there is none
  int own_resident_ = -1;
};

} // namespace heaptide

#endif
