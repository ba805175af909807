// jemalloc's interface over the toy allocator, with the prefix of the Rust bindings, and a use of each
// function. The marks are explained in truth.h.
//   -DUNFIT     one function begins in a way that cannot be moved elsewhere
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toy.h"

// As jemalloc has them.
#define ALIGN(flags) ((flags) == 0 ? 16 : (size_t)1 << ((flags) & 63))

void *_rjem_malloc(size_t size);
void *_rjem_calloc(size_t count, size_t size);
void *_rjem_realloc(void *old, size_t size);
void _rjem_free(void *p);
int _rjem_posix_memalign(void **to, size_t alignment, size_t size);
void *_rjem_aligned_alloc(size_t alignment, size_t size);
void *_rjem_memalign(size_t alignment, size_t size);
void *_rjem_valloc(size_t size);
size_t _rjem_malloc_usable_size(const void *p);
void *_rjem_mallocx(size_t size, int flags);
void *_rjem_rallocx(void *old, size_t size, int flags);
size_t _rjem_xallocx(void *old, size_t size, size_t extra, int flags);
void _rjem_dallocx(void *p, int flags);
void _rjem_sdallocx(void *p, size_t size, int flags);

ALONE void *_rjem_mallocx(size_t size, int flags) { return toy_get(size, ALIGN(flags)); }
ALONE void *_rjem_malloc(size_t size) { return _rjem_mallocx(size, 0); } // jumps on: needs no hook
ALONE void _rjem_dallocx(void *p, int flags) {
  memset(p, flags, toy_size(p) != 0);
}

#ifdef UNFIT
__asm__(
    ".globl _rjem_sdallocx\n"
    ".type _rjem_sdallocx, @function\n"
    "_rjem_sdallocx:\n"
    "  jrcxz 1f\n"
    "1: nopl 0(%rax)\n"
    "  mov %rdi, %rax\n"
    "  ret\n"
    ".size _rjem_sdallocx, . - _rjem_sdallocx\n");
#else
ALONE void _rjem_sdallocx(void *p, size_t size, int flags) {
  require(size == toy_size(p), "size of a freed block");
  _rjem_dallocx(p, flags);
}
#endif

ALONE void _rjem_free(void *p) {
  if (p != NULL) _rjem_dallocx(p, 0);
}

ALONE void *_rjem_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  void *p = _rjem_malloc(bytes);
  return p == NULL ? NULL : memset(p, 0, bytes);
}

ALONE void *_rjem_rallocx(void *old, size_t size, int flags) {
  void *p = _rjem_mallocx(size, flags);
  if (p == NULL) return NULL;
  memcpy(p, old, size < toy_size(old) ? size : toy_size(old));
  _rjem_dallocx(old, flags);
  return p;
}

ALONE void *_rjem_realloc(void *old, size_t size) {
  return old == NULL ? _rjem_malloc(size) : _rjem_rallocx(old, size, 0);
}

// In place only downwards.
ALONE size_t _rjem_xallocx(void *old, size_t size, size_t extra, int flags) {
  (void)extra, (void)flags;
  if (size > toy_size(old)) return toy_size(old);
  return ((size_t *)old)[-1] = size;
}

ALONE int _rjem_posix_memalign(void **to, size_t alignment, size_t size) {
  void *p = toy_get(size, alignment);
  if (p == NULL) return 12;
  *to = p;
  return 0;
}
ALONE void *_rjem_aligned_alloc(size_t alignment, size_t size) { return toy_get(size, alignment); }
ALONE void *_rjem_memalign(size_t alignment, size_t size) { return toy_get(size, alignment); }
ALONE void *_rjem_valloc(size_t size) { return toy_get(size, 4096); }
ALONE size_t _rjem_malloc_usable_size(const void *p) { return (toy_size(p) + 15) & ~(size_t)15; }

