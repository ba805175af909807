// A library whose functions make a known number of allocations of known sizes.
use std::hint::black_box;

/// `count` boxes of 64 bytes, in a vector of the right size.
#[no_mangle]
pub extern "C" fn boxes(count: usize) {
    let mut all: Vec<Box<[u8; 64]>> = Vec::with_capacity(count);
    for i in 0..count {
        all.push(Box::new([i as u8; 64]));
    }
    black_box(&all);
}
