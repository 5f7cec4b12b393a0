//! `Trials`: how long completing waits for an upstream that must not be asked now. One bad image can be the cause, and the next
//! image may be good.
//!
//! Each image waits once, and after a few in a row the rest fails at once: an upstream that is away delays them no longer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::{CacheError, Result};
use crate::handling::Handling;
use crate::upstream::Upstream;

/// The trials at an upstream, of all images.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// One fetch at a time waits; its outcome counts for the others.
    turn: tokio::sync::Mutex<()>,
    /// The images that waited without success since the last success.
    in_vain: AtomicU32,
}

impl Trials {
    /// Forgets the failed waits: another run begins.
    pub(crate) fn renew(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
    }
}

/// The number of images in a row that wait without success before the rest is given up.
const MAX_FAILED_IMAGES: u32 = 8;
/// The waits of one trial: requests of clients may find out first.
const MAX_WAITS: usize = 4;

/// The fetches of one image.
#[derive(Debug)]
pub(crate) struct ImageTrials<'a> {
    upstream: &'a Upstream,
    is_over: AtomicBool,
}

impl<'a> ImageTrials<'a> {
    pub(crate) fn new(upstream: &'a Upstream) -> Self {
        Self { upstream, is_over: AtomicBool::new(false) }
    }

    /// Runs `fetch`. If the upstream must not be asked now, runs `fetch` again when it may.
    ///
    /// # Errors
    ///
    /// As `fetch`; also if the upstream must not be asked now and earlier waits were without success.
    pub(crate) async fn fetch<T, F: Future<Output = Result<T>>>(&self, fetch: impl Fn() -> F) -> Result<T> {
        let trials = &self.upstream.trials;
        let mut fetched = fetch().await;
        if is_left_alone(&fetched) {
            let _turn = trials.turn.lock().await;
            for _ in 0..MAX_WAITS {
                if !is_left_alone(&fetched) || self.is_over(trials) {
                    break;
                }
                self.upstream.wait_while_left_alone().await;
                fetched = fetch().await;
            }
            if self.upstream.is_away() && !self.is_over.swap(true, Ordering::Relaxed) {
                trials.in_vain.fetch_add(1, Ordering::Relaxed);
            }
        }
        if fetched.is_ok() {
            trials.renew();
        }
        fetched
    }

    fn is_over(&self, trials: &Trials) -> bool {
        self.is_over.load(Ordering::Relaxed) || trials.in_vain.load(Ordering::Relaxed) >= MAX_FAILED_IMAGES
    }
}

/// Whether the upstream was not asked, since it counts as away.
fn is_left_alone<T>(fetched: &Result<T>) -> bool {
    matches!(fetched, Err(CacheError::Away { handling: Handling::AWAY, .. }))
}
