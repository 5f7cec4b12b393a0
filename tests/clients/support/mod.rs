//! What the tests with real clients are made of.

mod dockerd;
mod image;
mod process;
mod registry;
mod tool;
mod wire;

pub use dockerd::Dockerd;
pub use image::{multi_platform_layout, oci_layout};
pub use process::Process;
pub use registry::{DEBIAN_SECRET, RegistryProcess, debian_registry, filesystem_config, registry};
pub use tool::{run, tool};
pub use wire::Wire;
