#include "collector/line_reader.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace heaptide {

bool LineReader::next(std::string_view *line) {
  size_t searched = 0;
  for (;;) {
    const char *from = buffer_.data() + begin_;
    const void *found = std::memchr(from + searched, '\n', end_ - begin_ - searched);
    if (found != nullptr) {
      size_t length = static_cast<size_t>(static_cast<const char *>(found) - from);
      *line = {from, length};
      begin_ += length + 1;
      number_++;
      return true;
    }
    searched = end_ - begin_;
    if (searched >= kLongest) {
      too_long_ = true;
      number_++;
      return false;
    }
    if (at_end_ || !fill()) break;
  }
  if (error_ != 0 || begin_ == end_) return false;
  *line = {buffer_.data() + begin_, end_ - begin_};
  begin_ = end_;
  is_whole_ = false;
  number_++;
  return true;
}

// Reads more behind what is there. False: that is all.
bool LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  ssize_t got;
  do {
    got = read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) error_ = errno;
  if (got <= 0) {
    at_end_ = true;
    return false;
  }
  end_ += static_cast<size_t>(got);
  return true;
}

} // namespace heaptide
