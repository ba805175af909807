// Variable data on its way into the ring: names, line tables, notes.
#include "agent.h"

void ht_meta_begin(ht_meta *m, ht_ctx *ctx, enum ht_meta_type type) {
  m->ctx = ctx;
  m->type = type;
  m->used = 0;
}

static void send_fragment(ht_meta *m, bool more) {
  unsigned words = (m->used + 7) / 8;
  for (unsigned i = m->used; i < words * 8; i++) m->buf[i] = 0;
  uint64_t *w = ht_reserve(&m->ctx, words + 1);
  for (unsigned i = 0; i < words; i++) {
    uint64_t value;
    __builtin_memcpy(&value, m->buf + (size_t)i * 8, 8);
    w[1 + i] = value;
  }
  ht_commit(m->ctx, w,
            HT_WORD(HT_OP_META, 0, words | (uint64_t)m->type << 16 | (uint64_t)more << 24));
  m->used = 0;
}

static void put_bytes(ht_meta *m, const void *data, uint32_t length) {
  const uint8_t *from = data;
  while (length > 0) {
    if (m->used == sizeof m->buf) send_fragment(m, true);
    m->buf[m->used++] = *from++;
    length--;
  }
}

void ht_meta_u32(ht_meta *m, uint32_t value) { put_bytes(m, &value, sizeof value); }
void ht_meta_u64(ht_meta *m, uint64_t value) { put_bytes(m, &value, sizeof value); }

void ht_meta_bytes(ht_meta *m, const void *data, uint32_t length) {
  ht_meta_u32(m, length);
  put_bytes(m, data, length);
}

void ht_meta_end(ht_meta *m) { send_fragment(m, false); }

static _Atomic uint32_t said[64]; // hashes of what has been said

void ht_notes_reset(void) {
  for (unsigned i = 0; i < sizeof said / sizeof *said; i++) atomic_store(&said[i], 0);
}

void ht_note(ht_ctx *ctx, const char *text) {
  uint32_t hash = 2166136261u, length = 0;
  for (; text[length] != 0; length++) hash = (hash ^ (uint8_t)text[length]) * 16777619u;
  if (hash == 0) hash = 1;
  for (unsigned i = 0; i < sizeof said / sizeof *said; i++) {
    uint32_t seen = 0;
    if (atomic_compare_exchange_strong(&said[i], &seen, hash)) {
      ht_meta m;
      ht_meta_begin(&m, ctx, HT_META_NOTE);
      ht_meta_bytes(&m, text, length);
      ht_meta_end(&m);
      return;
    }
    if (seen == hash) return;
  }
}
