//! The list of repositories, by name.

use askama::Template;
use futures::TryStreamExt;
use http::StatusCode;
use sampan_engine::oci::RepositoryName;
use serde::Serialize;

use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Column, Problem, Step, steps};
use crate::place::Place;
use crate::query::query;
use crate::reply::{self, Reply};
use crate::shown::Moment;
use crate::ui::Scene;

/// The repositories of a page.
const PAGE: usize = 100;

/// The most names that are looked at for one page: a visitor who may see little, or a search, goes on from there.
const MAX_LOOKED_AT: usize = 20_000;

/// The longest text of a search that counts, in characters.
const MAX_SEARCH: usize = 255;

#[derive(Template)]
#[template(path = "repositories.html")]
struct RepositoriesPage<'a> {
    f: Frame,
    q: &'a str,
    under: Option<&'a str>,
    crumbs: Vec<Step>,
    notes: Vec<String>,
    first_push: Option<String>,
    columns: Vec<Column>,
    has_figures: bool,
    rows: Vec<Row>,
    next: Option<String>,
    first: String,
    is_later: bool,
}

struct Row {
    parents: Vec<Step>,
    parent: String,
    base: String,
    link: String,
    tags: String,
    pushed: Option<Moment>,
    size: String,
}

/// The twin in JSON.
#[derive(Serialize)]
struct Listing<'a> {
    repositories: Vec<Listed<'a>>,
    /// The query of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
}

/// A part of the list.
struct Found {
    names: Vec<RepositoryName>,
    /// Where the next page begins; `None` at the end.
    after: Option<String>,
    is_incomplete: bool,
}

/// Shows a page of the list.
pub(crate) async fn show(scene: &Scene<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    let fields = &scene.visit.query;
    let q: String = fields.get("q").unwrap_or_default().trim().chars().take(MAX_SEARCH).collect();
    let q = q.to_lowercase();
    let under = fields.get("under").map(|under| under.trim_end_matches('/'));
    // A prefix is a name itself; anything else has nothing below it.
    let under = under.filter(|under| under.parse::<RepositoryName>().is_ok());
    let after = fields.get("after").filter(|after| after.parse::<RepositoryName>().is_ok());
    let found = find(scene, visitor, &q, under, after).await?;

    let f = scene.frame(Some(visitor));
    let t = f.t;
    let link =
        |after: &str| query(&[("q", q.as_str()), ("under", under.unwrap_or_default()), ("after", after)]);
    let next = found.after.as_deref().map(link);
    if scene.visit.wants_json() {
        let repositories = found.names.iter().map(|name| Listed { name: name.as_str() }).collect();
        return Ok(reply::json(StatusCode::OK, &Listing { repositories, next: next.as_deref() }));
    }
    let mut notes = Vec::new();
    if found.is_incomplete {
        notes.push(t.not_all_searched(MAX_LOOKED_AT));
    }
    let may_push = visitor.rights.everywhere(Right::Push);
    let is_whole = after.is_none() && under.is_none() && !found.is_incomplete;
    let command = || format!("docker tag alpine {0}/alpine\ndocker push {0}/alpine", scene.pull_host());
    let page = RepositoriesPage {
        q: &q,
        under,
        crumbs: under.map(|under| steps(&f, under)).unwrap_or_default(),
        notes,
        first_push: (is_whole && may_push).then(command),
        columns: vec![Column {
            name: t.name(),
            link: None,
            is_number: false,
            is_sorted: true,
            direction: "ascending",
        }],
        has_figures: false,
        rows: found.names.iter().map(|name| row(&f, name)).collect(),
        next: next.map(|query| format!("{}{query}", f.home())),
        first: format!("{}{}", f.home(), link("")),
        is_later: after.is_some(),
        f: f.titled(under.map_or_else(|| t.repositories(), str::to_owned)),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

async fn find(
    scene: &Scene<'_>,
    visitor: &Visitor,
    q: &str,
    under: Option<&str>,
    after: Option<&str>,
) -> Result<Found, Problem> {
    // The names below a prefix come right after it.
    let mut names = scene.registry().repositories(after.or(under).unwrap_or_default());
    let mut found = Found { names: Vec::new(), after: None, is_incomplete: false };
    let mut last: Option<RepositoryName> = None;
    let mut looked_at = 0;
    while let Some(name) = names.try_next().await? {
        if under.is_some_and(|under| !is_below(&name, under)) {
            break;
        }
        let is_full = found.names.len() == PAGE;
        if is_full || looked_at == MAX_LOOKED_AT {
            found.after = last.map(|last| last.to_string());
            found.is_incomplete = !is_full;
            break;
        }
        looked_at += 1;
        if name.as_str().contains(q) && visitor.rights.may(Right::Pull, &name) {
            found.names.push(name.clone());
        }
        last = Some(name);
    }
    Ok(found)
}

fn is_below(name: &RepositoryName, prefix: &str) -> bool {
    name.as_str().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

fn row(f: &Frame, name: &RepositoryName) -> Row {
    let (parent, base) =
        name.as_str().rsplit_once('/').map_or(("", name.as_str()), |(parent, base)| (parent, base));
    Row {
        parents: if parent.is_empty() { Vec::new() } else { steps(f, parent) },
        parent: if parent.is_empty() { String::new() } else { format!("{parent}/") },
        base: base.to_owned(),
        link: f.to(&Place::Tags(name.clone())),
        tags: String::new(),
        pushed: None,
        size: String::new(),
    }
}
