//! A layer: the images that have it, in all repositories that the visitor may see.

use std::sync::Arc;

use askama::Template;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use sampan_engine::oci::{Digest, Reference, RepositoryName};
use sampan_engine::{Error, ImageKind, ImageSummary, LayerUsers};
use serde::Serialize;

use super::sharing::LayerSharing;
use crate::frame::Frame;
use crate::gate::Visitor;
use crate::kind::{kind_name, platforms};
use crate::pages::{Problem, Step, crumbs};
use crate::query::query;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The images of a page.
const PAGE: usize = 50;

/// How many images are read from the store at a time.
const CONCURRENT_READS: usize = 8;

#[derive(Template)]
#[template(path = "layer.html")]
struct LayerPage<'a> {
    f: Frame,
    crumbs: Vec<Step>,
    short: String,
    digest: String,
    as_of: Option<Moment>,
    count: u64,
    left_out: u64,
    rows: Vec<Row<'a>>,
    next: Option<String>,
    first: String,
    is_later: bool,
}

struct Row<'a> {
    name: &'a str,
    link: String,
    digest: String,
    image_link: String,
    version: String,
    kind: String,
    platforms: String,
    created: Option<Moment>,
    size: String,
}

/// The twin in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    digest: String,
    /// `None` before the first walk.
    as_of: Option<String>,
    count: u64,
    /// The number of images of the store that were not looked at.
    left_out: u64,
    images: Vec<Listed<'a>>,
    /// The query of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Listed<'a> {
    repository: &'a str,
    digest: String,
    kind: ImageKind,
    platforms: &'a [String],
    version: Option<&'a str>,
    created: Option<String>,
    size: u64,
}

/// An image that has the layer.
struct LayerImage {
    name: RepositoryName,
    digest: Digest,
    summary: Arc<ImageSummary>,
}

/// Shows the images that have a layer. A digest that is no layer of the repository has the images of other repositories: they
/// are what the visitor may see anyway.
pub(crate) async fn show(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    layer: &Digest,
) -> Result<Reply, Problem> {
    let users = scene.registry().layer_users();
    let after = scene.visit.query.get("after");
    let (wanted, count, has_more) = match &users {
        Some(users) => candidates(users, visitor, layer, after),
        None => (Vec::new(), 0, false),
    };
    let last = wanted.last().map(|(name, digest)| format!("{name}@{digest}"));
    let next = last.filter(|_| has_more).map(|last| query(&[("after", &last)]));
    let reads =
        stream::iter(wanted).map(|(name, digest)| read(scene, name, digest)).buffered(CONCURRENT_READS);
    let reads: Vec<Option<LayerImage>> = reads.try_collect().await?;
    let found: Vec<&LayerImage> = reads.iter().flatten().collect();
    let as_of = users.as_ref().and_then(|users| Moment::of(users.as_of()));
    let left_out = users.as_ref().map_or(0, |users| users.left_out());
    if scene.visit.wants_json() {
        let listing = Listing {
            digest: layer.to_string(),
            as_of: as_of.map(|moment| moment.machine),
            count,
            left_out,
            images: found.iter().map(|it| listed(it)).collect(),
            next: next.as_deref(),
        };
        return Ok(reply::json(StatusCode::OK, &listing));
    }
    let f = scene.frame(Some(visitor));
    let here = f.to(&Route::Layer(name.clone(), layer.clone()));
    let short = f.t.layer(&shown::short(layer));
    let page = LayerPage {
        crumbs: crumbs(&f, name, true),
        digest: layer.to_string(),
        as_of,
        count,
        left_out,
        rows: found.iter().map(|it| row(&f, it)).collect(),
        next: next.map(|query| format!("{here}{query}")),
        first: here,
        is_later: after.is_some(),
        f: f.titled(short.clone()),
        short,
    };
    Ok(reply::page(StatusCode::OK, &page))
}

/// The images of a page, how many there are in all, and whether there are later ones.
fn candidates(
    users: &LayerUsers,
    visitor: &Visitor,
    layer: &Digest,
    after: Option<&str>,
) -> (Vec<(RepositoryName, Digest)>, u64, bool) {
    let after = after.and_then(|after| after.split_once('@'));
    let after: Option<(&str, Digest)> = after.and_then(|(name, digest)| Some((name, digest.parse().ok()?)));
    let (mut wanted, mut count, mut has_more) = (Vec::new(), 0, false);
    for user in LayerSharing::new(users, visitor).images(layer) {
        count += 1;
        if has_more {
            continue;
        }
        let digest = user.digest();
        let is_later = after
            .as_ref()
            .is_none_or(|(name, last)| (user.repository.as_str(), digest.hex()) > (*name, last.hex()));
        match is_later {
            true if wanted.len() < PAGE => wanted.push((user.repository.clone(), digest)),
            true => has_more = true,
            false => {}
        }
    }
    (wanted, count, has_more)
}

/// Reads an image; `None` if it is gone meanwhile.
async fn read(
    scene: &PageContext<'_>,
    name: RepositoryName,
    digest: Digest,
) -> Result<Option<LayerImage>, Problem> {
    match scene.registry().repository(name.clone()).summary(&digest).await {
        Ok(summary) => Ok(Some(LayerImage { name, digest, summary })),
        Err(Error::ManifestUnknown(..)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn row<'a>(f: &Frame, LayerImage { name, digest, summary }: &'a LayerImage) -> Row<'a> {
    Row {
        name: name.as_str(),
        link: f.to(&Route::Tags(name.clone())),
        digest: shown::short(digest),
        image_link: f.to(&Route::Image(name.clone(), Reference::Digest(digest.clone()))),
        version: summary.version.as_deref().map(|it| shown::brief(it, 40)).unwrap_or_default(),
        kind: kind_name(f.t, summary),
        platforms: shown::brief(&platforms(summary), 120),
        created: summary.created.and_then(Moment::of),
        size: shown::size(summary.size_bytes),
    }
}

fn listed(LayerImage { name, digest, summary }: &LayerImage) -> Listed<'_> {
    Listed {
        repository: name.as_str(),
        digest: digest.to_string(),
        kind: summary.kind,
        platforms: &summary.platforms,
        version: summary.version.as_deref(),
        created: summary.created.and_then(Moment::of).map(|moment| moment.machine),
        size: summary.size_bytes,
    }
}
