//! Threads that may block.
//!
//! A thread of an asynchronous runtime runs many tasks and must not wait for a disk, so a driver moves such
//! work to threads of its own. The round trip costs more than reading something that is in memory. A caller
//! that owns its thread, and has thousands of things to read, can save the driver that trip.

use std::cell::Cell;

thread_local! {
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on this thread and lets drivers block it: no other task waits for it.
///
/// Driver calls in `work` may run right here. They need not, and their results are the same.
pub fn allow_blocking<T>(work: impl FnOnce() -> T) -> T {
    /// Restores the flag also when `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_PATIENT.set(self.0);
        }
    }
    let _before = Before(IS_PATIENT.replace(true));
    work()
}

/// Whether drivers may block this thread.
pub fn may_block() -> bool {
    IS_PATIENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_may_block_only_within_allow_blocking() {
        assert!(!may_block());
        assert!(allow_blocking(|| allow_blocking(may_block) && may_block()));
        assert!(!may_block());
        assert!(std::panic::catch_unwind(|| allow_blocking(|| panic!("as tests do"))).is_err());
        assert!(!may_block());
    }
}
