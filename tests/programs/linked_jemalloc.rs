// truth.rs on jemalloc, as the usual bindings call it. Its marks are to hold unchanged.
use std::alloc::{GlobalAlloc, Layout};
use std::os::raw::{c_int, c_void};

extern "C" {
    fn _rjem_malloc(size: usize) -> *mut c_void;
    fn _rjem_mallocx(size: usize, flags: c_int) -> *mut c_void;
    fn _rjem_calloc(count: usize, size: usize) -> *mut c_void;
    fn _rjem_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn _rjem_rallocx(old: *mut c_void, size: usize, flags: c_int) -> *mut c_void;
    fn _rjem_sdallocx(p: *mut c_void, size: usize, flags: c_int);
}

const ZERO: c_int = 0x40;

fn flags_of(layout: Layout) -> c_int {
    if layout.align() <= 16 && layout.align() <= layout.size() {
        0
    } else {
        layout.align().trailing_zeros() as c_int
    }
}

struct Jemalloc;

unsafe impl GlobalAlloc for Jemalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let p = match flags_of(layout) {
            0 => _rjem_malloc(layout.size()),
            flags => _rjem_mallocx(layout.size(), flags),
        };
        p.cast()
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let p = match flags_of(layout) {
            0 => _rjem_calloc(1, layout.size()),
            flags => _rjem_mallocx(layout.size(), flags | ZERO),
        };
        p.cast()
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        _rjem_sdallocx(p.cast(), layout.size(), flags_of(layout));
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let new = Layout::from_size_align_unchecked(size, layout.align());
        let p = match flags_of(new) {
            0 => _rjem_realloc(p.cast(), size),
            flags => _rjem_rallocx(p.cast(), size, flags),
        };
        p.cast()
    }
}

#[global_allocator]
static GLOBAL: Jemalloc = Jemalloc;

include!("truth.rs");
