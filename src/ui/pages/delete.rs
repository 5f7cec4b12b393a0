//! Deletion: first what goes and what stays, then the act, of exactly what was shown.

use std::time::Duration;

use askama::Template;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use sampan_engine::gc::{self, PreviewExtent, Removal, RemovalPreview};
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error, Repository};

use crate::changes::Change;
use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Problem, Step, crumbs};
use crate::place::Place;
use crate::reply::{self, Reply};
use crate::shown;
use crate::ui::Scene;

/// The most tags of one deletion, but for that of a whole repository.
const MAX_TAGS: usize = 150;

/// How many images are read from the store at a time.
const AT_A_TIME: usize = 8;

/// How long a page waits for the preview of another one.
const PREVIEW_WAIT: Duration = Duration::from_secs(10);

/// The most tags or images that the page names in a list.
const MAX_NAMED: usize = 100;

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    f: Frame,
    crumbs: Vec<Step>,
    name: &'a str,
    message: Option<String>,
    whole: bool,
    tags: Vec<Going>,
    tag_count: usize,
    stay: Vec<String>,
    images: Vec<Image>,
    image_count: usize,
    /// Signatures and the like among the images.
    attached: u64,
    unreadable: u64,
    freed: Vec<String>,
    /// Leads to the same page with exact figures.
    exact: Option<String>,
    missing: Vec<String>,
    /// The number of tags that are too many for one deletion.
    left_out: usize,
    action: String,
    token: String,
    back: String,
}

/// A tag that goes.
struct Going {
    tag: String,
    digest: String,
    /// What the form sends: the tag, and the digest that was shown.
    target: String,
}

/// An image that no tag will reach.
struct Image {
    digest: String,
    link: String,
    size: String,
}

#[derive(Template)]
#[template(path = "deleted.html")]
struct DeletedPage<'a> {
    f: Frame,
    crumbs: Vec<Step>,
    deleted: Vec<String>,
    moved: Vec<String>,
    name: &'a str,
    is_whole: bool,
    restore: String,
    back: String,
}

/// Whether the visitor may delete here, and the registry lets anybody.
pub(crate) fn may_delete(scene: &Scene<'_>, visitor: &Visitor, name: &RepositoryName) -> bool {
    let limits = scene.registry().limits();
    limits.delete && !limits.read_only && visitor.rights.may(Right::Delete, name)
}

/// Shows what a deletion would do. Nothing is changed.
pub(crate) async fn preview(
    scene: &Scene<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    message: Option<String>,
) -> Result<Reply, Problem> {
    check(scene, visitor, name)?;
    let (query, form) = (&scene.visit.query, &scene.visit.form);
    let whole = query.get("all").or_else(|| form.get("all")).is_some();
    let named: Vec<Tag> = query.all("tag").take(MAX_TAGS).filter_map(|tag| tag.parse().ok()).collect();
    let left_out = query.all("tag").skip(MAX_TAGS).count();
    let f = scene.frame(Some(visitor));
    let back = f.to(&Place::Tags(name.clone()));
    if named.is_empty() && !whole {
        return Ok(reply::see_other(&back));
    }
    let repository = scene.registry().repository(name.clone());
    let removal = if whole { Removal::Repository } else { Removal::Tags(named) };
    let preview = considered(scene, visitor, name, &removal).await?;
    let images = preview.manifests.items.iter().take(MAX_NAMED).cloned();
    let images = stream::iter(images).map(|digest| image(&f, &repository, digest)).buffered(AT_A_TIME);
    let images: Vec<_> = images.try_collect().await?;
    let status = if message.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let place = Place::Delete(name.clone());
    let named = preview.tags.items.iter().take(if whole { MAX_NAMED } else { MAX_TAGS });
    let page = DeletePage {
        crumbs: crumbs(&f, name, true),
        name: name.as_str(),
        message,
        whole,
        tags: named.map(|(tag, digest)| going(tag, digest.as_ref())).collect(),
        tag_count: count(preview.tags.count),
        stay: preview.other_tags.items.iter().take(MAX_NAMED).map(|(tag, _)| tag.to_string()).collect(),
        images,
        image_count: count(preview.manifests.count),
        attached: preview.referrers.count,
        unreadable: preview.unreadable,
        freed: freed(scene, visitor, name, &preview).await,
        exact: exact_link(scene, visitor, &f, name),
        missing: preview.missing.iter().map(ToString::to_string).collect(),
        left_out,
        action: f.to(&place),
        token: scene.token(&place),
        back,
        f: f.titled(scene.visit.language.delete()),
    };
    Ok(reply::page(status, &page))
}

