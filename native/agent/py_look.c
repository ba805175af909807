// Meeting an interpreter: the one place that starts the other py_*.c files.
#include "py.h"

#define STATIC_TLS_REACH 65536 // no program's start-up libraries need more thread-local storage

enum { LOOK_AGAIN = 0, LOOK_GOING_ON = 1, LOOK_DONE = 2 };

static _Atomic uint32_t looking;
static bool looked_before;

static void send_ranges(ht_ctx *ctx) {
  if (ctx->busy) return;
  ctx->busy |= HT_BUSY_CALLS;
  ht_py_send_ranges(ctx);
  ctx->busy &= (uint8_t)~HT_BUSY_CALLS;
}

static void note_unsupported(ht_ctx *ctx) {
  static char text[] =
      "Python 0.00 is not supported: neither its frames nor its objects are recorded, only native "
      "frames and allocations. Use CPython 3.9 to 3.14 with the GIL to see more.";
  unsigned minor = ht_py.version >> 16 & 0xff;
  char *number = text + sizeof "Python " - 1;
  number[0] = (char)('0' + (ht_py.version >> 24) % 10);
  number[2] = (char)(minor < 10 ? '0' + minor : '0' + minor / 10 % 10);
  number[3] = (char)(minor < 10 ? ' ' : '0' + minor % 10);
  if (ctx->busy) return;
  ctx->busy |= HT_BUSY_CALLS;
  ht_note(ctx, text);
  ctx->busy &= (uint8_t)~HT_BUSY_CALLS;
}

void ht_python_look(ht_ctx *ctx) {
  uint32_t state = LOOK_AGAIN;
  if (ht.process == NULL || !atomic_compare_exchange_strong(&looking, &state, LOOK_GOING_ON))
    return;
  bool first = !looked_before;
  looked_before = true;
  if (!ht_py_find(&ht_py.symbols)) {
    atomic_store(&looking, LOOK_AGAIN);
    return;
  }
  // What the program starts with has its thread-local storage at one distance from every thread's
  // pointer; what it loads later may not.
  ht_py_symbols *s = &ht_py.symbols;
  if (!first || ht.late || s->tls < -STATIC_TLS_REACH || s->tls_end > STATIC_TLS_REACH)
    s->tls = s->tls_end = 0;
  bool known = ht_py_learn();
  ht.process->python_version = ht_py.version;
  ht.process->python_status = known ? HT_PYTHON_OK : HT_PYTHON_UNSUPPORTED;
  if (known) {
    ht_py_walk_start();
    ht_py_code_start();
    ht_python_present = true;
    if (ht.config & HT_CONFIG_PYTHON_OBJECTS) ht_py_alloc_start();
    if (ht_recording(ctx)) send_ranges(ctx);
  } else if (ht_recording(ctx)) {
    note_unsupported(ctx);
  }
  atomic_store(&looking, LOOK_DONE);
}

uint32_t ht_python_stack(ht_ctx *ctx, bool gil_held) {
  if (HT_UNLIKELY(!ht_python_present)) return HT_NODE_NONE;
  return ht_py.stack(ctx, gil_held);
}

void ht_python_reset(void) {
  if (!ht_python_present) return;
  ht_py_code_reset();
  ht_py_ranges_reset();
}

void ht_python_resume(ht_ctx *ctx) {
  if (!ht_python_present) {
    ht_python_look(ctx);
    return;
  }
  ht.process->python_version = ht_py.version;
  ht.process->python_status = HT_PYTHON_OK;
  ht_py_alloc_settle();
  if (ht_recording(ctx)) send_ranges(ctx);
}

void ht_python_pause(void) {
  if (ht_python_present && (ht.config & HT_CONFIG_PYTHON_OBJECTS)) ht_py_alloc_stop();
}

// What other threads of the parent were doing is not done here.
void ht_python_after_fork(void) {
  ht_py_code_after_fork();
  ht_py_test_after_fork();
  if (atomic_load(&looking) == LOOK_GOING_ON) atomic_store(&looking, LOOK_AGAIN);
}
