//! The in-memory storage driver: a sorted map of files that ends with the process.
//!
//! For tests, demonstrations and caches that may be lost. Reads copy nothing: they hand out slices of what was written.
//! Two maps, one of published and one of staged files, stand behind one lock that is only ever held for a look-up or a
//! page; content is shared out of it. Absent on purpose: persistence of any kind.

mod config;
mod content;
mod driver;
mod error;
mod size;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use config::InMemoryConfig;
pub use driver::InMemoryDriver;
pub use size::ByteSize;
