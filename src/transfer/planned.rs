//! `Planned`: an export that is planned.

use std::collections::HashMap;

use sampan_bundle::{DockerImage, Plan};
use sampan_engine::oci::{Digest, RepositoryName};

use crate::rewrite::RewrittenImage;

/// An export that is planned.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The plan, without the files for other tools.
    pub plan: Plan,
    /// The images of `manifest.json`.
    pub docker: HashMap<Digest, DockerImage>,
    /// A repository for each content.
    pub places: HashMap<Digest, RepositoryName>,
    /// The images that were left out because they cannot be exported.
    pub failures: Vec<PlannedFailure>,
    /// The number of images that the far side has already.
    pub unchanged: u64,
    /// The images whose index was rewritten.
    pub rewritten: Vec<RewrittenImage>,
    /// The images of other platforms than the selected ones, which were left out.
    pub other_platforms: Vec<String>,
    /// The repositories of whose tags the source has no list; they are not whole.
    pub unlisted: Vec<RepositoryName>,
    /// The selectors of [`crate::ExportOptions::exclude`] that match nothing that is selected.
    pub unused_exclusions: Vec<String>,
}

/// An image that cannot be exported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedFailure {
    /// The image.
    pub image: String,
    /// The problem.
    pub problem: String,
}
