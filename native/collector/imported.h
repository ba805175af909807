// A recording that is made of a foreign log of events: of one process and one thread, with names that
// the log tells. The same books as for live events; no rings, no system, no clock but the log's.
#ifndef HEAPTIDE_COLLECTOR_IMPORTED_H
#define HEAPTIDE_COLLECTOR_IMPORTED_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/aggregator.h"
#include "collector/chunk.h"
#include "collector/definitions.h"
#include "collector/recording_file.h"
#include "collector/timeline.h"

namespace heaptide {

class Imported {
 public:
  Imported();

  // Creates the file. False: `*error` says why.
  bool create(const std::string &path, std::string *error);

  Definitions &definitions() { return definitions_; }
  Aggregator &aggregator() { return aggregator_; }
  Book &book() { return *book_; }
  Thread &thread() { return *thread_; }

  // A function of a frame, the innermost inlined one first.
  void symbol(uint32_t frame, uint32_t function, uint32_t file, uint64_t line, unsigned language);
  bool has_symbols(uint32_t frame) const { return frame < named_.size() && named_[frame]; }

  // The log's time, and the resident memory as of then (0: not known). A row of the timeline, unless
  // there was one a moment ago.
  void moment(uint64_t ns, uint64_t rss);

  // A figure of the format's own, which adds up by context.
  struct Extra {
    std::string_view metric, words, unit;
    const std::vector<uint32_t> *values; // by context
  };
  void note(std::string_view text) { notes_.push_back(definitions_.string(text)); }

  std::string executable;
  std::vector<std::string> command;

  // Writes all that is left, and ends the file. `meta`: the JSON object of its first chunk.
  bool finish(const std::string &meta, const std::vector<Extra> &extras, std::string *error);

 private:
  struct Symbols {
    std::vector<uint64_t> frame, function, file, line, language;
  };

  void write(std::vector<Chunk> chunks);
  void add_row();
  void add_figures(std::vector<Chunk> *chunks);
  void add_process(std::vector<Chunk> *chunks);
  void add_extras(std::vector<Chunk> *chunks, const std::vector<Extra> &extras);

  RecordingFile file_;
  Aggregator aggregator_;
  Definitions definitions_;
  Book *book_;
  Thread *thread_;
  Symbols symbols_;
  std::vector<bool> named_; // frames with symbols
  Timeline::Rows moments_;
  std::vector<uint64_t> notes_;
  Book::Totals said_; // in rows of the timeline
  uint64_t rss_ = 0, peak_rss_ = 0;
  uint64_t next_row_ = 0;
  bool failed_ = false;
};

} // namespace heaptide

#endif
