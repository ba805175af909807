// Rust, std only: strings, hash maps, vectors that grow. usage: rust_churn ROUNDS
use std::collections::HashMap;
use std::time::Instant;

#[inline(never)]
fn build_words(seed: u64, n: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut x = seed | 1;
    for i in 0..n {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        words.push(format!("word-{}-{}", x & 0xffff, i & 7));
    }
    words
}

#[inline(never)]
fn count(words: &[String]) -> HashMap<String, Vec<u32>> {
    let mut found: HashMap<String, Vec<u32>> = HashMap::new();
    for (i, word) in words.iter().enumerate() {
        found.entry(word.clone()).or_default().push(i as u32);
    }
    found
}

#[inline(never)]
fn grow(n: usize) -> usize {
    let mut numbers: Vec<u64> = Vec::new();
    for i in 0..n {
        numbers.push(i as u64);
    }
    numbers.len()
}

fn main() {
    let rounds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(30);
    let start = Instant::now();
    let mut keep: Vec<HashMap<String, Vec<u32>>> = Vec::new();
    let mut total = 0usize;
    for round in 0..rounds {
        let words = build_words(round.wrapping_mul(0x9E3779B97F4A7C15).wrapping_add(1), 60_000);
        let found = count(&words);
        total += found.len();
        for i in 0..200 {
            total += grow(i * 10);
        }
        if round % 16 == 0 {
            keep.push(found);
        }
    }
    // One thread: its CPU time is its wall clock, but for what the machine takes away.
    let wall = start.elapsed().as_secs_f64();
    eprintln!("benchmark {{\"wall\": {wall:.6}, \"operations\": {rounds}}}");
    println!("{} {}", total, keep.len());
    std::mem::forget(keep);
}
