//! The filesystem storage driver: the driver path `/a/b` is the file `<rootdirectory>/a/b`.
//!
//! The directory is the one that Distribution's `filesystem` driver keeps, so either registry can serve it after the other.
//! Directories are made on demand; one that a finished upload or the collector has emptied is removed. An upload grows in place at
//! its staging path; a small file is written as `<name>.<uuid>.tmp` beside its place and renamed.
//! After a crash such a file may stay behind: it is listed and walked under its own name like any file, and never content.
//!
//! What is promised beyond the contract:
//!
//! - **Durability.** What `put_content`, `commit`, `rename`, `delete` or `delete_tree` acknowledged is on disk: the file, its name
//!   and every directory made on the way (modules `publish` and `directories`). Excepted are `PutMode::Transient` and `delete_all`,
//!   whose deletions `sync_deletions` makes durable.
//! - **A failed sync is final.** What could not be written down is removed and never published from memory, and the store takes
//!   no writes until the disk has shown that it writes again, or until a restart (module `trouble`).
//! - **What cannot be seen is not absent.** A walk names a directory that it must not read, and a link that leads nowhere.
//! - **Written out early.** A large upload goes to the disk while it comes, so that its commit waits for little (module `writeback`).
//! - **Confinement.** The kernel resolves each path beneath the opened root and refuses symbolic links that lead out (module `root`).
//!   A link inside the root works; the root itself may be one.
//! - **A vanished root is not an empty store.** If the root is unmounted, moved or replaced, a miss is `Unavailable`, not
//!   `NotFound`, and nothing is written to whatever took its place.
//! - **One writer a file.** A staged file is locked with `flock` while it is written; a second writer, in this process or another,
//!   gets `Unavailable` (module `staging`). Distribution does not lock; do not let both append to one upload.
//! - **Bounded threads.** At most `maxthreads` blocking calls run at once (module `pool`), and one that writes out; what the kernel
//!   has in memory is read without a thread at all (module `inline`).
//! - **Large directories are read once.** Their sorted entries are kept until they change (module `listings`).
//!
//! Linux only, for it leans on `openat2`, `renameat2` and `preadv2`; on an old kernel, or under a sandbox without them, slower
//! ways with the same results are taken.

#[cfg(not(target_os = "linux"))]
compile_error!("sampan-driver-filesystem needs Linux");

mod chunks;
mod config;
mod directories;
mod disk;
mod driver;
mod error;
#[cfg(test)]
mod failing_disk;
mod file;
mod list;
mod listings;
mod notes;
mod opened;
mod page_cache;
mod pool;
mod publish;
mod read;
mod readahead;
mod remove;
mod resolve_fallback;
mod root;
mod scan;
mod spelling;
mod staging;
mod store;
#[cfg(test)]
mod sync_counts;
mod sync_rule;
mod trouble;
mod walk;
mod writeback;
mod writer;

pub use config::FilesystemConfig;
pub use driver::FilesystemDriver;
