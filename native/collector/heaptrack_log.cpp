#include "collector/heaptrack_log.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "wire/wire.h"

namespace heaptide {
namespace {

constexpr uint32_t kMostRows = std::numeric_limits<uint32_t>::max() - 1;
constexpr uint64_t kMostBytes = uint64_t{1} << 62;
constexpr uint64_t kMostMs = uint64_t{1} << 42; // a century
constexpr uint64_t kNsOfMs = 1'000'000;
// Logs without pointers: blocks that live are numbered, and lie side by side.
constexpr uint64_t kFirstAddress = uint64_t{1} << 40;
constexpr uint64_t kBlockDistance = 16;
constexpr std::string_view kNoteMark = "#heaptide-note ";

// Takes a number off the front, and the blank behind it.
bool take_hex(std::string_view *rest, uint64_t *value) {
  uint64_t number = 0;
  size_t digits = 0;
  for (; digits < rest->size(); digits++) {
    char c = (*rest)[digits];
    unsigned digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a') + 10;
    } else {
      break;
    }
    if (digits == 16) return false;
    number = number << 4 | digit;
  }
  if (digits == 0) return false;
  if (digits < rest->size()) {
    if ((*rest)[digits] != ' ') return false;
    digits++;
  }
  rest->remove_prefix(digits);
  *value = number;
  return true;
}

// A length and so many bytes, and the blank behind them.
bool take_text(std::string_view *rest, std::string_view *text) {
  uint64_t length;
  if (!take_hex(rest, &length) || length > rest->size()) return false;
  *text = rest->substr(0, length);
  rest->remove_prefix(length);
  if (!rest->empty()) {
    if (rest->front() != ' ') return false;
    rest->remove_prefix(1);
  }
  return true;
}

bool is_event(std::string_view line) {
  return line.size() > 1 && line[1] == ' ' &&
         std::string_view("+-cRI").find(line[0]) != std::string_view::npos;
}

// As heaptide.recording.Language numbers them.
enum : unsigned { kUnknown = 0, kPython = 1, kC = 2, kCpp = 3, kRust = 4 };

unsigned language_of(std::string_view function, std::string_view file) {
  size_t dot = file.rfind('.');
  std::string_view suffix = dot == std::string_view::npos ? "" : file.substr(dot);
  if (suffix == ".rs") return kRust;
  if (suffix == ".c") return kC;
  if (suffix == ".cc" || suffix == ".cpp" || suffix == ".cxx" || suffix == ".hpp" ||
      suffix == ".tcc" || suffix == ".hh")
    return kCpp;
  if (function.starts_with("core::") || function.starts_with("alloc::")) return kRust;
  if (function.find('(') != std::string_view::npos) return kCpp;
  return suffix == ".h" ? kC : kUnknown;
}

} // namespace

bool HeaptrackLog::read(int fd, std::string *error) {
  LineReader lines(fd);
  std::string_view line;
  bool good = true;
  while (lines.next(&line)) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (record(line)) {
      in_command_ = !line.empty() && line[0] == 'X';
      continue;
    }
    // Arguments of the command may have line ends in them.
    if (in_command_) {
      into_.command.push_back(valid_utf8(line));
      continue;
    }
    // An event more or less: heaptrack passes over lines that it cannot read. A table without a row
    // would name other things from there on.
    if (versioned_ && is_event(line)) {
      if (passed_over_++ == 0) first_passed_over_ = lines.number();
      continue;
    }
    // The last line of a file that was cut.
    if (!lines.is_whole() && versioned_) {
      into_.note("the file ends within a line: what is before that is shown");
      break;
    }
    good = false;
    break;
  }
  uint64_t bad = lines.number();
  // What cannot be decompressed any more may end in anything; then a line says so.
  while (!good && versioned_ && lines.next(&line)) {
    if (!line.starts_with(kNoteMark)) continue;
    into_.note(line.substr(kNoteMark.size()));
    good = true;
  }
  if (lines.too_long()) {
    good = fail("it is too long");
  } else if (lines.error() != 0) {
    *error = std::string("it cannot be read: ") + std::strerror(lines.error());
    return false;
  }
  if (good && !versioned_) good = fail("it is no heaptrack file");
  if (!good) {
    if (lines.too_long()) bad = lines.number();
    *error = "line " + std::to_string(std::max<uint64_t>(bad, 1)) + ": " + why_;
    return false;
  }
  if (passed_over_ != 0) {
    into_.note(std::to_string(passed_over_) + " lines could not be read, the first of them line " +
               std::to_string(first_passed_over_) + ": what they say is missing");
  }
  into_.moment(now_ms_ * kNsOfMs, 0);
  into_.executable = executable_;
  if (executable_.empty() && !into_.command.empty()) into_.executable = into_.command[0];
  if (attached_)
    into_.note("heaptrack was attached to a running program: what that had before is not in it");
  return true;
}

