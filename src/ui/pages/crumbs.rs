//! Links that lead up: the prefixes of a name.

use sampan_engine::oci::RepositoryName;

use crate::frame::Frame;
use crate::query::query;
use crate::route::Route;

/// A prefix of names, and the list of what is below it.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) link: String,
}

/// The prefixes of a name and the name itself, each with the list of what is below it.
pub(crate) fn steps(f: &Frame, path: &str) -> Vec<Step> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| {
        let prefix = &path[..end];
        let name = prefix.rsplit('/').next().unwrap_or_default().to_owned();
        Step { name, link: format!("{}{}", f.home(), query(&[("under", prefix)])) }
    })
    .collect()
}

/// The way to a repository; its own tags only for what is below them.
pub(crate) fn crumbs(f: &Frame, name: &RepositoryName, with_tags: bool) -> Vec<Step> {
    let (parent, base) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
    let mut way = if parent.is_empty() { Vec::new() } else { steps(f, parent) };
    if with_tags {
        way.push(Step { name: base.to_owned(), link: f.to(&Route::Tags(name.clone())) });
    }
    way
}
