//! Helpers of the tests with real clients.

mod api_client;
mod containerd;
mod cut_line;
mod dockerd;
mod fixture;
mod flaky_proxy;
mod guarded;
mod held_line;
mod image;
mod nginx;
mod page;
mod process;
mod receiver;
mod registry;
mod store;
mod token_server;
mod tool;
mod wire;

pub(crate) use api_client::ApiClient;
pub(crate) use containerd::Containerd;
pub(crate) use cut_line::CutLine;
pub(crate) use dockerd::Dockerd;
pub(crate) use fixture::Fixture;
pub(crate) use flaky_proxy::{Fault, FlakyProxy, Sort};
pub(crate) use guarded::Guarded;
pub(crate) use held_line::HeldLine;
pub(crate) use image::{assert_same_blobs, copy, multi_platform_layout, oci_layout, random};
pub(crate) use nginx::Nginx;
pub(crate) use page::{assert_first_lines, blocks, write_program};
pub(crate) use process::Process;
pub(crate) use receiver::{Receiver, ReceiverMode};
pub(crate) use registry::{
    DEBIAN_SECRET, RegistryProcess, debian_registry, debian_registry_with, filesystem_config, registry,
    registry_command, write_config,
};
pub(crate) use store::{StoreServer, without_purge};
pub(crate) use token_server::TokenServer;
pub(crate) use tool::{fail, run, tool};
pub(crate) use wire::{Answer, Wire};
