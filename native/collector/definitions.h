// Strings, modules, code objects, frames and stacks: interned over the whole recording, so that
// processes share them. Rows go out in batches, in the order of their ids; only what is needed to
// recognise a row again is kept (16 bytes of digest for a string, not the string).
#ifndef HEAPTIDE_COLLECTOR_DEFINITIONS_H
#define HEAPTIDE_COLLECTOR_DEFINITIONS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/intern_map.h"

namespace heaptide {

enum FrameKind : uint32_t { kFrameNative = 0, kFramePython = 1, kFrameSpecial = 2 };
inline constexpr uint32_t kSpecialCutOff = 1;
inline constexpr uint32_t kSpecialNoStack = 2;

class Definitions {
 public:
  Definitions() { string({}); }

  uint32_t string(std::string_view text); // 0 for the empty one; made valid UTF-8

  // One row for all processes that load the same file (path and build id). The rest describes how
  // the first of them had it.
  uint32_t module(uint32_t process, uint64_t bias, uint64_t start, uint64_t end,
                  std::string_view path, std::string_view build_id);
  // One row for equal code objects.
  uint32_t code(std::string_view filename, std::string_view qualname, uint32_t first_line,
                uint32_t python_version, std::string_view table);

  uint32_t native_frame(uint32_t module_plus_one, uint64_t offset);
  uint32_t python_frame(uint32_t code, uint64_t offset);
  uint32_t special_frame(uint32_t number);
  // `parent`: stack + 1, 0 for none.
  uint32_t stack(uint32_t parent, uint32_t frame);

  struct Strings {
    std::vector<uint64_t> lengths;
    std::string bytes;
  };
  struct Modules {
    std::vector<uint64_t> process, bias, start, end, path, build_id;
  };
  struct Codes {
    std::vector<uint64_t> filename, qualname, first_line, python_version, table_lengths;
    std::string table_bytes;
  };
  struct Frames {
    std::vector<uint64_t> kind, ref, offset;
  };
  struct Stacks {
    std::vector<uint64_t> parent, frame;
  };

  // Rows added since they were taken last. The caller empties them.
  Strings new_strings;
  Modules new_modules;
  Codes new_codes;
  Frames new_frames;
  Stacks new_stacks;

  uint32_t stacks() const { return static_cast<uint32_t>(stack_index_.size()); }

 private:
  struct FrameKey {
    uint64_t offset;
    uint32_t ref, kind;
    bool operator==(const FrameKey &) const = default;
    uint64_t hash() const { return mix(offset ^ mix(uint64_t{ref} << 2 | kind)); }
  };
  struct StackKey {
    uint32_t parent, frame;
    bool operator==(const StackKey &) const = default;
    uint64_t hash() const { return mix(uint64_t{parent} << 32 | frame); }
  };

  uint32_t frame(FrameKey key);

  InternMap<Digest> string_index_, module_index_, code_index_;
  InternMap<FrameKey> frame_index_;
  InternMap<StackKey> stack_index_;
};

// `text` with every byte that is no valid UTF-8 replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

} // namespace heaptide

#endif
