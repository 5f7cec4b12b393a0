//! Whether the registry can do its work: what is looked at, and what was seen.
//!
//! Absent on purpose: what an unhealthy registry answers (`http`, `debug`), and starting the checks (`app`).

mod board;

pub use self::board::Board;
