// Merged stacks: Python's frames in the place of the native ones that run them.
#include <string>

#include "collector/image.h"
#include "collector/tests/check.h"

namespace heaptide {
namespace {

constexpr uint64_t kEval = 0x5000; // 0x5000 to 0x6000 runs Python

// Builds nodes and shows merged stacks as text, innermost frame first: native frames by their address,
// Python's by their code id behind a P.
class Stacks {
 public:
  Stacks() : image_(std::make_shared<Image>(definitions_, 0)) {
    image_->add_eval_range(kEval, kEval + 0x1000);
    for (uint32_t code = 1; code < 10; code++) add_code(*image_, code);
  }

  static void add_code(Image &image, uint32_t code) {
    image.add_code(code, 1, 0x030b0000, "file", "f" + std::to_string(code), "");
  }

  uint32_t native(uint32_t parent, uint64_t address) {
    image_->add_node(next_, 0, address, parent == 0 ? HT_NODE_ROOT_NATIVE : parent);
    return next_++;
  }
  uint32_t python(uint32_t parent, uint32_t code, bool entry) {
    image_->add_node(next_, HT_NODE_PYTHON | (entry ? HT_NODE_ENTRY : 0), code,
                     parent == 0 ? HT_NODE_ROOT_PYTHON : parent);
    return next_++;
  }

  std::string show(uint32_t first, uint32_t second, bool force = false, Image *image = nullptr) {
    uint32_t stack;
    if (!(image == nullptr ? *image_ : *image).merge(first, second, force, &stack)) return "?";
    std::string text;
    for (uint32_t next = stack + 1; next != 0;) {
      uint64_t frame = definitions_.new_stacks.frame[next - 1];
      uint64_t ref = definitions_.new_frames.ref[frame];
      uint64_t offset = definitions_.new_frames.offset[frame];
      switch (definitions_.new_frames.kind[frame]) {
        case kFrameNative: {
          char hex[32];
          std::snprintf(hex, sizeof hex, "%lx", offset);
          text += ref == 0 ? hex : "m" + std::to_string(ref) + "+" + hex;
          break;
        }
        case kFramePython:
          text += "P" + std::to_string(ref + 1);
          break;
        default:
          text += "!" + std::to_string(ref);
      }
      text += " ";
      next = static_cast<uint32_t>(definitions_.new_stacks.parent[next - 1]);
    }
    if (!text.empty()) text.pop_back();
    return text;
  }

