//! The client against servers in this process, most of them hostile.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod blobs;
mod credentials;
mod fake_registry;
mod lists;
mod login;
mod manifests;
mod proxy;
mod redirects;
mod retries;
mod server;
mod support;
mod tls;
mod uploads;