bool HeaptrackLog::record(std::string_view line) {
  if (line.empty()) return true;
  if (line[0] == '#') {
    if (line.starts_with(kNoteMark)) into_.note(line.substr(kNoteMark.size()));
    return true;
  }
  std::string_view rest = line.size() > 2 ? line.substr(2) : std::string_view();
  if (line.size() > 1 && line[1] != ' ') return fail("it is no record of heaptrack's");
  if (line[0] == 'v') return version(rest);
  if (!versioned_) return fail("the version of the format has to come first");
  switch (line[0]) {
    case '+':
      return allocate(rest);
    case '-':
      return free(rest);
    case 'a':
      return allocation_info(rest);
    case 't':
      return trace(rest);
    case 'i':
      return instruction(rest);
    case 's':
      return string(rest);
    case 'c':
      return time(rest);
    case 'R':
      return resident(rest);
    case 'X':
      return command(rest);
    case 'I':
      return system(rest);
    case 'x':
      return executable(rest);
    case 'm':
      return module(rest);
    case 'A':
      attached_ = true;
      return true;
    case 'S':
      return true; // a suppression of leaks: what is shown is not suppressed
    default:
      return fail("it is no record of heaptrack's");
  }
}

// --------------------------------------------------------------------------------------- head

bool HeaptrackLog::version(std::string_view rest) {
  uint64_t version;
  if (!take_hex(&rest, &version)) return fail("the version is no number");
  if (versioned_) return fail("there is a second version");
  format_ = version == 0x010200 ? 1 : 0;
  if (!rest.empty() && !take_hex(&rest, &format_)) return fail("the version is no number");
  if (format_ > 3) return fail("it is of a newer heaptrack than 1.6: versions 0 to 3 are known");
  versioned_ = true;
  return true;
}

