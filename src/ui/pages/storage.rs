//! The storage: how much there is, and which repositories take it.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use http::StatusCode;
use sampan_engine::{NoSurvey, Survey};
use serde_json::json;

use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::Problem;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The repositories of the page.
const MAX_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "storage.html")]
struct StoragePage {
    f: Frame,
    as_of: Option<Moment>,
    totals: Vec<(String, String)>,
    rows: Vec<Share>,
    others: usize,
    all: String,
}

/// The space that a repository takes.
struct Share {
    name: String,
    link: String,
    size: String,
    own: String,
    shared: String,
    /// The share of the largest one, in thousandths.
    share: u64,
}

/// Whether the visitor may see the storage: it says something of all repositories.
pub(crate) fn may_see(visitor: &Visitor) -> bool {
    visitor.rights.everywhere(Right::Pull)
}

/// Shows what the last survey found.
pub(crate) async fn show(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    if !may_see(visitor) {
        return Err(Problem::NotFound);
    }
    let survey = match scene.survey().await {
        Some(survey) => Some(survey),
        // A store that is away may have one.
        None => match Survey::read(scene.registry()).await {
            Ok(survey) => Some(Arc::new(survey)),
            Err(NoSurvey::Store(error)) => return Err(error.into()),
            Err(_) => None,
        },
    };
    if scene.visit.wants_json() {
        let twin = survey.as_ref().map(|survey| {
            let as_of = Moment::of(survey.as_of()).map(|moment| moment.machine);
            json!({ "figuresAsOf": as_of, "totals": survey.totals() })
        });
        return Ok(reply::json(StatusCode::OK, &twin));
    }
    let f = scene.frame(Some(visitor));
    let t = f.t;
    let mut repositories: Vec<_> = survey.iter().flat_map(|survey| survey.repositories()).collect();
    repositories.sort_by_key(|it| Reverse(it.figures.bytes));
    let most = repositories.first().map_or(0, |it| it.figures.bytes).max(1);
    let share = |bytes: u64| u64::try_from(u128::from(bytes) * 1000 / u128::from(most)).unwrap_or(1000);
    let totals = survey.as_ref().map(|survey| {
        let totals = survey.totals();
        vec![
            (t.stored(), shown::size(totals.stored_bytes)),
            (t.linked(), shown::size(totals.linked_bytes)),
            (t.unlinked(), shown::size(totals.stored_bytes.saturating_sub(totals.linked_bytes))),
            (t.repositories(), totals.repositories.to_string()),
            (t.tags(), totals.tags.to_string()),
            (t.images(), totals.manifests.to_string()),
        ]
    });
    let page = StoragePage {
        as_of: survey.as_ref().and_then(|survey| Moment::of(survey.as_of())),
        totals: totals.unwrap_or_default(),
        others: repositories.len().saturating_sub(MAX_SHOWN),
        rows: repositories
            .iter()
            .take(MAX_SHOWN)
            .map(|it| Share {
                name: it.name.to_string(),
                link: f.to(&Route::Tags(it.name.clone())),
                size: shown::size(it.figures.bytes),
                own: shown::size(it.figures.own_bytes),
                shared: shown::size(it.figures.bytes.saturating_sub(it.figures.own_bytes)),
                share: share(it.figures.bytes),
            })
            .collect(),
        all: format!("{}?sort=size", f.home()),
        f: f.titled(t.storage()),
    };
    Ok(reply::page(StatusCode::OK, &page))
}
