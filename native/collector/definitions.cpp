#include "collector/definitions.h"

namespace heaptide {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
size_t sequence_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) >= 0xa0) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) >= 0x90) return 0;
  return length;
}

} // namespace

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    size_t length = sequence_length(text);
    if (length == 0) {
      result += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      result += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return result;
}

uint32_t Definitions::string(std::string_view text) {
  bool is_new;
  uint32_t fresh = static_cast<uint32_t>(string_index_.size());
  uint32_t id = string_index_.intern(digest(text), fresh, &is_new);
  if (is_new) {
    std::string valid = valid_utf8(text);
    new_strings.lengths.push_back(valid.size());
    new_strings.bytes += valid;
  }
  return id;
}

uint32_t Definitions::module(uint32_t process, uint64_t bias, uint64_t start, uint64_t end,
                             std::string_view path, std::string_view build_id) {
  bool is_new;
  Digest path_digest = digest(path), key = digest(build_id, path_digest.low);
  key.high ^= path_digest.high;
  uint32_t row = module_index_.intern(key, static_cast<uint32_t>(module_index_.size()), &is_new);
  if (!is_new) return row;
  std::string hex;
  for (char c : build_id) {
    static constexpr char kDigits[] = "0123456789abcdef";
    unsigned char byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  new_modules.process.push_back(process);
  new_modules.bias.push_back(bias);
  new_modules.start.push_back(start);
  new_modules.end.push_back(end);
  new_modules.path.push_back(string(path));
  new_modules.build_id.push_back(string(hex));
  return row;
}

uint32_t Definitions::code(std::string_view filename, std::string_view qualname,
                           uint32_t first_line, uint32_t python_version, std::string_view table) {
  bool is_new;
  Digest names = digest(qualname, digest(filename).low);
  Digest key = digest(table, names.low ^ mix(uint64_t{first_line} << 32 | python_version));
  key.high ^= names.high;
  uint32_t row = code_index_.intern(key, static_cast<uint32_t>(code_index_.size()), &is_new);
  if (!is_new) return row;
  new_codes.filename.push_back(string(filename));
  new_codes.qualname.push_back(string(qualname));
  new_codes.first_line.push_back(first_line);
  new_codes.python_version.push_back(python_version);
  new_codes.table_lengths.push_back(table.size());
  new_codes.table_bytes += table;
  return row;
}

uint32_t Definitions::frame(FrameKey key) {
  bool is_new;
  uint32_t id = frame_index_.intern(key, static_cast<uint32_t>(frame_index_.size()), &is_new);
  if (is_new) {
    new_frames.kind.push_back(key.kind);
    new_frames.ref.push_back(key.ref);
    new_frames.offset.push_back(key.offset);
  }
  return id;
}

uint32_t Definitions::native_frame(uint32_t module_plus_one, uint64_t offset) {
  return frame({offset, module_plus_one, kFrameNative});
}

uint32_t Definitions::python_frame(uint32_t code, uint64_t offset) {
  return frame({offset, code, kFramePython});
}

uint32_t Definitions::special_frame(uint32_t number) { return frame({0, number, kFrameSpecial}); }

uint32_t Definitions::stack(uint32_t parent, uint32_t frame) {
  bool is_new;
  uint32_t id =
      stack_index_.intern({parent, frame}, static_cast<uint32_t>(stack_index_.size()), &is_new);
  if (is_new) {
    new_stacks.parent.push_back(parent);
    new_stacks.frame.push_back(frame);
  }
  return id;
}

} // namespace heaptide