/// What the engine says about a deletion: within the repository, or in the whole store if that was asked for.
async fn considered(
    scene: &Scene<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    removal: &Removal,
) -> Result<RemovalPreview, Problem> {
    let extent = match is_exact(scene, visitor) {
        true => PreviewExtent::Store { delete_untagged: deletes_untagged(scene) },
        false => PreviewExtent::Repository,
    };
    match gc::preview(scene.registry(), name, removal, extent, PREVIEW_WAIT).await {
        Ok(preview) => Ok(preview),
        Err(gc::Error::Registry(error)) => Err(error.into()),
        Err(error) => Err(Problem::Collector(error)),
    }
}

/// Whether the visitor asked for figures of the whole store, and those take one walk over directories. In a bucket they would
/// take too long for a page.
fn is_exact(scene: &Scene<'_>, visitor: &Visitor) -> bool {
    scene.visit.query.get("exact").is_some() && may_be_exact(scene, visitor)
}

/// The figures say something of all repositories.
fn may_be_exact(scene: &Scene<'_>, visitor: &Visitor) -> bool {
    visitor.rights.everywhere(Right::Pull) && !scene.registry().driver().capabilities().flat
}

fn exact_link(scene: &Scene<'_>, visitor: &Visitor, f: &Frame, name: &RepositoryName) -> Option<String> {
    let is_possible = may_be_exact(scene, visitor) && !is_exact(scene, visitor);
    let query = scene.visit.parts.uri.query().filter(|_| is_possible)?;
    Some(format!("{}?{query}&exact=1", f.to(&Place::Delete(name.clone()))))
}

fn deletes_untagged(scene: &Scene<'_>) -> bool {
    scene.housekeeping().is_some_and(|housekeeping| housekeeping.collections().delete_untagged)
}

/// How much the deletion frees, in sentences.
async fn freed(
    scene: &Scene<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    preview: &RemovalPreview,
) -> Vec<String> {
    let t = scene.visit.language;
    let size = shown::size(preview.freed_bytes);
    if is_exact(scene, visitor) {
        return vec![t.frees_exactly(&size)];
    }
    let mut sentences = vec![t.frees_here(&size)];
    // What other repositories share is no business of those who may not see them.
    let survey = match visitor.rights.everywhere(Right::Pull) {
        true => scene.survey().await,
        false => None,
    };
    let shared = survey.and_then(|survey| preview.shared_bytes(&survey, name));
    if let Some(shared) = shared.filter(|shared| shared.at_most > 0) {
        sentences.push(match shared.is_exact() {
            true => t.shared_exactly(&shown::size(shared.at_most)),
            false => t.shared_between(&shown::size(shared.at_least), &shown::size(shared.at_most)),
        });
    }
    if !deletes_untagged(scene) {
        sentences.push(t.untagged_stay());
    }
    sentences
}

async fn image(f: &Frame, repository: &Repository, digest: Digest) -> Result<Image, Problem> {
    let size = match repository.summary(&digest).await {
        Ok(summary) => shown::size(summary.size_bytes),
        Err(Error::ManifestUnknown(..)) => String::new(),
        Err(error) => return Err(error.into()),
    };
    let shown = shown::short(&digest);
    let place = Place::Image(repository.name().clone(), Reference::Digest(digest));
    Ok(Image { digest: shown, link: f.to(&place), size })
}

