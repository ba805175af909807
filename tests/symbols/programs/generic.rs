// Functions with names that need demangling, and one that is inlined into another.
/// As std::hint::black_box, which Rust 1.63 does not have yet.
#[inline(always)]
fn black_box<T>(value: T) -> T {
    let seen = unsafe { std::ptr::read_volatile(&value) };
    std::mem::forget(value);
    seen
}

mod shop {
    pub struct Shelf<T, const N: usize>(pub [T; N]);

    impl<T: Clone, const N: usize> Shelf<T, N> {
        #[inline(never)]
        pub fn stock(&self) -> Vec<T> {
            crate::black_box(self.0.to_vec())
        }
    }

    #[inline(always)]
    pub fn inner(n: usize) -> Vec<u64> {
        Vec::with_capacity(n)
    }

    #[inline(never)]
    pub fn outer(n: usize) -> Vec<u64> {
        let mut v = inner(n);
        v.push(1);
        crate::black_box(v)
    }
}

fn main() {
    black_box(shop::Shelf([1u8; 7]).stock());
    black_box(shop::outer(10));
    let closure = |n: usize| -> String { black_box("x".repeat(n)) };
    black_box(closure(black_box(4)));
}
