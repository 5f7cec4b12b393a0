//! Files of other tools as the plan of a bundle, so that an import stores them like one of ours.
//!
//! [`open()`] recognises by content: a bundle of ours, an OCI image layout (docker, containerd, podman, skopeo, buildkit, regctl,
//! oras, hauler), a docker archive (`docker save`, `podman save`, crane), each as a tar, `.tar.gz` or `.tar.zst`, as parts, as a
//! directory or from a pipe; a directory of skopeo's `dir:`; and a tar of a registry's data directory, such as oc-mirror's archives.
//!
//! Invariants:
//!
//! - nothing is unpacked under a name that a file gives, no link is followed, and only names of a fixed grammar are read;
//! - a tar file is read in place, after one scan of its headers; a compressed or piped one is decoded once into a temporary file
//!   without a name, as far as there is room;
//! - manifests are compared with their digests here, blobs by the target that stores them;
//! - memory is bounded by the number of entries; each list and each document has a limit of its own.
//!
//! Absent on purpose: HTTP, storage drivers, printing.

mod archive;
mod bridge;
mod compression;
mod data_directory;
mod docker_archive;
mod entry_name;
mod error;
mod extent;
mod image_name;
mod layer;
mod listing;
mod name_rule;
mod oci_layout;
mod open;
mod plan;
mod reader;
mod referrers;
mod skopeo_dir;
mod spool;
mod tar_walk;
mod unreadable;
mod walk;
mod zstd_frames;

pub use error::{Error, Result, Unnamed};
pub use image_name::HostPolicy;
pub use name_rule::{InvalidNameRule, NameRule};
pub use open::{ForeignOptions, Input, OpenedFile, open};
pub use reader::{ForeignReader, Notice};
pub use unreadable::{UnreadableImage, UnreadablePolicy};