  Definitions definitions_;
  std::shared_ptr<Image> image_;
  uint32_t next_ = HT_NODE_FIRST;
};

TEST(stacks_of_one_kind_pass_through) {
  Stacks s;
  uint32_t native = s.native(s.native(0, 0x1000), 0x2000);
  uint32_t python = s.python(s.python(0, 1, true), 2, false);
  CHECK_EQUAL(std::string("2000 1000"), s.show(native, 0));
  CHECK_EQUAL(std::string("P2 P1"), s.show(python, 0));
  CHECK_EQUAL(std::string("!2"), s.show(0, 0));
  CHECK_EQUAL(std::string("!2"), s.show(HT_NODE_ROOT_PYTHON, HT_NODE_ROOT_NATIVE));
  CHECK_EQUAL(std::string("2000 !1"), s.show(s.native(s.native(0, HT_PC_TRUNCATED), 0x2000), 0));
}

TEST(python_frames_stand_where_they_are_run) {
  Stacks s;
  // main, eval (two Python frames), a C function, eval again (one), another C function.
  uint32_t main = s.native(s.native(0, 0x1000), 0x1001);
  uint32_t outer = s.native(main, kEval + 1);
  uint32_t called = s.native(outer, 0x2000);
  uint32_t inner = s.native(called, kEval + 2);
  uint32_t leaf = s.native(inner, 0x3000);
  uint32_t p1 = s.python(0, 1, true);
  uint32_t p2 = s.python(p1, 2, false);
  uint32_t p3 = s.python(p2, 3, true);
  CHECK_EQUAL(std::string("3000 P3 2000 P2 P1 1001 1000"), s.show(p3, leaf));
  // Asked again, or through another leaf, it is the same stack below.
  CHECK_EQUAL(std::string("3000 P3 2000 P2 P1 1001 1000"), s.show(p3, leaf));
  CHECK_EQUAL(std::string("3001 P3 2000 P2 P1 1001 1000"), s.show(p3, s.native(inner, 0x3001)));
  // An eval frame more than Python has entries: dropped.
  CHECK_EQUAL(std::string("3000 P1 2000 1001 1000"), s.show(p1, leaf));
  // One fewer: what is left stands inside of main.
  CHECK_EQUAL(std::string("2000 P3 P2 P1 1001 1000"), s.show(p3, called));
  // None at all, since the native stack was cut off before: Python is outside of it.
  uint32_t cut = s.native(s.native(0, HT_PC_TRUNCATED), 0x4000);
  CHECK_EQUAL(std::string("4000 !1 P3 P2 P1"), s.show(p3, cut));
}

TEST(what_is_not_defined_yet_is_waited_for) {
  Stacks s;
  uint32_t later = s.next_++;
  CHECK_EQUAL(std::string("?"), s.show(later, 0));
  s.image_->add_node(later, 0, 0x7000, uint64_t{1} << 32 | HT_NODE_ROOT_NATIVE);
  CHECK_EQUAL(std::string("?"), s.show(later, 0)); // its module
  s.image_->add_module(1, 0x6000, 0x6000, 0x8000, "/lib/a.so", "id");
  CHECK_EQUAL(std::string("m1+1000"), s.show(later, 0));
  uint32_t python = s.next_++;
  s.image_->add_node(python, HT_NODE_PYTHON | HT_NODE_ENTRY, 77, HT_NODE_ROOT_PYTHON);
  CHECK_EQUAL(std::string("?"), s.show(python, 0)); // its code
  CHECK_EQUAL(std::string("!1"), s.show(python, 0, true));
  uint32_t orphan = s.next_++;
  s.image_->add_node(orphan, 0, 0x100, orphan - 1);
  s.image_->add_node(orphan + 1, 0, 0x200, orphan);
  CHECK(s.show(9999, 0, true) == "!1");
  Stacks::add_code(*s.image_, 77);
  CHECK_EQUAL(std::string("P10"), s.show(python, 0));
}

TEST(numbers_that_make_no_sense_do_no_harm) {
  Stacks s;
  s.image_->add_node(100, 0, 0x1, 100);  // its own parent
  s.image_->add_node(101, 0, 0x10, 102); // a parent that is younger
  s.image_->add_node(102, 0, 0x20, 101);
  s.image_->add_node(UINT32_MAX, 0, 0x30, 1);
  s.image_->add_node(0, 0, 0x30, 1);
  s.image_->add_module(UINT32_MAX, 0, 0, 0, "x", "y");
  CHECK_EQUAL(std::string("20 10"), s.show(102, 0));
  CHECK_EQUAL(std::string("?"), s.show(UINT32_MAX, 0));
  CHECK_EQUAL(std::string("!1"), s.show(UINT32_MAX, UINT32_MAX, true));
}

TEST(a_forked_child_knows_what_its_parent_knew) {
  Stacks s;
  uint32_t leaf = s.native(s.native(0, 0x1000), kEval);
  uint32_t python = s.python(0, 1, true);
  auto child = std::make_shared<Image>(s.definitions_, 1, s.image_, Inherited{s.next_ - 1, 9, 0});
  auto grandchild = std::make_shared<Image>(s.definitions_, 2, child, Inherited{s.next_ - 1, 9, 0});
  // The same numbers, handed out by each for itself.
  uint32_t own = s.next_;
  s.image_->add_node(own, 0, 0x8000, leaf);
  child->add_node(own, 0, 0x9000, leaf);
  CHECK_EQUAL(std::string("8000 P1 1000"), s.show(python, own));
  CHECK_EQUAL(std::string("9000 P1 1000"), s.show(python, own, false, child.get()));
  CHECK_EQUAL(std::string("?"), s.show(python, own, false, grandchild.get()));
  CHECK_EQUAL(std::string("P1 1000"), s.show(python, leaf, false, grandchild.get()));
}

TEST(very_deep_stacks_merge_and_share) {
  Stacks s;
  uint32_t native = 0, python = 0;
  for (uint32_t i = 0; i < 100'000; i++) {
    native = s.native(s.native(native, 0x1000 + i % 7), kEval + i % 5);
    python = s.python(python, 1 + i % 3, true);
  }
  uint32_t stack;
  CHECK(s.image_->merge(python, native, false, &stack));
  uint32_t before = s.definitions_.stacks();
  CHECK(s.image_->merge(s.python(python, 4, false), s.native(native, 0x2000), false, &stack));
  CHECK(s.definitions_.stacks() <= before + 2 * 100'000 + 2);
}

TEST(strings_modules_and_codes_are_shared) {
  Definitions d;
  CHECK_EQUAL(0u, d.string(""));
  CHECK_EQUAL(d.string("a"), d.string("a"));
  CHECK(d.string("a") != d.string("b"));
  CHECK_EQUAL(d.module(0, 10, 10, 20, "/lib/a", "id"), d.module(1, 99, 99, 120, "/lib/a", "id"));
  CHECK(d.module(0, 10, 10, 20, "/lib/a", "id") != d.module(0, 10, 10, 20, "/lib/a", "other"));
  uint32_t code = d.code("f.py", "f", 1, 0x030b0000, "table");
  CHECK_EQUAL(code, d.code("f.py", "f", 1, 0x030b0000, "table"));
  CHECK(code != d.code("f.py", "f", 2, 0x030b0000, "table"));
  CHECK(code != d.code("f.py", "f", 1, 0x030b0000, "elbat"));
  CHECK_EQUAL(std::string("a\xef\xbf\xbdz"), valid_utf8("a\xffz"));
  CHECK_EQUAL(std::string("\xc3\xa9\xe2\x82\xac"), valid_utf8("\xc3\xa9\xe2\x82\xac"));
  CHECK_EQUAL(std::string("\xef\xbf\xbd\xef\xbf\xbd"), valid_utf8("\xc0\x80"));
}

} // namespace
} // namespace heaptide
