// Moments that a program gives a name: heaptide_mark, found by dlsym where a program is recorded.
#define _GNU_SOURCE
#include <errno.h>

#include "agent.h"

// A mark is one fragment of the ring: what a signal handler sends cannot come between its parts.
#define MOST_BYTES 400u

HT_EXPORT void heaptide_mark(const char *name);

HT_EXPORT void heaptide_mark(const char *name) {
  ht_ctx *ctx = ht_tls;
  if (name == NULL || ctx->frees == HT_FREES_NONE) return;
  int error = errno;
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  if (ht_recording(ctx)) {
    uint32_t length = 0;
    while (length < MOST_BYTES && name[length] != 0) length++;
    // Not into a character of UTF-8.
    if (name[length] != 0) {
      while (length > 0 && ((uint8_t)name[length] & 0xC0u) == 0x80u) length--;
    }
    ht_meta m;
    ht_meta_begin(&m, ctx, HT_META_MARK);
    ht_meta_u64(&m, ht_tsc());
    ht_meta_bytes(&m, name, length);
    ht_meta_end(&m);
  }
  errno = error;
}
