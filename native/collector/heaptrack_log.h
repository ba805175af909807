// Reads heaptrack's data files, versions 0 to 3, interpreted and raw, into a recording.
//
// The format is described in heaptrack's sources and by its files: one record a line, numbers in
// hexadecimal, tables numbered in the order of their lines.
#ifndef HEAPTIDE_COLLECTOR_HEAPTRACK_LOG_H
#define HEAPTIDE_COLLECTOR_HEAPTRACK_LOG_H

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/imported.h"
#include "collector/line_reader.h"

namespace heaptide {

class HeaptrackLog {
 public:
  explicit HeaptrackLog(Imported &into) : into_(into) {}

  // Reads all of `fd`. False: `*error` says what is wrong with the file, and where.
  bool read(int fd, std::string *error);

  // Of the whole log, by context: what heaptrack itself calls temporary.
  const std::vector<uint32_t> &temporary() const { return temporary_; }
  bool is_raw() const { return raw_; } // frames are addresses, whose functions are to be found

 private:
  struct Info { // an allocation as the format knows it
    uint64_t size;
    uint32_t context;
    uint32_t newest; // block + 1 of those that live; 0: none
  };
  struct Segment {
    uint64_t start, end, bias;
    uint32_t module;
  };

  // Each takes what is behind the record's letter. False: why_ says what is wrong.
  bool record(std::string_view line);
  bool version(std::string_view rest);
  bool command(std::string_view rest);
  bool system(std::string_view rest);
  bool string(std::string_view rest);
  bool instruction(std::string_view rest);
  bool trace(std::string_view rest);
  bool allocation_info(std::string_view rest);
  bool allocate(std::string_view rest);
  bool free(std::string_view rest);
  bool time(std::string_view rest);
  bool resident(std::string_view rest);
  bool executable(std::string_view rest);
  bool module(std::string_view rest);

  bool fail(const char *why) {
    why_ = why;
    return false;
  }
  bool with_pointers() const { return raw_ || format_ == 0; }
  bool context_of(uint64_t trace, uint32_t *context);
  void count_temporary(uint32_t context);
  uint32_t string_of(uint64_t index) const { return index < strings_.size() ? strings_[index] : 0; }
  uint32_t module_of(uint64_t name);
  uint32_t frame_at(uint64_t address);
  void allocate_at(uint64_t address, uint64_t size, uint32_t context);

  Imported &into_;
  const char *why_ = "";
  uint64_t format_ = 0;
  bool versioned_ = false, raw_ = false, attached_ = false, commanded_ = false,
       in_command_ = false; // the line before was the command, or more of it
  uint64_t page_size_ = 4096;
  uint64_t now_ms_ = 0;
  uint64_t passed_over_ = 0, first_passed_over_ = 0; // lines
  std::vector<uint32_t> strings_ = {0};
  std::vector<std::string> texts_ = {""}; // of strings, for modules and suffixes of files
  std::vector<uint32_t> frames_ = {0};    // of instructions
  std::vector<uint32_t> stacks_ = {0};    // of traces
  std::vector<uint32_t> contexts_;        // of traces, + 1; 0: not made yet
  std::vector<Info> infos_;
  std::vector<uint32_t> older_; // block -> the next older one of its info + 1, or the next free one
  uint32_t unused_ = 0;         // block + 1: the first of those that are free
  std::vector<uint32_t> temporary_;
  uint64_t last_ = 0;                                 // what heaptrack compares a free with
  std::unordered_map<uint64_t, uint32_t> modules_;    // by string
  std::unordered_map<uint64_t, uint32_t> raw_frames_; // by address
  std::vector<Segment> segments_;                     // by start
  bool segments_sorted_ = true;
  std::string executable_;
};

} // namespace heaptide

#endif
