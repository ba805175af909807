// mimalloc's interface over the toy allocator: what the Rust bindings call, and more.
#include "toy.h"

void *mi_malloc(size_t size);
void *mi_malloc_aligned(size_t size, size_t alignment);
void *mi_zalloc_aligned(size_t size, size_t alignment);
void *mi_calloc(size_t count, size_t size);
void *mi_realloc_aligned(void *old, size_t size, size_t alignment);
void *mi_reallocf(void *old, size_t size);
void *mi_expand(void *old, size_t size);
void *mi_recalloc(void *old, size_t count, size_t size);
void *mi_heap_malloc(void *heap, size_t size);
void *mi_heap_calloc(void *heap, size_t count, size_t size);
void *mi_heap_realloc(void *heap, void *old, size_t size);
char *mi_strdup(const char *text);
void mi_free(void *p);
void mi_free_size_aligned(void *p, size_t size, size_t alignment);

ALONE void *mi_heap_malloc(void *heap, size_t size) {
  keep(heap);
  return toy_get(size, 16);
}
ALONE void *mi_malloc(size_t size) { return mi_heap_malloc(NULL, size); }
ALONE void *mi_malloc_aligned(size_t size, size_t alignment) { return toy_get(size, alignment); }
ALONE void *mi_zalloc_aligned(size_t size, size_t alignment) {
  void *p = mi_malloc_aligned(size, alignment);
  return p == NULL ? NULL : memset(p, 0, size);
}
ALONE void *mi_heap_calloc(void *heap, size_t count, size_t size) {
  void *p = mi_heap_malloc(heap, count * size);
  return p == NULL ? NULL : memset(p, 0, count * size);
}
ALONE void *mi_calloc(size_t count, size_t size) { return mi_heap_calloc(NULL, count, size); }
ALONE void mi_free(void *p) { keep(p); }
ALONE void mi_free_size_aligned(void *p, size_t size, size_t alignment) {
  require(toy_size(p) == size && (uintptr_t)p % alignment == 0, "a freed block");
  mi_free(p);
}
ALONE void *mi_realloc_aligned(void *old, size_t size, size_t alignment) {
  void *p = mi_malloc_aligned(size, alignment);
  if (p == NULL) return NULL;
  memcpy(p, old, size < toy_size(old) ? size : toy_size(old));
  mi_free(old);
  return p;
}
ALONE void *mi_heap_realloc(void *heap, void *old, size_t size) {
  keep(heap);
  return mi_realloc_aligned(old, size, 16);
}
ALONE void *mi_reallocf(void *old, size_t size) {
  void *p = mi_heap_realloc(NULL, old, size);
  if (p == NULL) mi_free(old);
  return p;
}
ALONE void *mi_recalloc(void *old, size_t count, size_t size) {
  return mi_heap_realloc(NULL, old, count * size);
}
ALONE void *mi_expand(void *old, size_t size) { return size <= toy_size(old) ? old : NULL; }
ALONE char *mi_strdup(const char *text) {
  char *p = mi_malloc(strlen(text) + 1);
  return p == NULL ? NULL : strcpy(p, text);
}

ALONE static void as_in_rust(void) {
  //@ as_in_rust
  for (int i = 0; i < 50; i++) {
    //= allocations=50 total_bytes=50*400 alive_at_exit_bytes=0
    void *p = mi_malloc_aligned(400, 8);
    keep(p);
    //= allocations=50 total_bytes=50*256 alive_at_exit_bytes=0
    void *z = mi_zalloc_aligned(256, 128);
    keep(z);
    //= allocations=0 reallocations=50 total_bytes=50*800 alive_at_exit_bytes=0
    p = mi_realloc_aligned(p, 800, 8);
    keep(p);
    mi_free_size_aligned(z, 256, 128);
    mi_free(p);
  }
}

ALONE static void in_a_heap(void *heap) {
  //@ in_a_heap
  //= allocations=1 total_bytes=100
  void *p = mi_heap_malloc(heap, 100);
  //= allocations=0 reallocations=1 total_bytes=200 alive_at_exit_bytes=200
  keep(mi_heap_realloc(heap, p, 200));
  //= allocations=1 total_bytes=3*11 alive_at_exit_bytes=3*11
  keep(mi_heap_calloc(heap, 3, 11));
}

ALONE static void others(void) {
  //@ others
  //= allocations=1 total_bytes=12 alive_at_exit_bytes=12
  keep(mi_strdup("eleven char"));
  //= allocations=1 total_bytes=60
  void *p = mi_malloc(60);
  //= allocations=0 reallocations=1 total_bytes=50
  require(mi_expand(p, 50) == p, "expand");
  //= allocations=0 reallocations=0 total_bytes=0
  require(mi_expand(p, 500) == NULL, "expand too far");
  //= allocations=0 reallocations=1 total_bytes=7*70 alive_at_exit_bytes=0
  p = mi_recalloc(p, 7, 70);
  //= allocations=0 reallocations=0 total_bytes=0
  require(mi_reallocf(p, TOY_BYTES) == NULL, "too much, and freed");
  //= allocations=1 total_bytes=9 alive_at_exit_bytes=9
  keep(mi_calloc(3, 3));
}

int main(void) {
  as_in_rust();
  in_a_heap(&toy_end);
  others();
  return 0;
}
