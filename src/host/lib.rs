//! What the operating system gives: threads that may block, and files that are watched and replaced.

pub mod atomic_write;
pub mod blocking;
pub mod file_watch;
