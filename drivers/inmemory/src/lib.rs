//! The in-memory storage driver: a sorted map of files that ends with the process.
//!
//! For tests, demonstrations and caches that may be lost. Reads copy nothing: they return slices of the
//! written chunks. One lock, held only for a look-up or a page, protects two maps, of published and of staged
//! files. Absent on purpose: persistence of any kind.

mod config;
mod content;
mod driver;
mod error;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use config::InMemoryConfig;
pub use driver::InMemoryDriver;
