// C++: every operator new and delete, exceptions, containers, strings, thread_local destructors.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define ALONE __attribute__((noipa))

namespace {

template <typename T>
void keep(T *p) {
  __asm__ volatile("" : : "r"(p) : "memory");
}

struct Plain {
  char bytes[72];
};

struct alignas(256) Wide {
  char bytes[512];
};

struct Counted {
  Counted() { value = 7; }
  ~Counted() { value = 0; }
  volatile int value;
};

ALONE void new_single() {
  //@ new_single
  for (int i = 0; i < 40; i++) {
    //= allocations=40 total_bytes=40*72 alive_at_exit_bytes=0 temporary_allocations=40
    auto *p = new Plain;
    keep(p);
    delete p;
  }
}

ALONE void new_array() {
  //@ new_array
  for (int i = 0; i < 40; i++) {
    //= allocations=40 total_bytes=40*216 alive_at_exit_bytes=0 temporary_allocations=40
    auto *p = new Plain[3];
    keep(p);
    delete[] p;
  }
}

// An array of objects with destructors carries its length in front: 8 bytes.
ALONE void new_counted() {
  //@ new_counted
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*28 alive_at_exit_bytes=0
    auto *p = new Counted[5];
    keep(p);
    delete[] p;
  }
}

ALONE void new_aligned() {
  //@ new_aligned
  for (int i = 0; i < 20; i++) {
    //= allocations=20 total_bytes=20*512 alive_at_exit_bytes=0 temporary_allocations=20
    auto *p = new Wide;
    if (reinterpret_cast<uintptr_t>(p) % 256 != 0) abort();
    keep(p);
    delete p;
    //= allocations=20 total_bytes=20*1024 alive_at_exit_bytes=0 temporary_allocations=20
    auto *q = new Wide[2];
    keep(q);
    delete[] q;
  }
}

ALONE void new_nothrow() {
  //@ new_nothrow
  for (int i = 0; i < 30; i++) {
    //= allocations=30 total_bytes=30*72 alive_at_exit_bytes=30*72
    auto *p = new (std::nothrow) Plain;
    keep(p);
    //= allocations=30 total_bytes=30*512 alive_at_exit_bytes=0
    auto *q = new (std::nothrow) Wide;
    keep(q);
    delete q;
  }
}

volatile size_t too_large = SIZE_MAX / 4;

// What libstdc++ allocates to throw is there, and is freed.
ALONE void new_failing() {
  //@ new_failing
  for (int i = 0; i < 5; i++) {
    //= alive_at_exit_bytes=0 alive_at_exit_allocations=0
    char *p = new (std::nothrow) char[too_large];
    if (p != nullptr) abort();
    try {
      //= alive_at_exit_bytes=0 alive_at_exit_allocations=0
      p = new char[too_large];
      abort();
    } catch (const std::bad_alloc &) {
    }
  }
}

ALONE void calls_of_operators() {
  //@ calls_of_operators
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=1230 alive_at_exit_bytes=0
    void *p = ::operator new(123);
    keep(p);
    ::operator delete(p, 123);
    //= allocations=10 total_bytes=1280 alive_at_exit_bytes=0
    void *q = ::operator new[](128, std::align_val_t(64));
    keep(q);
    ::operator delete[](q, std::align_val_t(64));
    char place[64];
    //= allocations=0
    auto *r = new (place) Counted;
    keep(r);
  }
}

// 1, 2, 4 ... 1024 elements of 8 bytes: eleven blocks, the last of which stays.
ALONE void vector_growth(std::vector<uint64_t> *v) {
  //@ vector_growth
  for (uint64_t i = 0; i < 1000; i++) {
    //= allocations=11 total_bytes=8*2047 alive_at_exit_bytes=8*1024 alive_at_exit_allocations=1
    v->push_back(i);
  }
}

ALONE void strings() {
  //@ strings
  for (int i = 0; i < 25; i++) {
    //= allocations=0
    std::string small(15, 'x');
    keep(&small);
    //= allocations=25 total_bytes=25*101 alive_at_exit_bytes=0 temporary_allocations=25
    std::string large(100, 'x');
    keep(&large);
  }
}

ALONE void throws_one() {
  //@ throws_one
  //= allocations=12*2 alive_at_exit_bytes=0
  throw std::runtime_error("a message that is longer than any small string");
}

ALONE void exceptions() {
  for (int i = 0; i < 12; i++) {
    try {
      throws_one();
    } catch (const std::runtime_error &) {
    }
  }
}

struct Owner {
  void *p = nullptr;
  ~Owner() { release(); }
  ALONE void release();
};

ALONE void Owner::release() {
  //@ Owner::release
  free(p);
  //= allocations=8 total_bytes=8*31 alive_at_exit_bytes=8*31
  void *q = malloc(31);
  keep(q);
}

thread_local Owner owner;

ALONE void own() {
  //@ own
  //= allocations=8 total_bytes=8*32 alive_at_exit_bytes=0
  owner.p = malloc(32);
  keep(owner.p);
}

ALONE void thread_locals() {
  for (int i = 0; i < 8; i++) std::thread(own).join();
}

ALONE void shared() {
  //@ shared
  for (int i = 0; i < 10; i++) {
    //= allocations=10 alive_at_exit_bytes=0
    auto p = std::make_shared<Plain>();
    keep(p.get());
    //= allocations=10 total_bytes=720 alive_at_exit_bytes=0
    auto q = std::unique_ptr<Plain>(new Plain);
    keep(q.get());
  }
}

} // namespace

int main() {
  new_single();
  new_array();
  new_counted();
  new_aligned();
  new_nothrow();
  new_failing();
  calls_of_operators();
  auto *kept = new std::vector<uint64_t>;
  vector_growth(kept);
  keep(kept);
  strings();
  exceptions();
  thread_locals();
  shared();
  return 0;
}
