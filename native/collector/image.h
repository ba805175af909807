// What the numbers in one process image's events mean: its stack nodes, code objects and modules,
// and the merged stacks they make.
//
// A forked process starts with its parent's numbers; they are looked up there.
#ifndef HEAPTIDE_COLLECTOR_IMAGE_H
#define HEAPTIDE_COLLECTOR_IMAGE_H

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "collector/definitions.h"
#include "wire/wire.h"

namespace heaptide {

struct Inherited {
  uint32_t nodes = 0, codes = 0, modules = 0;
};

class Image {
 public:
  Image(Definitions &definitions, uint32_t process_row)
      : definitions_(definitions), process_row_(process_row) {}
  Image(Definitions &definitions, uint32_t process_row, std::shared_ptr<const Image> parent,
        Inherited inherited);

  // Numbers out of range or out of order (a parent that is no older) are ignored.
  void add_node(uint32_t id, unsigned aux, uint64_t word1, uint64_t word2);
  void add_module(uint32_t id, uint64_t bias, uint64_t start, uint64_t end, std::string_view path,
                  std::string_view build_id);
  void add_code(uint32_t id, uint32_t first_line, uint32_t python_version,
                std::string_view filename, std::string_view qualname, std::string_view table);
  void add_eval_range(uint64_t start, uint64_t end);

  // The merged stack of an event's nodes: `first` is Python's or, if it is the only one, native;
  // `second` is native or 0. False: something they refer to has not been defined yet; forced, what is
  // missing is shown as cut off. Costs a hash look-up for each frame that is new in its place.
  bool merge(uint32_t first, uint32_t second, bool force, uint32_t *stack);

  uint64_t bytes() const;

 private:
  struct Node {
    uint64_t value; // as word 1 of the event
    uint32_t parent;
    uint32_t module_flags; // module id and kFlags
  };
  struct Module {
    uint64_t bias;
    uint32_t row_plus_one;
  };
  struct Pair {
    uint32_t python, native;
    bool operator==(const Pair &) const = default;
    uint64_t hash() const { return mix(uint64_t{python} << 32 | native); }
  };
  struct Step {
    Pair pair;
    const Node *node; // whose frame it adds, nullptr: none
  };

  static constexpr uint32_t kDefined = 1u << 31, kPython = 1u << 30, kEntry = 1u << 29;
  static constexpr uint32_t kModule = (1u << 27) - 1;
  // A mark on Pair::native: see merge.
  static constexpr uint32_t kOutside = 1u << 31;
  static constexpr uint32_t kPage = 1024;
  static constexpr uint32_t kMostIds = 1u << 27;

  const Node *find(uint32_t id) const;
  Module find_module(uint32_t id) const;
  uint32_t find_code(uint32_t id) const; // row + 1, 0: unknown
  bool runs_python(uint64_t address) const;
  bool has_eval(uint32_t native);
  bool frame(const Node &node, bool force, uint32_t *frame);
  bool walk(Pair pair, bool force, uint32_t *base);

  Definitions &definitions_;
  uint32_t process_row_;
  std::shared_ptr<const Image> parent_;
  Inherited inherited_;
  std::vector<std::unique_ptr<Node[]>> pages_;
  std::vector<Module> modules_;
  std::vector<uint32_t> codes_; // row + 1
  struct Range {
    uint64_t start, end;
  };
  std::vector<Range> eval_ranges_;
  InternMap<Pair> merged_; // -> stack + 1
  struct NodeKey {
    uint32_t id;
    bool operator==(const NodeKey &) const = default;
    uint64_t hash() const { return mix(id); }
  };
  InternMap<NodeKey> has_eval_; // -> 0 or 1
  std::vector<Step> steps_;
  std::vector<uint32_t> chain_;
};

} // namespace heaptide

#endif
