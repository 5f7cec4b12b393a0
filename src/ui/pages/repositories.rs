//! The list of repositories: by name, or by the figures of the survey.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use futures::TryStreamExt;
use http::StatusCode;
use sampan_engine::Survey;
use sampan_engine::oci::RepositoryName;
use serde::Serialize;

use super::repository_row::RepositoryRow;
use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Column, Problem, Step, steps};
use crate::query::query;
use crate::reply::{self, Reply};
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The repositories of a page.
const PAGE: usize = 100;

/// The most names of the store that are looked at for one page.
const MAX_SCANNED: usize = if cfg!(test) { 200 } else { 20_000 };

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
    as_of: Option<Moment>,
    rows: Vec<RepositoryRow>,
    next: Option<String>,
    first: String,
    /// Leads to the names of the store itself.
    live: Option<String>,
    is_later: bool,
}

/// The twin in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    repositories: Vec<Listed<'a>>,
    /// When the figures were right.
    #[serde(skip_serializing_if = "Option::is_none")]
    figures_as_of: Option<String>,
    /// The query of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_bytes: Option<u64>,
}

/// An order of the list. All but the first need a survey.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sort {
    Name,
    Pushed,
    Size,
    Tags,
}

impl Sort {
    fn of_code(code: &str) -> Option<Self> {
        [Self::Name, Self::Pushed, Self::Size, Self::Tags].into_iter().find(|sort| sort.code() == code)
    }

    fn code(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Pushed => "pushed",
            Self::Size => "size",
            Self::Tags => "tags",
        }
    }
}

/// The part of the list that a visitor asks for.
struct ListQuery<'a> {
    q: String,
    under: Option<&'a str>,
    after: Option<&'a str>,
    sort: Sort,
    /// Names from the store itself, however long it takes.
    live: bool,
}

impl<'a> ListQuery<'a> {
    fn of(scene: &'a PageContext<'_>) -> Self {
        let fields = &scene.visit.query;
        let q: String = fields.get("q").unwrap_or_default().trim().chars().take(MAX_SEARCH).collect();
        // A prefix is a name itself; anything else has nothing below it.
        let is_name = |text: &&str| text.parse::<RepositoryName>().is_ok();
        let sort = fields.get("sort").and_then(Sort::of_code).unwrap_or(Sort::Name);
        let under = fields.get("under").map(|under| under.trim_end_matches('/')).filter(is_name);
        Self {
            q: q.to_lowercase(),
            under,
            after: fields.get("after").filter(is_name),
            sort,
            live: fields.get("live").is_some(),
        }
    }

    fn has(&self, name: &RepositoryName) -> bool {
        let below = |under: &str| name.as_str().strip_prefix(under).is_some_and(|rest| rest.starts_with('/'));
        self.under.is_none_or(below) && name.as_str().contains(&self.q)
    }

    /// Whether the names come from the survey: where they would cost a look at each repository of the store.
    fn is_of_survey(&self) -> bool {
        self.sort != Sort::Name || (!self.live && !self.q.is_empty())
    }

    /// The query of a list with this order, after a repository.
    fn link(&self, sort: Sort, after: &str, live: bool) -> String {
        let (q, under) = (self.q.as_str(), self.under.unwrap_or_default());
        let (sort, live) = (if sort == Sort::Name { "" } else { sort.code() }, if live { "1" } else { "" });
        query(&[("q", q), ("under", under), ("sort", sort), ("after", after), ("live", live)])
    }
}

/// A part of the list.
struct RepositorySlice {
    names: Vec<RepositoryName>,
    /// Where the next page begins; `None` at the end.
    after: Option<String>,
    is_incomplete: bool,
}

