// The variable data in a ring: joining its fragments, reading its fields.
#ifndef HEAPTIDE_COLLECTOR_META_H
#define HEAPTIDE_COLLECTOR_META_H

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace heaptide {

// Reads fields one after the other. Past the end everything is 0 or empty, and ok() false.
class MetaReader {
 public:
  explicit MetaReader(std::string_view bytes) : rest_(bytes) {}

  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  std::string_view string() {
    uint32_t length = u32();
    if (length > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    std::string_view text = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return text;
  }
  bool ok() const { return ok_; }

 private:
  template <class T>
  T number() {
    T value = 0;
    if (rest_.size() < sizeof value) {
      ok_ = false;
      rest_ = {};
      return 0;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// The record that a ring is in the middle of.
class MetaBuffer {
 public:
  // Adds a fragment. True: the record is complete and in bytes(), until the next call.
  bool add(unsigned type, const uint64_t *words, unsigned count, bool more) {
    if (complete_ || type != type_) bytes_.clear();
    type_ = type;
    complete_ = !more;
    // A line table of this size is no line table: a target has scribbled over its ring.
    if (bytes_.size() > kMostBytes) bytes_.clear();
    bytes_.append(reinterpret_cast<const char *>(words), count * sizeof *words);
    return complete_;
  }
  std::string_view bytes() const { return bytes_; }
  unsigned type() const { return type_; }

 private:
  static constexpr size_t kMostBytes = 64u << 20;

  std::string bytes_;
  unsigned type_ = 0;
  bool complete_ = true;
};

} // namespace heaptide

#endif
