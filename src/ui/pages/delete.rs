//! Deletion: first what goes and what stays, then the act, of exactly what was shown.

use std::time::Duration;

use askama::Template;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use sampan_engine::gc::{self, PreviewExtent, Removal, RemovalPreview};
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error, FirstItems, Repository};

use crate::changes::Change;
use crate::contents::{Contents, delete_tag};
use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Problem, Step, crumbs};
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown;
use crate::ui::PageContext;

/// The most tags of one deletion, but for that of a whole repository.
const MAX_TAGS: usize = 150;

/// How many images are read from the store at a time.
const CONCURRENT_READS: usize = 8;

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
    is_name_wrong: bool,
    whole: bool,
    /// Identifies the contents of a whole repository that the page shows.
    fingerprint: String,
    tags: Vec<DeletedTag>,
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

/// A tag that the deletion removes.
struct DeletedTag {
    tag: String,
    digest: String,
    /// The values that the form sends: the tag, and the digest that was shown.
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
    is_empty: bool,
    restore: String,
    back: String,
}

/// Why a form deleted nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotDeleted {
    /// The name that was typed is not that of the repository.
    Name,
    /// The repository has changed since it was shown.
    Changed,
}

/// Whether the visitor may delete here, and the registry lets anybody.
pub(crate) fn may_delete(scene: &PageContext<'_>, visitor: &Visitor, name: &RepositoryName) -> bool {
    let limits = scene.registry().limits();
    limits.delete && !limits.read_only && visitor.rights.may(Right::Delete, name)
}

/// Shows what a deletion would do. Nothing is changed.
pub(crate) async fn preview(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    undone: Option<NotDeleted>,
) -> Result<Reply, Problem> {
    check(scene, visitor, name)?;
    let (query, form) = (&scene.visit.query, &scene.visit.form);
    let whole = query.get("all").or_else(|| form.get("all")).is_some();
    let named: Vec<Tag> = query.all("tag").take(MAX_TAGS).filter_map(|tag| tag.parse().ok()).collect();
    let left_out = query.all("tag").skip(MAX_TAGS).count();
    let f = scene.frame(Some(visitor));
    let back = f.to(&Route::Tags(name.clone()));
    if named.is_empty() && !whole {
        return Ok(reply::see_other(&back));
    }
    let repository = scene.registry().repository(name.clone());
    let removal = if whole { Removal::Repository } else { Removal::Tags(named) };
    let mut preview = considered(scene, visitor, name, &removal).await?;
    let mut fingerprint = String::new();
    if whole {
        // What the page shows is what its fingerprint says, also if the repository changed since the preview.
        let contents = Contents::read(&repository).await?;
        fingerprint = contents.fingerprint();
        preview.tags = FirstItems { count: contents.tags.len() as u64, items: contents.tags };
        preview.manifests = FirstItems { count: contents.manifests.len() as u64, items: contents.manifests };
    }
    let images = preview.manifests.items.iter().take(MAX_NAMED).cloned();
    let images = stream::iter(images).map(|digest| image(&f, &repository, digest)).buffered(CONCURRENT_READS);
    let images: Vec<_> = images.try_collect().await?;
    let t = scene.visit.language;
    let (status, message) = match undone {
        None => (StatusCode::OK, None),
        Some(NotDeleted::Name) => (StatusCode::UNPROCESSABLE_ENTITY, Some(t.name_differs(name.as_str()))),
        Some(NotDeleted::Changed) => (StatusCode::CONFLICT, Some(t.repository_changed(name.as_str()))),
    };
    let place = Route::Delete(name.clone());
    let named = preview.tags.items.iter().take(if whole { MAX_NAMED } else { MAX_TAGS });
    let page = DeletePage {
        crumbs: crumbs(&f, name, true),
        name: name.as_str(),
        message,
        is_name_wrong: undone == Some(NotDeleted::Name),
        whole,
        fingerprint,
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
        f: f.titled(t.delete()),
    };
    Ok(reply::page(status, &page))
}

