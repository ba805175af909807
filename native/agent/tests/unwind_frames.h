// Functions with every kind of frame, each calling `then(closure)` from inside it.
#ifndef HEAPTIDE_TESTS_UNWIND_FRAMES_H
#define HEAPTIDE_TESTS_UNWIND_FRAMES_H

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*then_fn)(void *closure);

// unwind_frames.c, compiled without frame pointers.
void recurse(unsigned depth, then_fn then, void *closure);
void frame_big(then_fn then, void *closure);     // 40 KB of locals
void frame_aligned(then_fn then, void *closure); // realigned to 64 bytes
void frame_aligned_vla(then_fn then, void *closure, unsigned n);
void frame_vla(then_fn then, void *closure, unsigned n);
void frame_qsort(then_fn then, void *closure);    // through the C library
void frame_noreturn(then_fn then, void *closure); // the call is the function's last instruction
int leaf_work(const char *text);                  // to be interrupted: prologue, loop, PLT calls

// Assembly.
void frame_bare(then_fn then, void *closure);     // no CFI, no frame pointer
void frame_pointer(then_fn then, void *closure);  // no CFI, frame pointer
void frame_rbx(then_fn then, void *closure);      // CFA by rbx, as in the dynamic linker
void frame_saved_sp(then_fn then, void *closure); // CFA by an expression: stack pointer saved on it
void frame_lost(then_fn then, void *closure);     // no CFI, bp = 0
void frame_liar(then_fn then, void *closure);     // CFI that points beyond the stack

// unwind_cxx.cc
void frame_catch(then_fn then, void *closure);      // from a catch block
void frame_destructor(then_fn then, void *closure); // from a destructor run by an exception

#ifdef __cplusplus
}
#endif
#endif
