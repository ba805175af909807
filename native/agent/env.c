// This library and the program's environment.
#define _GNU_SOURCE
#include <link.h>

#include "hooks.h"
#include "session.h"

bool ht_starts_with(const char *text, const char *prefix) {
  for (; *prefix != 0; text++, prefix++) {
    if (*text != *prefix) return false;
  }
  return true;
}

static size_t length_of(const char *text) {
  size_t n = 0;
  while (text[n] != 0) n++;
  return n;
}

void ht_own_path(char *to, size_t room) {
  struct dl_find_object found;
  to[0] = 0;
  if (_dl_find_object((void *)(uintptr_t)&ht_own_path, &found) != 0) return;
  const char *name = found.dlfo_link_map->l_name;
  size_t length = length_of(name);
  if (length >= room) return;
  for (size_t i = 0; i <= length; i++) to[i] = name[i];
}

static bool is_library(const char *from, const char *to) {
  static const char name[] = "libheaptide.so";
  size_t length = sizeof name - 1;
  if ((size_t)(to - from) < length) return false;
  return ht_starts_with(to - length, name);
}

char *ht_without_library(char *entry) {
  char *value = entry + sizeof "LD_PRELOAD=" - 1, *out = value;
  for (char *from = value; *from != 0;) {
    char *end = from;
    while (*end != 0 && *end != ':' && *end != ' ') end++;
    if (end > from && !is_library(from, end)) {
      if (out != value) *out++ = ':';
      while (from < end) *out++ = *from++;
    }
    from = *end == 0 ? end : end + 1;
  }
  *out = 0;
  return out == value ? NULL : entry;
}

// ------------------------------------------------------------------------------------ exec

static bool has(char *const *envp, const char *prefix) {
  for (; envp != NULL && *envp != NULL; envp++) {
    if (ht_starts_with(*envp, prefix)) return true;
  }
  return false;
}

static const char *preload_of(char *const *envp) {
  for (; envp != NULL && *envp != NULL; envp++) {
    if (ht_starts_with(*envp, "LD_PRELOAD=")) return *envp + sizeof "LD_PRELOAD=" - 1;
  }
  return "";
}

ht_environment ht_environment_measure(char *const *envp) {
  ht_environment size = {0, 0};
  // Somebody who names a session, or heads for another recorder, knows what to do.
  if (*ht_session_variable() == 0 || *ht_session_library() == 0) return size;
  if (has(envp, "HEAPTIDE_SESSION=")) return size;
  while (envp != NULL && envp[size.entries] != NULL) size.entries++;
  size.entries += 3;
  size.preload_bytes =
      sizeof "LD_PRELOAD=" + length_of(ht_session_library()) + 1 + length_of(preload_of(envp));
  return size;
}

char **ht_environment_build(char *const *envp, ht_environment size, char **array, char *preload) {
  (void)size;
  char **to = array;
  *to++ = (char *)ht_session_variable();
  char *out = preload;
  for (const char *p = "LD_PRELOAD="; *p != 0;) *out++ = *p++;
  for (const char *p = ht_session_library(); *p != 0;) *out++ = *p++;
  const char *others = preload_of(envp);
  if (*others != 0) *out++ = ':';
  while (*others != 0) *out++ = *others++;
  *out = 0;
  *to++ = preload;
  for (; envp != NULL && *envp != NULL; envp++) {
    if (!ht_starts_with(*envp, "LD_PRELOAD=")) *to++ = *envp;
  }
  *to = NULL;
  return array;
}
