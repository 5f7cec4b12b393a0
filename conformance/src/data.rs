//! Bytes and paths for stores: equal in every run, distinct from one another.

use std::sync::LazyLock;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampan_driver::DriverPath;

/// `length` bytes that look random; another `seed` gives other bytes.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    // Numbers that nothing else has, each before bytes of the same noise: without optimisation, making each byte takes
    // seconds for the data of one clause, and copying none.
    static NOISE: LazyLock<Vec<u8>> =
        LazyLock::new(|| numbers(0).flat_map(u64::to_be_bytes).take(16 << 10).collect());
    let mut bytes = Vec::with_capacity(length);
    for number in numbers(seed) {
        let place = (number >> 32) as usize % (NOISE.len() / 2);
        for piece in [&number.to_be_bytes()[..], &NOISE[place..][..2 << 10]] {
            bytes.extend_from_slice(&piece[..piece.len().min(length - bytes.len())]);
        }
        if bytes.len() == length {
            break;
        }
    }
    bytes.into()
}

/// The numbers of a linear congruential generator.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let next = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(next(&seed.wrapping_mul(2).wrapping_add(1)), next)
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
