// What goes into the file, and when: rows added since the last checkpoint, and the present state of what
// supersedes itself. In an order in which nothing refers to what comes later, so that a file cut between
// two chunks is whole.
#ifndef HEAPTIDE_COLLECTOR_CHECKPOINT_H
#define HEAPTIDE_COLLECTOR_CHECKPOINT_H

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collector/aggregator.h"
#include "collector/census.h"
#include "collector/chunk.h"
#include "collector/context_tables.h"
#include "collector/definitions.h"
#include "collector/processes.h"
#include "collector/threads.h"
#include "collector/timeline.h"

namespace heaptide {

class Checkpoint {
 public:
  Checkpoint(Aggregator &aggregator, Definitions &definitions, Processes &processes,
             Threads &threads, Timeline &timeline)
      : aggregator_(aggregator),
        definitions_(definitions),
        processes_(processes),
        threads_(threads),
        timeline_(timeline) {}

  static Chunk meta(const std::string &json);
  static Chunk slice_chunk(const SliceRows &rows);

  void add_slice(const SliceRows &rows);
  void add_leaving(const Book &book); // of a process that ends
  // Counts what lives as nothing changes any more: what comes next is younger. To be called once a slice.
  void look_for_quiet();
  void add_mark(uint64_t time, uint32_t process, uint32_t thread, std::string_view name);
  void add_note(uint64_t time, uint32_t process, std::string_view text);

  // The file is to stay below `bytes`: what would take much of that is written at the end only.
  void set_limit(uint64_t bytes) { limit_ = bytes; }

  // The next one has peaks, whatever they take.
  void want_peaks() { wants_peaks_ = true; }

  // Everything new. States that take long to put together (peaks, histograms) are left out while they
  // would take more than a fiftieth of the time; `last`: nothing is left out.
  // `failed`: the file has not got all that has been made before.
  std::vector<Chunk> make(uint64_t now, bool last, bool failed = false);

  // What a last checkpoint would take but for histograms, about; rather more than less.
  uint64_t bytes_to_come() const;

  // The last chunk of the file. The reason must be in the file already.
  void set_reason(std::string_view reason) { reason_ = definitions_.string(reason); }
  Chunk end(uint64_t now) const;

 private:
  struct Marks {
    std::vector<uint64_t> time, process, thread, name;
  };
  struct Notes {
    std::vector<uint64_t> time, process, text;
  };

  using Column = std::vector<uint64_t>;
  void add_processes(std::vector<Chunk> *chunks, bool last, bool failed);
  void add_threads(std::vector<Chunk> *chunks, bool last, bool failed);
  static void add_states(std::vector<Chunk> *chunks, ChunkKind kind,
                         std::span<const std::string_view> names, const std::vector<Column> &state,
                         const std::vector<Column> &final);
  void add_contexts(std::vector<Chunk> *chunks);
  void add_peaks(std::vector<Chunk> *chunks);
  void add_histograms(std::vector<Chunk> *chunks);
  void add_words(std::vector<Chunk> *chunks);
  void add_final(std::vector<Chunk> *chunks);
  void add_census(Chunk chunk, bool last = false);
  static void supersede(std::vector<Chunk> *chunks, Chunk chunk);

  Aggregator &aggregator_;
  Definitions &definitions_;
  Processes &processes_;
  Threads &threads_;
  Timeline &timeline_;
  std::vector<Chunk> slices_; // and counts
  Census census_;
  uint64_t census_bytes_ = 0; // of all counts so far
  bool uncounted_ = false;    // something has changed since the last count
  Marks marks_;
  Notes notes_;
  uint32_t reason_ = 0;
  uint64_t events_ = UINT64_MAX; // counted when processes and threads were written last
  uint64_t histogram_events_ = 0;
  uint64_t versions_ = UINT64_MAX; // of processes and threads, likewise
  uint64_t peak_version_ = 0;
  bool wants_peaks_ = false;
  bool stale_ =
      false; // peaks and histograms in the file have rows that have been written for good since
  uint64_t next_heavy_ = 0;
  uint64_t limit_ = 0; // 0: none
  uint64_t peak_chunk_bytes_ = 0;
  uint64_t peak_contexts_ = 0; // that there were when peaks were written last
  uint64_t written_contexts_ = 0;
};

} // namespace heaptide

#endif
