//! `RepositoryRow`: a repository in a list, with what the survey knows of it.

use sampan_engine::Survey;
use sampan_engine::oci::RepositoryName;

use crate::frame::Frame;
use crate::pages::{Step, steps};
use crate::route::Route;
use crate::shown::{self, Moment};

/// A repository in a list.
pub(crate) struct RepositoryRow {
    /// The prefixes of the name, each with the list of what is below it.
    pub(crate) parents: Vec<Step>,
    pub(crate) parent: String,
    pub(crate) base: String,
    pub(crate) link: String,
    pub(crate) tags: String,
    pub(crate) pushed: Option<Moment>,
    pub(crate) size: String,
}

impl RepositoryRow {
    pub(crate) fn new(f: &Frame, name: &RepositoryName, survey: Option<&Survey>) -> Self {
        let (parent, base) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
        let figures = survey.and_then(|survey| survey.find(name)).map(|it| it.figures);
        Self {
            parents: if parent.is_empty() { Vec::new() } else { steps(f, parent) },
            parent: if parent.is_empty() { String::new() } else { format!("{parent}/") },
            base: base.to_owned(),
            link: f.to(&Route::Tags(name.clone())),
            tags: figures.map(|it| it.tags.to_string()).unwrap_or_default(),
            pushed: figures.and_then(|it| it.pushed_ms).and_then(Moment::of_millis),
            size: figures.map(|it| shown::size(it.bytes)).unwrap_or_default(),
        }
    }
}
