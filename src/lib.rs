#![doc = include_str!("../docs/architecture.md")]

pub mod cli;

pub use sampan_config as config;

pub mod app;
pub mod decorators;
pub mod drivers;
pub mod redis_cache;

pub mod auth;
pub mod debug;
pub mod health;
pub mod http;
pub use sampan_serve as serve;

pub use sampan_host::{atomic_write, blocking, file_watch};
pub mod inventory;
mod json_line;
mod line_queue;
pub mod maintenance;
pub mod notify;
pub mod telemetry;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
mod test_log;

pub use sampan_client::http_client;