bool HeaptrackLog::command(std::string_view rest) {
  if (commanded_) return fail("there is a second command");
  commanded_ = true;
  while (!rest.empty()) {
    size_t end = std::min(rest.find(' '), rest.size());
    if (end != 0) into_.command.push_back(valid_utf8(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

bool HeaptrackLog::system(std::string_view rest) {
  uint64_t size;
  if (!take_hex(&rest, &size)) return fail("the size of a page is no number");
  if (size != 0 && size <= (uint64_t{1} << 30)) page_size_ = size;
  return true;
}

bool HeaptrackLog::executable(std::string_view rest) {
  std::string_view path;
  if (!take_text(&rest, &path)) return fail("the path is not as long as it says");
  if (raw_ && !executable_.empty()) return fail("there is a second executable");
  raw_ = true;
  executable_ = valid_utf8(path);
  return true;
}

// ------------------------------------------------------------------------------------- tables

bool HeaptrackLog::string(std::string_view rest) {
  std::string_view text = rest;
  if (format_ >= 3 && !take_text(&rest, &text)) return fail("the text is not as long as it says");
  if (strings_.size() > kMostRows) return fail("there are too many strings");
  strings_.push_back(into_.definitions().string(text));
  texts_.emplace_back(text);
  return true;
}

uint32_t HeaptrackLog::module_of(uint64_t name) {
  if (name == 0) return 0;
  auto [at, is_new] = modules_.try_emplace(name, 0);
  if (is_new) at->second = into_.definitions().module(0, 0, 0, 0, texts_[name], "") + 1;
  return at->second;
}

bool HeaptrackLog::instruction(std::string_view rest) {
  uint64_t address, module, function, file, line;
  if (!take_hex(&rest, &address) || !take_hex(&rest, &module))
    return fail("it has no address and module");
  if (module >= strings_.size()) return fail("there is no such string");
  Definitions &definitions = into_.definitions();
  uint32_t frame = definitions.native_frame(module_of(module), address);
  bool named = into_.has_symbols(frame);
  while (!rest.empty()) {
    if (!take_hex(&rest, &function)) return fail("a function is no number");
    file = line = 0;
    if (!rest.empty() && (!take_hex(&rest, &file) || !take_hex(&rest, &line)))
      return fail("a file has no line");
    if (function >= strings_.size() || file >= strings_.size())
      return fail("there is no such string");
    if (named || (function == 0 && file == 0)) continue;
    into_.symbol(frame, strings_[function], strings_[file], std::min(line, kMostBytes),
                 language_of(texts_[function], texts_[file]));
  }
  if (frames_.size() > kMostRows) return fail("there are too many instructions");
  frames_.push_back(frame);
  return true;
}

uint32_t HeaptrackLog::frame_at(uint64_t address) {
  auto [at, is_new] = raw_frames_.try_emplace(address, 0);
  if (!is_new) return at->second;
  if (!segments_sorted_) {
    std::sort(segments_.begin(), segments_.end(),
              [](const Segment &a, const Segment &b) { return a.start < b.start; });
    segments_sorted_ = true;
  }
  auto after = std::upper_bound(segments_.begin(), segments_.end(), address,
                                [](uint64_t a, const Segment &s) { return a < s.start; });
  uint32_t module = 0;
  uint64_t bias = 0;
  if (after != segments_.begin() && address < (after - 1)->end) {
    module = (after - 1)->module + 1;
    bias = (after - 1)->bias;
  }
  return at->second = into_.definitions().native_frame(module, address - bias);
}

bool HeaptrackLog::trace(std::string_view rest) {
  uint64_t instruction, parent;
  if (!take_hex(&rest, &instruction) || !take_hex(&rest, &parent))
    return fail("it has no instruction and parent");
  if (parent >= stacks_.size()) return fail("its parent is not there yet");
  uint32_t frame;
  if (raw_) {
    frame = frame_at(instruction);
  } else {
    if (instruction == 0 || instruction >= frames_.size())
      return fail("there is no such instruction");
    frame = frames_[instruction];
  }
  if (stacks_.size() > kMostRows) return fail("there are too many traces");
  uint32_t above = parent == 0 ? 0 : stacks_[parent] + 1;
  stacks_.push_back(into_.definitions().stack(above, frame));
  return true;
}

bool HeaptrackLog::module(std::string_view rest) {
  std::string_view path;
  raw_ = true;
  if (!take_text(&rest, &path)) return fail("the path is not as long as it says");
  if (path == "-") {
    segments_.clear();
    return true;
  }
  uint64_t bias, address, size;
  if (!take_hex(&rest, &bias)) return fail("it has no address");
  std::string name = path == "x" ? executable_ : std::string(path);
  uint32_t module = into_.definitions().module(0, bias, 0, 0, name, "");
  while (!rest.empty()) {
    if (!take_hex(&rest, &address) || !take_hex(&rest, &size))
      return fail("a segment has no address and size");
    uint64_t start = bias + address;
    segments_.push_back({start, start + size, bias, module});
  }
  segments_sorted_ = false;
  return true;
}

bool HeaptrackLog::context_of(uint64_t trace, uint32_t *context) {
  if (trace >= stacks_.size()) return fail("there is no such trace");
  if (contexts_.size() < stacks_.size()) contexts_.resize(stacks_.size());
  uint32_t &known = contexts_[trace];
  if (known == 0) {
    Definitions &d = into_.definitions();
    uint32_t stack = trace == 0 ? d.stack(0, d.special_frame(kSpecialNoStack)) : stacks_[trace];
    // Traces of one stack are one context.
    known = into_.aggregator().context(into_.book(), into_.thread(), stack, HT_KIND_MALLOC) + 1;
    if (known > temporary_.size()) temporary_.resize(known);
  }
  *context = known - 1;
  return true;
}

bool HeaptrackLog::allocation_info(std::string_view rest) {
  Info info{};
  uint64_t trace;
  if (!take_hex(&rest, &info.size) || !take_hex(&rest, &trace))
    return fail("it has no size and trace");
  if (info.size >= kMostBytes) return fail("the size is out of range");
  if (infos_.size() > kMostRows) return fail("there are too many kinds of allocations");
  if (!context_of(trace, &info.context)) return false;
  infos_.push_back(info);
  return true;
}

// ------------------------------------------------------------------------------------- events

void HeaptrackLog::allocate_at(uint64_t address, uint64_t size, uint32_t context) {
  into_.book().allocate(into_.thread(), address, size, context, Misfit::kCount);
}

void HeaptrackLog::count_temporary(uint32_t context) { temporary_[context]++; }

bool HeaptrackLog::allocate(std::string_view rest) {
  uint64_t index;
  if (!take_hex(&rest, &index)) return fail("it is no number");
  if (with_pointers()) {
    uint64_t trace, address;
    uint32_t context;
    if (!take_hex(&rest, &trace) || !take_hex(&rest, &address))
      return fail("it has no trace and pointer");
    if (index >= kMostBytes || into_.thread().bytes + index >= kMostBytes)
      return fail("the size is out of range");
    if (!context_of(trace, &context)) return false;
    allocate_at(address, index, context);
    last_ = address;
    return true;
  }
  if (index >= infos_.size()) return fail("there is no such kind of allocation");
  Info &info = infos_[index];
  if (into_.thread().bytes + info.size >= kMostBytes) return fail("the size is out of range");
  uint32_t block;
  if (unused_ != 0) {
    block = unused_ - 1;
    unused_ = older_[block];
  } else {
    if (older_.size() > kMostRows) return fail("there are too many blocks");
    block = static_cast<uint32_t>(older_.size());
    older_.push_back(0);
  }
  older_[block] = info.newest;
  info.newest = block + 1;
  allocate_at(kFirstAddress + block * kBlockDistance, info.size, info.context);
  last_ = index;
  return true;
}

bool HeaptrackLog::free(std::string_view rest) {
  uint64_t index;
  if (!take_hex(&rest, &index)) return fail("it is no number");
  // heaptrack calls temporary what equals the last thing allocated: a kind of allocation, or where
  // pointers are, a pointer; after a free that is the number 0, of kinds a real one.
  bool temporary = last_ == index;
  last_ = 0;
  Book &book = into_.book();
  if (with_pointers()) {
    const Life *life = book.live().find(index);
    if (temporary && life != nullptr) count_temporary(life->context);
    book.free(into_.thread(), index, Misfit::kCount);
    return true;
  }
  if (index >= infos_.size()) return fail("there is no such kind of allocation");
  Info &info = infos_[index];
  if (info.newest == 0) return true; // of a block from before the recording
  if (temporary) count_temporary(info.context);
  uint32_t block = info.newest - 1;
  info.newest = older_[block];
  older_[block] = unused_;
  unused_ = block + 1;
  book.free(into_.thread(), kFirstAddress + block * kBlockDistance, Misfit::kCount);
  return true;
}

bool HeaptrackLog::time(std::string_view rest) {
  uint64_t ms;
  if (!take_hex(&rest, &ms)) return fail("the time is no number");
  if (ms > kMostMs) return fail("the time is out of range");
  if (ms > now_ms_) now_ms_ = ms; // one that goes back is not believed
  into_.moment(now_ms_ * kNsOfMs, 0);
  return true;
}

bool HeaptrackLog::resident(std::string_view rest) {
  uint64_t pages;
  if (!take_hex(&rest, &pages)) return fail("the resident size is no number");
  if (pages < kMostBytes / page_size_) into_.moment(now_ms_ * kNsOfMs, pages * page_size_);
  return true;
}

} // namespace heaptide
