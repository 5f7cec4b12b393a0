//! Bytes and paths for stores: equal in every run, distinct from one another.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampan_driver::DriverPath;

/// `length` bytes that look random; another `seed` gives other bytes.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    // A linear congruential generator: without optimisation, the standard one takes seconds for the data of one clause.
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&((state >> 32) as u32).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// A source of repeatable choices.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Parses a path literal of a clause.
///
/// # Panics
///
/// When it is invalid, which is a bug of the clause.
#[track_caller]
pub(crate) fn path(text: &str) -> DriverPath {
    match text.parse() {
        Ok(path) => path,
        Err(error) => panic!("{error}"),
    }
}

/// `count` different paths below `top`, none a prefix of another, with names that are easy to sort wrongly.
pub(crate) fn tree(seed: u64, top: &str, count: usize) -> Vec<String> {
    let mut rng = rng(seed);
    let mut paths: Vec<String> = Vec::new();
    while paths.len() < count {
        let depth = rng.random_range(1..=4);
        let mut path = top.to_owned();
        for _ in 0..depth {
            path.push('/');
            path.push_str(NAMES[rng.random_range(0..NAMES.len())]);
        }
        let clashes = |other: &String| {
            *other == path || other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
        };
        if !paths.iter().any(clashes) {
            paths.push(path);
        }
    }
    paths
}

/// Names around `a` whose order changes with a trailing slash, and others.
pub(crate) const NAMES: &[&str] = &[
    "a", "a-", "a-b", "a-b.c", "a.", "a.b", "a.b-c", "a0", "aa", "ab", "A", "B", "Z", "_a", "-a", ".a", "0",
    "b", "a-b-c", "z", "zz",
];