/// Shows a page of the list.
pub(crate) async fn show(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    let mut wanted = ListQuery::of(scene);
    let survey = scene.survey().await;
    let f = scene.frame(Some(visitor));
    let t = f.t;
    let mut notes = Vec::new();
    let asked = scene.visit.query.get("sort");
    if let Some(odd) = asked.filter(|it| Sort::of_code(it).is_none()) {
        notes.push(t.unknown_sort(&shown::text(odd)));
    }
    let found = match &survey {
        Some(survey) if wanted.is_of_survey() => of_survey(survey, visitor, &wanted),
        _ => {
            if wanted.sort != Sort::Name {
                notes.push(t.no_figures());
                wanted.sort = Sort::Name;
            }
            by_name(scene, visitor, &wanted, survey.as_deref()).await?
        }
    };
    let is_of_survey = survey.is_some() && wanted.is_of_survey();
    let next = found.after.as_deref().map(|after| wanted.link(wanted.sort, after, wanted.live));
    if scene.visit.wants_json() {
        return Ok(reply::json(StatusCode::OK, &twin(&found, visitor, survey.as_ref(), next.as_deref())));
    }
    if found.is_incomplete {
        notes.push(match found.after {
            Some(_) => t.not_all_searched(MAX_SCANNED),
            None => t.not_all_looked_at(MAX_SCANNED),
        });
    }
    let may_push = visitor.rights.everywhere(Right::Push);
    let is_whole = wanted.after.is_none() && wanted.under.is_none() && !found.is_incomplete;
    let command = || format!("docker tag alpine {0}/alpine\ndocker push {0}/alpine", scene.pull_host());
    let home = f.home();
    let page = RepositoriesPage {
        q: &wanted.q,
        under: wanted.under,
        crumbs: wanted.under.map(|under| steps(&f, under)).unwrap_or_default(),
        notes,
        first_push: (is_whole && may_push).then(command),
        columns: columns(&f, &wanted, survey.is_some()),
        has_figures: survey.is_some(),
        as_of: survey.as_ref().and_then(|survey| Moment::of(survey.as_of())),
        rows: found.names.iter().map(|name| RepositoryRow::new(&f, name, survey.as_deref())).collect(),
        next: next.map(|query| format!("{home}{query}")),
        first: format!("{home}{}", wanted.link(wanted.sort, "", wanted.live)),
        live: is_of_survey.then(|| format!("{home}{}", wanted.link(Sort::Name, "", true))),
        is_later: wanted.after.is_some(),
        f: f.titled(wanted.under.map_or_else(|| t.repositories(), str::to_owned)),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

fn columns(f: &Frame, wanted: &ListQuery<'_>, has_figures: bool) -> Vec<Column> {
    let column = |name: String, sort: Sort, is_number: bool| Column {
        name,
        link: (has_figures && sort != wanted.sort)
            .then(|| format!("{}{}", f.home(), wanted.link(sort, "", false))),
        is_number,
        is_sorted: sort == wanted.sort,
        direction: if sort == Sort::Name { "ascending" } else { "descending" },
    };
    let mut columns = vec![column(f.t.name(), Sort::Name, false)];
    if has_figures {
        columns.push(column(f.t.tags(), Sort::Tags, true));
        columns.push(column(f.t.last_push(), Sort::Pushed, false));
        columns.push(column(f.t.size(), Sort::Size, true));
    }
    columns
}

/// Names from the store, as they are now.
async fn by_name(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    wanted: &ListQuery<'_>,
    survey: Option<&Survey>,
) -> Result<RepositorySlice, Problem> {
    // The names below a prefix come right after it.
    let mut names = scene.registry().repositories(wanted.after.or(wanted.under).unwrap_or_default());
    let mut found = RepositorySlice { names: Vec::new(), after: None, is_incomplete: false };
    let mut last: Option<RepositoryName> = None;
    let mut looked_at = 0;
    while let Some(name) = names.try_next().await? {
        let is_past =
            |under: &str| !name.as_str().strip_prefix(under).is_some_and(|rest| rest.starts_with('/'));
        if wanted.under.is_some_and(is_past) {
            break;
        }
        if looked_at == MAX_SCANNED {
            match visitor.rights.everywhere(Right::Pull) {
                true => (found.after, found.is_incomplete) = (last.map(|last| last.to_string()), true),
                false => continue_at(&mut found, &name, visitor, wanted, survey),
            }
            break;
        }
        looked_at += 1;
        if wanted.has(&name) && visitor.rights.may(Right::Pull, &name) {
            if found.names.len() == PAGE {
                found.after = found.names.last().map(ToString::to_string);
                break;
            }
            found.names.push(name.clone());
        }
        last = Some(name);
    }
    Ok(found)
}

/// Goes on at `first` with the names of the survey: a link that begins there could name a hidden repository.
fn continue_at(
    found: &mut RepositorySlice,
    first: &RepositoryName,
    visitor: &Visitor,
    wanted: &ListQuery<'_>,
    survey: Option<&Survey>,
) {
    let Some(survey) = survey else {
        found.is_incomplete = true;
        return;
    };
    let components = |name: &RepositoryName| name.as_str().split('/').map(str::to_owned).collect::<Vec<_>>();
    let begins = components(first);
    let mut rest: Vec<_> =
        survey.repositories().iter().map(|it| &it.name).filter(|it| wanted.has(it)).collect();
    rest.retain(|name| components(name) >= begins);
    rest.sort_by_cached_key(|name| components(name));
    let mut visible = rest.into_iter().filter(|name| visitor.rights.may(Right::Pull, name));
    let room = PAGE - found.names.len();
    found.names.extend(visible.by_ref().take(room).cloned());
    found.after = visible.next().and(found.names.last()).map(ToString::to_string);
}

/// Names from the survey, in the order of its figures.
fn of_survey(survey: &Survey, visitor: &Visitor, wanted: &ListQuery<'_>) -> RepositorySlice {
    let mut all: Vec<_> = survey.repositories().iter().filter(|it| wanted.has(&it.name)).collect();
    // The survey is in the order of names, which a stable sort keeps among equals.
    match wanted.sort {
        Sort::Name => {}
        Sort::Pushed => all.sort_by_key(|it| Reverse(it.figures.pushed_ms)),
        Sort::Size => all.sort_by_key(|it| Reverse(it.figures.bytes)),
        Sort::Tags => all.sort_by_key(|it| Reverse(it.figures.tags)),
    }
    // A hidden name answers like one that does not exist.
    let may_see = |name: &RepositoryName| visitor.rights.may(Right::Pull, name);
    let start = wanted
        .after
        .filter(|after| after.parse().is_ok_and(|name| may_see(&name)))
        .and_then(|after| all.iter().position(|it| it.name.as_str() == after))
        .map_or(0, |at| at + 1);
    // Rights last, and only as far as the page needs.
    let mut visible = all.into_iter().skip(start).filter(|it| may_see(&it.name));
    let names: Vec<_> = visible.by_ref().take(PAGE).map(|it| it.name.clone()).collect();
    let after = visible.next().and(names.last()).map(ToString::to_string);
    RepositorySlice { names, after, is_incomplete: false }
}

fn twin<'a>(
    found: &'a RepositorySlice,
    visitor: &Visitor,
    survey: Option<&Arc<Survey>>,
    next: Option<&'a str>,
) -> Listing<'a> {
    let sees_all = visitor.rights.everywhere(Right::Pull);
    let listed = |name: &'a RepositoryName| {
        let figures = survey.and_then(|survey| survey.find(name)).map(|it| it.figures);
        Listed {
            name: name.as_str(),
            tags: figures.map(|it| it.tags),
            pushed: figures
                .and_then(|it| it.pushed_ms)
                .and_then(Moment::of_millis)
                .map(|moment| moment.machine),
            bytes: figures.map(|it| it.bytes),
            // It says what other repositories have.
            own_bytes: figures.filter(|_| sees_all).map(|it| it.own_bytes),
        }
    };
    Listing {
        repositories: found.names.iter().map(listed).collect(),
        figures_as_of: survey.and_then(|survey| Moment::of(survey.as_of())).map(|moment| moment.machine),
        next,
    }
}
