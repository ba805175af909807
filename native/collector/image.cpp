#include "collector/image.h"

#include <utility>

namespace heaptide {
namespace {

bool is_root(uint32_t id) { return id < HT_NODE_FIRST; }

} // namespace

Image::Image(Definitions &definitions, uint32_t process_row, std::shared_ptr<const Image> parent,
             Inherited inherited)
    : definitions_(definitions),
      process_row_(process_row),
      parent_(std::move(parent)),
      inherited_(inherited) {
  // A process that has only passed on what it inherited is not worth a hop.
  while (parent_ != nullptr && parent_->parent_ != nullptr && parent_->pages_.empty() &&
         parent_->codes_.empty() && parent_->modules_.empty() && parent_->eval_ranges_.empty() &&
         parent_->inherited_.nodes >= inherited.nodes &&
         parent_->inherited_.codes >= inherited.codes &&
         parent_->inherited_.modules >= inherited.modules) {
    parent_ = parent_->parent_;
  }
}

// -------------------------------------------------------------------------------- definitions

void Image::add_node(uint32_t id, unsigned aux, uint64_t word1, uint64_t word2) {
  if (is_root(id) || id >= kMostIds) return;
  uint32_t page = id / kPage;
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (pages_[page] == nullptr) pages_[page] = std::make_unique<Node[]>(kPage);
  Node &node = pages_[page][id % kPage];
  uint32_t parent = static_cast<uint32_t>(word2);
  bool python = (aux & HT_NODE_PYTHON) != 0;
  // Parents are older than their children: this is what makes every walk end.
  if (parent >= id) parent = HT_NODE_NONE;
  uint32_t module = python ? 0 : static_cast<uint32_t>(word2 >> 32) & kModule;
  node = {word1, parent,
          module | kDefined | (python ? kPython : 0) | ((aux & HT_NODE_ENTRY) != 0 ? kEntry : 0)};
}

void Image::add_module(uint32_t id, uint64_t bias, uint64_t start, uint64_t end,
                       std::string_view path, std::string_view build_id) {
  if (id >= kMostIds) return;
  if (id >= modules_.size()) modules_.resize(id + 1);
  modules_[id] = {bias, definitions_.module(process_row_, bias, start, end, path, build_id) + 1};
}

void Image::add_code(uint32_t id, uint32_t first_line, uint32_t python_version,
                     std::string_view filename, std::string_view qualname, std::string_view table) {
  if (id >= kMostIds) return;
  if (id >= codes_.size()) codes_.resize(id + 1);
  codes_[id] = definitions_.code(filename, qualname, first_line, python_version, table) + 1;
}

void Image::add_eval_range(uint64_t start, uint64_t end) {
  for (const Range &range : eval_ranges_) {
    if (range.start == start && range.end == end) return;
  }
  eval_ranges_.push_back({start, end});
  merged_.clear();
  has_eval_.clear();
}

// ------------------------------------------------------------------------------------ look-ups

const Image::Node *Image::find(uint32_t id) const {
  const Image *image = this;
  while (image->parent_ != nullptr && id <= image->inherited_.nodes) image = image->parent_.get();
  uint32_t page = id / kPage;
  if (page >= image->pages_.size() || image->pages_[page] == nullptr) return nullptr;
  const Node &node = image->pages_[page][id % kPage];
  return (node.module_flags & kDefined) != 0 ? &node : nullptr;
}

Image::Module Image::find_module(uint32_t id) const {
  const Image *image = this;
  while (image->parent_ != nullptr && id <= image->inherited_.modules &&
         (id >= image->modules_.size() || image->modules_[id].row_plus_one == 0)) {
    image = image->parent_.get();
  }
  return id < image->modules_.size() ? image->modules_[id] : Module{0, 0};
}

uint32_t Image::find_code(uint32_t id) const {
  const Image *image = this;
  while (image->parent_ != nullptr && id <= image->inherited_.codes &&
         (id >= image->codes_.size() || image->codes_[id] == 0)) {
    image = image->parent_.get();
  }
  return id < image->codes_.size() ? image->codes_[id] : 0;
}

bool Image::runs_python(uint64_t address) const {
  for (const Image *image = this; image != nullptr; image = image->parent_.get()) {
    for (const Range &range : image->eval_ranges_) {
      if (address - range.start < range.end - range.start) return true;
    }
  }
  return false;
}

// Whether a native stack runs Python anywhere.
bool Image::has_eval(uint32_t native) {
  bool result = false;
  chain_.clear();
  for (uint32_t id = native; !is_root(id);) {
    uint32_t known = has_eval_.find({id});
    if (known != InternMap<NodeKey>::kNone) {
      result = known != 0;
      break;
    }
    chain_.push_back(id);
    const Node *node = find(id);
    if (node == nullptr) return false; // and says so in merge
    if (runs_python(node->value)) {
      result = true;
      break;
    }
    id = node->parent;
  }
  for (uint32_t id : chain_) has_eval_.intern({id}, result ? 1 : 0);
  return result;
}

bool Image::frame(const Node &node, bool force, uint32_t *frame) {
  if ((node.module_flags & kPython) != 0) {
    uint32_t code = find_code(static_cast<uint32_t>(node.value));
    if (code == 0) {
      if (!force) return false;
      *frame = definitions_.special_frame(kSpecialCutOff);
      return true;
    }
    *frame = definitions_.python_frame(code - 1, node.value >> 32);
    return true;
  }
  uint32_t id = node.module_flags & kModule;
  if (id == 0) {
    *frame = node.value == HT_PC_TRUNCATED ? definitions_.special_frame(kSpecialCutOff)
                                           : definitions_.native_frame(0, node.value);
    return true;
  }
  Module module = find_module(id);
  if (module.row_plus_one == 0 && !force) return false;
  *frame = definitions_.native_frame(module.row_plus_one, node.value - module.bias);
  return true;
}

// ------------------------------------------------------------------------------------- merging
//
// A merged stack is a function of (Python node, native node): each step adds one frame, or drops one,
// and goes on with another such pair, outwards. Pairs are remembered, so a new stack costs its new
// frames only.
//
//   native frame that runs Python, Python left:  the Python frame; after an entry frame the native
//                                                one is done with, too
//   native frame that runs Python, none left:    dropped
//   native frame otherwise:                      itself
//   no native frame:                             the Python frame
//
// Python frames left when no further native frame runs Python (an entry was missed) come before the
// native frames that remain, main and the like, but only if some native frame ran Python at all: a
// stack cut off before the first one is inside of all its Python frames. That is what kOutside tells.

bool Image::walk(Pair pair, bool force, uint32_t *base) {
  steps_.clear();
  bool outside = has_eval(pair.native);
  for (;;) {
    bool python_left = !is_root(pair.python), native_left = !is_root(pair.native);
    if (!python_left && !native_left) {
      *base = 0;
      return true;
    }
    bool eval_ahead = native_left && has_eval(pair.native);
    Pair key = pair;
    if (python_left && native_left && !eval_ahead && outside) key.native |= kOutside;
    uint32_t known = merged_.find(key);
    if (known != InternMap<Pair>::kNone) {
      *base = known;
      return true;
    }
    bool takes_python = python_left && (!native_left || (outside && !eval_ahead));
    const Node *native = nullptr;
    if (native_left && !takes_python) {
      native = find(pair.native);
      if (native == nullptr) {
        if (!force) return false;
        *base = definitions_.stack(0, definitions_.special_frame(kSpecialCutOff)) + 1;
        return true;
      }
      if (!runs_python(native->value)) {
        steps_.push_back({key, native});
        pair.native = native->parent;
        continue;
      }
      if (!python_left) {
        steps_.push_back({key, nullptr});
        pair.native = native->parent;
        continue;
      }
    }
    const Node *python = find(pair.python);
    if (python == nullptr) {
      if (!force) return false;
      *base = definitions_.stack(0, definitions_.special_frame(kSpecialCutOff)) + 1;
      return true;
    }
    steps_.push_back({key, python});
    pair.python = python->parent;
    if (native != nullptr && (python->module_flags & kEntry) != 0) pair.native = native->parent;
  }
}

bool Image::merge(uint32_t first, uint32_t second, bool force, uint32_t *stack) {
  Pair pair = {0, 0};
  if (!is_root(first)) {
    const Node *node = find(first);
    if (node == nullptr && !force) return false;
    bool python = node == nullptr || (node->module_flags & kPython) != 0;
    (python ? pair.python : pair.native) = first;
  }
  if (!is_root(second)) pair.native = second;
  pair.python = is_root(pair.python) ? 0 : pair.python;
  if (pair.python == 0 && pair.native == 0) {
    *stack = definitions_.stack(0, definitions_.special_frame(kSpecialNoStack));
    return true;
  }
  uint32_t base;
  if (!walk(pair, force, &base)) return false;
  // What is missing has been settled, or nothing is: from here on stacks grow outside in.
  for (size_t i = steps_.size(); i-- > 0;) {
    const Step &step = steps_[i];
    if (step.node != nullptr) {
      uint32_t number;
      if (!frame(*step.node, force, &number)) return false;
      base = definitions_.stack(base, number) + 1;
    }
    if (!force) merged_.intern(step.pair, base);
  }
  if (base == 0) base = definitions_.stack(0, definitions_.special_frame(kSpecialNoStack)) + 1;
  *stack = base - 1;
  return true;
}

uint64_t Image::bytes() const {
  uint64_t bytes = merged_.size() * 20 + has_eval_.size() * 12 + codes_.size() * 4;
  for (const auto &page : pages_) bytes += page == nullptr ? 0 : kPage * sizeof(Node);
  return bytes;
}

} // namespace heaptide
