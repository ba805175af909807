// Rust, std only: boxes, vectors that grow, strings, counted references, threads, panics.
// The marks are explained in truth.h.
use std::rc::Rc;

/// As std::hint::black_box, which Rust 1.63 does not have yet.
#[inline(always)]
fn black_box<T>(value: T) -> T {
    let seen = unsafe { std::ptr::read_volatile(&value) };
    std::mem::forget(value);
    seen
}

#[inline(never)]
fn box_one() {
    //@ box_one
    for i in 0..40u64 {
        //= allocations=40 total_bytes=40*72 alive_at_exit_bytes=0 temporary_allocations=40
        let b = Box::new([i; 9]);
        black_box(&b);
    }
}

#[inline(never)]
fn box_leaked() {
    //@ box_leaked
    for i in 0..10u64 {
        //= allocations=10 total_bytes=10*128 alive_at_exit_bytes=10*128
        let b = Box::new([i; 16]);
        black_box(Box::leak(b));
    }
}

// 4, 8 ... 1024 elements of 8 bytes: one allocation, eight reallocations.
#[inline(never)]
fn vec_growth() -> Vec<u64> {
    //@ vec_growth
    let mut v: Vec<u64> = Vec::new();
    for i in 0..1000u64 {
        //= allocations=1 reallocations=8 total_bytes=8*2044 alive_at_exit_bytes=0
        v.push(black_box(i));
    }
    v
}

#[inline(never)]
fn vec_reserved() {
    //@ vec_reserved
    for _ in 0..20 {
        //= allocations=20 reallocations=0 total_bytes=20*400 alive_at_exit_bytes=0
        let mut v: Vec<u32> = Vec::with_capacity(100);
        v.extend(0..100u32);
        black_box(&v);
    }
}

#[inline(never)]
fn vec_zeroed() {
    //@ vec_zeroed
    for _ in 0..5 {
        //= allocations=5 total_bytes=5*3000 alive_at_exit_bytes=0
        let v = vec![0u8; black_box(3000)];
        black_box(&v);
    }
}

#[inline(never)]
fn vec_shrunk() -> Vec<u8> {
    //@ vec_shrunk
    //= allocations=1 total_bytes=4000
    let mut v: Vec<u8> = Vec::with_capacity(4000);
    v.extend_from_slice(&[1u8; 100]);
    //= allocations=0 reallocations=1 total_bytes=100 alive_at_exit_bytes=100
    v.shrink_to_fit();
    v
}

#[inline(never)]
fn string_clone(text: &str) {
    //@ string_clone
    for _ in 0..30 {
        //= allocations=30 total_bytes=30*26 alive_at_exit_bytes=0 temporary_allocations=30
        let s = text.to_owned();
        black_box(&s);
    }
}

// Two counters of 8 bytes in front of the value.
#[inline(never)]
fn counted() {
    //@ counted
    for i in 0..25u64 {
        //= allocations=25 total_bytes=25*48 alive_at_exit_bytes=0
        let a = Rc::new([i; 4]);
        //= allocations=0
        let b = Rc::clone(&a);
        black_box((&a, &b));
    }
}

#[repr(align(128))]
#[derive(Clone, Copy)]
struct Aligned([u8; 256]);

#[inline(never)]
fn aligned() {
    //@ aligned
    for i in 0..15u8 {
        //= allocations=15 total_bytes=15*256 alive_at_exit_bytes=0
        let b = Box::new(Aligned([i; 256]));
        assert_eq!(b.0.as_ptr() as usize % 128, 0);
        black_box(&b);
    }
}

// A type of its own for each call: the compiler makes two functions of one name.
#[inline(never)]
fn generic<T: Copy>(value: T) {
    //@ generic
    //= allocations=2 total_bytes=24+48 alive_at_exit_bytes=24+48
    let v = Box::new([value; 3]);
    black_box(Box::leak(v));
}

trait Shape {
    fn draw(&self);
}

struct Circle;

impl Shape for Circle {
    #[inline(never)]
    fn draw(&self) {
        //@ draw
        //= allocations=6 total_bytes=6*333 alive_at_exit_bytes=0
        let b = Box::new([7u8; 333]);
        black_box(&b);
    }
}

#[inline(never)]
fn in_thread() {
    //@ in_thread
    for i in 0..100u64 {
        //= allocations=4*100 total_bytes=4*100*88 alive_at_exit_bytes=4*100*88
        let b = Box::new([i; 11]);
        black_box(Box::leak(b));
    }
}

#[inline(never)]
fn before_panic() {
    //@ before_panic partly
    //= allocations=3 total_bytes=3*444 alive_at_exit_bytes=0
    let b = Box::new([1u8; 444]);
    black_box(&b);
    panic!("on purpose");
}

fn main() {
    box_one();
    box_leaked();
    std::mem::drop(black_box(vec_growth()));
    vec_reserved();
    vec_zeroed();
    std::mem::forget(black_box(vec_shrunk()));
    string_clone(black_box("twenty-six characters, yes"));
    counted();
    aligned();
    generic(1u64);
    generic(1u128);
    let shape: Box<dyn Shape> = black_box(Box::new(Circle));
    for _ in 0..6 {
        shape.draw();
    }
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(in_thread)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..3 {
        assert!(std::panic::catch_unwind(before_panic).is_err());
    }
}
