#include "unwind_frames.h"

#include <stdexcept>
#include <string>

namespace {
struct AtEnd {
  then_fn then;
  void *closure;
  ~AtEnd() { then(closure); }
};

[[gnu::noinline]] void thrower(int depth) {
  std::string text(static_cast<size_t>(depth) + 20, 'x');
  if (depth == 0) throw std::runtime_error(text);
  thrower(depth - 1);
}

[[gnu::noinline]] void with_destructor(then_fn then, void *closure) {
  AtEnd end{then, closure};
  thrower(3);
}
} // namespace

void frame_catch(then_fn then, void *closure) {
  try {
    thrower(5);
  } catch (const std::exception &) {
    then(closure);
  }
}

void frame_destructor(then_fn then, void *closure) {
  try {
    with_destructor(then, closure);
  } catch (const std::exception &) {
  }
}
