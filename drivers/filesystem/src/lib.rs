//! The filesystem storage driver: the driver path `/a/b` is the file `<rootdirectory>/a/b`.
//!
//! The directory is that of Distribution's `filesystem` driver, so either registry can serve it after the
//! other. Directories are created on demand; one that a finished upload or the collector has emptied is
//! removed. An upload grows in place at its staging path; a small file is written as `<name>.<uuid>.tmp`
//! beside its target and renamed. After a crash such a file may remain: listings and walks show it under its
//! own name like any file, but it is never content.
//!
//! Guarantees beyond the contract:
//!
//! - **Durability.** Acknowledged calls of `put_content`, `commit`, `rename`, `delete` and `delete_tree` are on disk: the
//!   file, its name and every new parent directory (modules `publish` and `directories`). Exceptions are
//!   `PutMode::Transient` and `delete_all`, whose deletions `sync_deletions` makes durable.
//! - **A failed sync is final.** Content that did not reach the disk is removed and never published from memory, and the
//!   store accepts no writes until the disk has proven that it writes again, or until a restart (module `trouble`).
//! - **Invisible is not absent.** A walk reports an unreadable directory and a dangling link.
//! - **Early writeback.** A large upload goes to the disk while it arrives, so that its commit waits for little (module
//!   `writeback`).
//! - **Confinement.** The kernel resolves each path beneath the opened root and refuses symbolic links that lead out
//!   (module `root`). A link inside the root works; the root itself may be one.
//! - **A vanished root is not an empty store.** If the root is unmounted, moved or replaced, a miss is `Unavailable`, not
//!   `NotFound`, and nothing is written to its replacement.
//! - **One writer per file.** A staged file is locked with `flock` while it is written; a second writer, in this process
//!   or another, gets `Unavailable` (module `staging`). Distribution does not lock; do not let both append to one upload.
//! - **Bounded threads.** At most `maxthreads` blocking calls run at once (module `pool`), and one for writeback. Content
//!   in the page cache is read without a thread (module `page_cache`).
//! - **Large directories are read once.** Their sorted entries are kept until they change (module `listings`).
//!
//! Linux only, because it relies on `openat2`, `renameat2` and `preadv2`. On an old kernel, or in a sandbox
//! without them, it uses slower methods with the same results.

#[cfg(not(target_os = "linux"))]
compile_error!("sampan-driver-filesystem needs Linux");

mod chunks;
mod config;
mod directories;
mod disk;
mod disk_problem;
mod driver;
mod error;
#[cfg(test)]
mod failing_disk;
mod file;
mod list;
mod listings;
mod notes;
mod once;
mod page_cache;
mod pool;
mod pooled_buffer;
mod publish;
mod read;
mod readahead;
mod remove;
mod resolve_fallback;
mod root;
mod scan;
mod shared_file;
mod spelling;
mod staging;
mod store;
#[cfg(test)]
mod sync_counts;
mod sync_rule;
mod view;
mod walk;
mod workers;
mod writeback;
mod writer;

pub use config::FilesystemConfig;
pub use driver::FilesystemDriver;
