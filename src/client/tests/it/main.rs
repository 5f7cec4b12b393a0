//! The client against servers in this process, most of them hostile.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

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
