//! The bundle: images of many repositories in one file, to carry over a gap that no network crosses.
//!
//! A bundle is a tar file and a valid OCI image layout (OCI image-spec, `image-layout.md`). Its second entry, `bundle.json`, is
//! the [`Plan`]: everything that follows, in order, with digests and sizes. The [`Layout`] computes every offset from the plan
//! alone. So the size is known before the first byte, the same content makes the same file, and a bundle can be
//! [written](Bundle::write) from any offset, split at any offset and read from its parts.
//!
//! Invariants:
//!
//! - a plan fixes every byte of its bundle but for the signature;
//! - content is hashed before the writer's last byte of it counts; a reader compares every header with the one that the plan
//!   implies, and looks at nothing else;
//! - nothing is unpacked under a name that a bundle gives.
//!
//! Absent on purpose: registries, HTTP, storage drivers, printing.

mod ahead;
mod bundle;
mod content;
mod cursor;
mod encoding;
mod error;
mod faults;
mod hash;
mod header;
mod layout;
mod listing;
mod output;
mod part_names;
mod parts;
mod plan;
mod read;
mod references;
mod resume;
mod sign;
mod sums;
mod verify;
mod walk;
mod write;

pub use bundle::{AssembleError, Bundle, LeadingFiles};
pub use content::{ContentKind, PlannedContent, Presumed};
pub use error::{Error, Fault, PlanProblem, Result};
pub use faults::MAX_FAULTS;
pub use hash::ContentHash;
pub use layout::Layout;
pub use listing::{DockerImage, MAX_MANIFEST_JSON, index_json, manifest_json};
pub use output::{FileOutput, Output, OutputOptions, Written};
pub use part_names::{group_parts, part_name};
pub use parts::PartFiles;
pub use plan::{
    FALLBACK_TAG_HEX, IndexScope, LeftOut, MAX_PLAN_BYTES, Plan, PlannedFile, PlannedImage, PlannedReferrer,
    PlannedRepository, RewrittenIndex, Totals, is_fallback_tag,
};
pub use read::{ContentReader, Reader, is_compressed};
pub use resume::{Resumption, find_resumption};
pub use sign::{KeyError, SigningKey, VerifyingKey};
pub use sums::PartSum;
pub use verify::{MAX_MANIFEST_BYTES, Verification, verify};
pub use walk::{ImageWalk, Role, WalkedBlob};
pub use write::{BoxError, ContentSource, ContentStream, WriteError};
