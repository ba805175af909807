// The session this process takes part in: session.c and sample.c for ring.c and the hooks.
#ifndef HEAPTIDE_SESSION_H
#define HEAPTIDE_SESSION_H

#include "agent.h"

// Joins the session named by the environment, once; and again, as a process of its own, after a fork.
// True when the process is in a session (recording or paused).
bool ht_session_start(void);

// The memory of ring `index` in this process's mapping of the session, NULL if it cannot be had.
uint64_t *ht_session_ring(uint32_t index);

// For programs that record themselves, see late.c; no two at a time. Joins the session at `path`, whatever
// there was before: everything is sent anew. False: it cannot be had.
bool ht_session_join(const char *path);
// Whether this is a child by fork that has not taken part in its parent's session yet.
bool ht_session_is_parents(void);
// Goes on with it after ht.paused, as another process image: what was live before is not known any more.
bool ht_session_go_on(void);
// Gives back the memory of a session that has ended.
void ht_session_clear(void);

// Sends what the collector must know of this process before its first event: once a process image.
void ht_session_announce(ht_ctx *ctx);

// A private context for a thread that gets no ring, so that it can be told so.
ht_ctx *ht_session_quiet_context(void);

// The environment entries that make a program part of the session ("NAME=value"), empty when off.
// `ld_preload_path` is this library's own path.
const char *ht_session_variable(void);
const char *ht_session_library(void);

// --- sampling (sample.c)
void ht_sample_arm(ht_ctx *ctx);                  // draws the bytes until the next sample
bool ht_sample_alloc(ht_ctx *ctx, const void *p); // p is sampled: re-arms, remembers it
bool ht_sample_free(ht_ctx *ctx, const void *p);  // was p sampled? then forgets it

void ht_sample_after_fork(void);
void ht_sample_reset(void); // another recording begins: no block has been sampled

void ht_exec_resolve(void); // hooks_exec.c, in the constructor

#endif
