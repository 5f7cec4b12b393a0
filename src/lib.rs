#![doc = include_str!("../docs/architecture.md")]

pub mod cli;

pub mod app;
pub mod config;
pub mod descriptors;
pub mod drivers;

pub mod auth;
pub mod debug;
pub mod health;
pub mod http;
pub mod middleware;
pub mod serve;

mod chain;
pub mod collector;
pub mod files;
pub mod inventory;
pub mod notify;
pub mod outbound;
pub mod shown_url;
pub mod telemetry;
#[cfg(test)]
mod test_log;