fn going(tag: &Tag, digest: Option<&Digest>) -> Going {
    let target = digest.map_or_else(|| tag.to_string(), |digest| format!("{tag}@{digest}"));
    Going { tag: tag.to_string(), digest: digest.map(shown::short).unwrap_or_default(), target }
}

fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Deletes the tags that a preview showed, as far as they still point where it said; or the whole repository, whose name was
/// typed.
pub(crate) async fn delete(
    scene: &Scene<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    check(scene, visitor, name)?;
    let form = &scene.visit.form;
    let whole = form.get("all").is_some();
    if whole && form.get("name").map(str::trim) != Some(name.as_str()) {
        let message = scene.visit.language.name_differs(name.as_str());
        return preview(scene, visitor, name, Some(message)).await;
    }
    let user = visitor.user.as_deref();
    let repository = scene.visit.changes.repository(&scene.visit.parts, user, name.clone(), Change::Delete);
    let (mut deleted, mut moved) = (Vec::new(), Vec::new());
    if whole {
        delete_everything(&repository).await?;
    } else {
        for target in form.all("target").take(MAX_TAGS) {
            let (tag, digest) =
                target.split_once('@').map_or((target, None), |(tag, digest)| (tag, Some(digest)));
            let Ok(tag) = tag.parse::<Tag>() else { continue };
            match delete_tag(&repository, &tag, digest).await? {
                true => deleted.push(tag.to_string()),
                false => moved.push(tag.to_string()),
            }
        }
    }
    let f = scene.frame(Some(visitor));
    let page = DeletedPage {
        crumbs: crumbs(&f, name, true),
        deleted,
        moved,
        name: name.as_str(),
        is_whole: whole,
        restore: f.to(&Place::Restore(name.clone())),
        back: f.to(&Place::Tags(name.clone())),
        f: f.titled(scene.visit.language.deleted()),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

/// Deletes a tag while it points where the preview said; one that was unreadable then, while it still is.
async fn delete_tag(repository: &Repository, tag: &Tag, digest: Option<&str>) -> Result<bool, Problem> {
    let manifests = repository.manifests();
    if let Some(digest) = digest {
        let Ok(digest) = digest.parse::<Digest>() else { return Ok(false) };
        return Ok(manifests.delete_tag_of(tag, &digest).await?);
    }
    let reference = Reference::Tag(tag.clone());
    match manifests.digest(&reference).await {
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => {
            ignore_missing(manifests.delete(&reference).await)?;
            Ok(true)
        }
        Ok(_) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Deletes each manifest, which takes its tags along. Damaged tags that point at none go by their names.
async fn delete_everything(repository: &Repository) -> Result<(), Problem> {
    let manifests = repository.manifests();
    let mut digests = manifests.list();
    while let Some(digest) = digests.try_next().await? {
        ignore_missing(manifests.delete(&Reference::Digest(digest)).await)?;
    }
    let mut tags = match repository.tags().stream(None).await {
        Ok(tags) => tags,
        Err(Error::RepositoryUnknown(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    while let Some(tag) = tags.try_next().await? {
        let Ok(tag) = tag.parse() else { continue };
        ignore_missing(manifests.delete(&Reference::Tag(tag)).await)?;
    }
    Ok(())
}

fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::ManifestUnknown(..)) => Ok(()),
        result => result,
    }
}

fn check(scene: &Scene<'_>, visitor: &Visitor, name: &RepositoryName) -> Result<(), Problem> {
    let limits = scene.registry().limits();
    if limits.read_only {
        return Err(Problem::Off(scene.visit.language.read_only()));
    }
    if !limits.delete {
        return Err(Problem::Off(scene.visit.language.delete_disabled()));
    }
    scene.check_right(visitor, Right::Delete, name)
}