ALONE static void made_and_freed(void) {
  //@ made_and_freed
  for (int i = 0; i < 100; i++) {
    //= allocations=100 total_bytes=100*1000 alive_at_exit_bytes=0 temporary_allocations=100
    void *p = _rjem_malloc(1000);
    keep(p);
    _rjem_free(p);
    //= allocations=100 total_bytes=100*300 alive_at_exit_bytes=0 temporary_allocations=100
    void *q = _rjem_mallocx(300, 7);
    keep(q);
    require((uintptr_t)q % 128 == 0, "alignment");
    _rjem_sdallocx(q, 300, 7);
    //= allocations=100 total_bytes=100*21 alive_at_exit_bytes=0 temporary_allocations=100
    void *c = _rjem_calloc(3, 7);
    keep(c);
    _rjem_dallocx(c, 0);
  }
  _rjem_free(NULL);
}

ALONE static void aligned(void) {
  //@ aligned
  void *p;
  //= allocations=1 total_bytes=5000 alive_at_exit_bytes=5000
  require(_rjem_posix_memalign(&p, 64, 5000) == 0, "posix_memalign");
  //= allocations=1 total_bytes=640 alive_at_exit_bytes=640
  keep(_rjem_aligned_alloc(64, 640));
  //= allocations=1 total_bytes=641 alive_at_exit_bytes=641
  keep(_rjem_memalign(64, 641));
  //= allocations=1 total_bytes=642 alive_at_exit_bytes=642
  keep(_rjem_valloc(642));
}

ALONE static void chains(void) {
  //@ chains
  void *p[10];
  for (int i = 0; i < 10; i++)
    //= allocations=10 reallocations=0 total_bytes=10*8 alive_at_exit_bytes=0
    p[i] = _rjem_realloc(NULL, 8);
  for (int i = 0; i < 10; i++) {
    for (size_t size = 16; size <= 1024; size *= 2)
      //= allocations=0 reallocations=70 total_bytes=10*(2048-16) alive_at_exit_bytes=0
      p[i] = _rjem_realloc(p[i], size);
    //= allocations=0 reallocations=10 total_bytes=10*3000 alive_at_exit_bytes=10*3000
    p[i] = _rjem_rallocx(p[i], 3000, 0);
    keep(p[i]);
  }
}

ALONE static void in_place(void) {
  //@ in_place
  //= allocations=1 reallocations=0 total_bytes=9000
  void *p = _rjem_malloc(9000);
  keep(p);
  //= allocations=0 reallocations=1 total_bytes=4000 alive_at_exit_bytes=4000
  require(_rjem_xallocx(p, 4000, 0, 0) == 4000, "in place");
  //= allocations=0 reallocations=0 total_bytes=0 alive_at_exit_bytes=0
  require(_rjem_xallocx(p, 8000, 0, 0) == 4000, "not in place");
}

ALONE static void failing(void) {
  //@ failing
  //= allocations=0 total_bytes=0
  require(_rjem_malloc(TOY_BYTES) == NULL, "too much");
  //= allocations=0 total_bytes=0
  require(_rjem_calloc((size_t)1 << 40, (size_t)1 << 40) == NULL, "overflow");
  //= allocations=1 total_bytes=70 alive_at_exit_bytes=70
  void *p = _rjem_malloc(70);
  //= allocations=0 reallocations=0 total_bytes=0
  require(_rjem_realloc(p, TOY_BYTES) == NULL, "too much");
}

ALONE static void *in_thread(void *unused) {
  //@ in_thread
  for (int i = 0; i < 1000; i++) {
    //= allocations=4000 total_bytes=4000*48 alive_at_exit_bytes=0
    void *p = _rjem_malloc(48);
    keep(p);
    _rjem_free(p);
  }
  return unused;
}

ALONE static void in_child(void) {
  //@ in_child
  for (int i = 0; i < 20; i++) {
    //= allocations=20 total_bytes=20*555 alive_at_exit_bytes=0
    void *p = _rjem_malloc(555);
    keep(p);
    _rjem_free(p);
  }
}

ALONE static void hill(void) {
  //@ hill
  //= allocations=1 total_bytes=20000000 peak_bytes=20000000 alive_at_exit_bytes=0
  void *p = _rjem_malloc(20000000);
  keep(p);
  _rjem_free(p);
}

int main(void) {
  made_and_freed();
  aligned();
  chains();
  in_place();
  failing();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, in_thread, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  hill();
  pid_t child = fork();
  if (child == 0) {
    in_child();
    _exit(0);
  }
  int status = 0;
  require(waitpid(child, &status, 0) == child && status == 0, "child");
  puts("done");
  return 5;
}
