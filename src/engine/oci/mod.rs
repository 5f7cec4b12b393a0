//! The nouns of the OCI specifications, parsed once at the border and valid from there on.
//!
//! Absent on purpose: storage, HTTP, and every policy.

pub mod descriptor;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod reference;
mod spelling;
pub mod tag;
mod version;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, InvalidDigest};
pub(crate) use manifest::LARGEST_BYTES;
pub use manifest::{Manifest, ManifestKind, ManifestProblem};
pub use media_type::MediaType;
pub use name::{InvalidName, RepositoryName};
pub use reference::{InvalidReference, Reference};
pub use tag::{InvalidTag, Tag};
pub use version::version_of;
