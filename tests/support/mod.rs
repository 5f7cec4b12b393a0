//! Shared helpers: a registry in this process, a client for it, content to push, and stores that misbehave.

pub(crate) mod access;
pub(crate) mod bundle;
pub(crate) mod client;
pub(crate) mod dated_driver;
pub(crate) mod failing_driver;
pub(crate) mod image;
pub(crate) mod image_configs;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod upstream;

#[allow(dead_code, reason = "the tests of the client use the rest")]
#[path = "../../src/client/tests/hostile/server.rs"]
pub(crate) mod hostile_server;

pub(crate) use access::{access_section, policy_file};
pub(crate) use bundle::BundleFile;
pub(crate) use client::Answer;
pub(crate) use failing_driver::FailingDriver;
pub(crate) use server::{Server, Setup};
pub(crate) use store::StoreFiles;
pub(crate) use upstream::Upstream;
