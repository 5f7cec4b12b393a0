//! The integration tests, one binary. This list is the table of contents.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy takes helpers for product code; in a test, to panic is to say what is wrong"
)]

mod cache;
mod cli;
mod clients;
mod config;
mod fuzz;
mod http;
mod serve;
mod snapshots;
mod support;
mod sync;
mod tidy;
mod uploads;