/// What the engine says about a deletion: within the repository, or in the whole store if that was asked for.
async fn considered(
    scene: &PageContext<'_>,
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
fn is_exact(scene: &PageContext<'_>, visitor: &Visitor) -> bool {
    scene.visit.query.get("exact").is_some() && may_be_exact(scene, visitor)
}

/// The figures say something of all repositories.
fn may_be_exact(scene: &PageContext<'_>, visitor: &Visitor) -> bool {
    visitor.rights.everywhere(Right::Pull) && !scene.registry().driver().capabilities().flat
}

fn exact_link(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    f: &Frame,
    name: &RepositoryName,
) -> Option<String> {
    let is_possible = may_be_exact(scene, visitor) && !is_exact(scene, visitor);
    let query = scene.visit.parts.uri.query().filter(|_| is_possible)?;
    Some(format!("{}?{query}&exact=1", f.to(&Route::Delete(name.clone()))))
}

fn deletes_untagged(scene: &PageContext<'_>) -> bool {
    scene.housekeeping().is_some_and(|housekeeping| housekeeping.collections().delete_untagged)
}

/// How much the deletion frees, in sentences.
async fn freed(
    scene: &PageContext<'_>,
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
    let place = Route::Image(repository.name().clone(), Reference::Digest(digest));
    Ok(Image { digest: shown, link: f.to(&place), size })
}

fn going(tag: &Tag, digest: Option<&Digest>) -> DeletedTag {
    let target = digest.map_or_else(|| tag.to_string(), |digest| format!("{tag}@{digest}"));
    DeletedTag { tag: tag.to_string(), digest: digest.map(shown::short).unwrap_or_default(), target }
}

fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Deletes the tags that a preview showed, as far as they still point where it said; or the whole repository, whose name was
/// typed, if it still has what was shown.
pub(crate) async fn delete(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    check(scene, visitor, name)?;
    let form = &scene.visit.form;
    if form.get("all").is_some() {
        return delete_everything(scene, visitor, name).await;
    }
    let (mut deleted, mut moved) = (Vec::new(), Vec::new());
    for target in form.all("target").take(MAX_TAGS) {
        let (tag, digest) =
            target.split_once('@').map_or((target, None), |(tag, digest)| (tag, Some(digest)));
        let Ok(tag) = tag.parse::<Tag>() else { continue };
        match delete_shown(scene, visitor, name, &tag, digest).await? {
            true => deleted.push(tag.to_string()),
            false => moved.push(tag.to_string()),
        }
    }
    Ok(deleted_page(scene, visitor, name, Deleted { deleted, moved, ..Deleted::default() }))
}

/// Deletes a tag, if it still points where the page said.
async fn delete_shown(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    tag: &Tag,
    digest: Option<&str>,
) -> Result<bool, Problem> {
    let Ok(digest) = digest.map(str::parse::<Digest>).transpose() else { return Ok(false) };
    // Absent tags are not recorded as deleted.
    if scene.registry().repository(name.clone()).tags().pushed_at(tag).await?.is_none() {
        return Ok(false);
    }
    let change = Change::DeleteTag { tag, digest: digest.as_ref() };
    let repository = changed(scene, visitor, name, change);
    Ok(delete_tag(&repository, tag, digest.as_ref()).await?)
}

async fn delete_everything(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    let form = &scene.visit.form;
    if form.get("name").map(str::trim) != Some(name.as_str()) {
        return preview(scene, visitor, name, Some(NotDeleted::Name)).await;
    }
    let contents = Contents::read(&scene.registry().repository(name.clone())).await?;
    if form.get("shown") != Some(&contents.fingerprint()) {
        return preview(scene, visitor, name, Some(NotDeleted::Changed)).await;
    }
    let change = Change::DeleteAll { tags: contents.tags.len(), images: contents.manifests.len() };
    let left = contents.delete(&changed(scene, visitor, name, change)).await?;
    let tags = left.tags.iter().take(MAX_NAMED).map(|(tag, _)| tag.to_string());
    let deleted =
        Deleted { moved: tags.collect(), is_whole: true, is_empty: left.is_empty(), ..Deleted::default() };
    Ok(deleted_page(scene, visitor, name, deleted))
}

/// The repository for a change by the visitor.
fn changed(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    change: Change<'_>,
) -> Repository {
    scene.visit.changes.repository(&scene.visit.parts, visitor.user.as_deref(), name.clone(), change)
}

/// The result of a deletion.
#[derive(Default)]
struct Deleted {
    deleted: Vec<String>,
    /// The tags that stayed.
    moved: Vec<String>,
    is_whole: bool,
    /// Whether the repository has nothing left.
    is_empty: bool,
}

fn deleted_page(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    deleted: Deleted,
) -> Reply {
    let f = scene.frame(Some(visitor));
    let Deleted { deleted, moved, is_whole, is_empty } = deleted;
    let page = DeletedPage {
        crumbs: crumbs(&f, name, true),
        deleted,
        moved,
        name: name.as_str(),
        is_whole,
        is_empty,
        restore: f.to(&Route::Restore(name.clone())),
        back: f.to(&Route::Tags(name.clone())),
        f: f.titled(scene.visit.language.deleted()),
    };
    reply::page(StatusCode::OK, &page)
}

fn check(scene: &PageContext<'_>, visitor: &Visitor, name: &RepositoryName) -> Result<(), Problem> {
    let limits = scene.registry().limits();
    if limits.read_only {
        return Err(Problem::Off(scene.visit.language.read_only()));
    }
    if !limits.delete {
        return Err(Problem::Off(scene.visit.language.delete_disabled()));
    }
    scene.check_right(visitor, Right::Delete, name)
}
