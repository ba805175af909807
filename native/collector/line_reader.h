// Lines of a stream, as long as they are of a reasonable length.
#ifndef HEAPTIDE_COLLECTOR_LINE_READER_H
#define HEAPTIDE_COLLECTOR_LINE_READER_H

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace heaptide {

class LineReader {
 public:
  static constexpr size_t kLongest = 16u << 20;

  explicit LineReader(int fd) : fd_(fd), buffer_(kBuffer) {}

  // The next line without its end, valid until the next call. False: there is none, see `error`,
  // `too_long`.
  bool next(std::string_view *line);

  uint64_t number() const { return number_; } // of the line given last, from 1
  bool is_whole() const { return is_whole_; } // it had an end: only a stream's last may have none
  bool too_long() const { return too_long_; }
  int error() const { return error_; }

 private:
  static constexpr size_t kBuffer = 1u << 20;

  bool fill();

  int fd_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0; // what is read and not given yet
  uint64_t number_ = 0;
  int error_ = 0;
  bool is_whole_ = true, at_end_ = false, too_long_ = false;
};

} // namespace heaptide

#endif
