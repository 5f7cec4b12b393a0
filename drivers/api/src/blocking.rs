//! Threads that may wait.
//!
//! The threads of an asynchronous runtime run many tasks each and must not wait for a disk, so a driver goes to threads of its
//! own for that. The way there and back costs more than a look at something that is in memory. Who has a thread to himself, and
//! has thousands of things to look at, can spare his driver that way.

use std::cell::Cell;

thread_local! {
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on this thread, which may wait meanwhile: nobody else is held up by that.
///
/// What a driver is asked for in `work`, it may do right here. It need not, and the answers are the same.
pub fn allow_blocking<T>(work: impl FnOnce() -> T) -> T {
    /// Also when `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_PATIENT.set(self.0);
        }
    }
    let _before = Before(IS_PATIENT.replace(true));
    work()
}

/// Whether this thread may wait, for drivers.
pub fn may_block() -> bool {
    IS_PATIENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_patient_for_as_long_as_it_was_said_to_be() {
        assert!(!may_block());
        assert!(allow_blocking(|| allow_blocking(may_block) && may_block()));
        assert!(!may_block());
        assert!(std::panic::catch_unwind(|| allow_blocking(|| panic!("as tests do"))).is_err());
        assert!(!may_block());
    }
}
