//! Deletion: first what goes and what stays, then the act, of exactly what was shown.

use askama::Template;
use futures::TryStreamExt;
use http::StatusCode;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error, Repository};

use super::deletion_plan::{DeletionPlan, Selection};
use crate::changes::Change;
use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Problem, Step, crumbs};
use crate::place::Place;
use crate::reply::{self, Reply};
use crate::shown;
use crate::ui::Scene;

/// The most tags of one deletion, but for that of a whole repository.
const MAX_TAGS: usize = 1000;

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
    missing: Vec<String>,
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
    let f = scene.frame(Some(visitor));
    let back = f.to(&Place::Tags(name.clone()));
    if named.is_empty() && !whole {
        return Ok(reply::see_other(&back));
    }
    let repository = scene.registry().repository(name.clone());
    let selection = if whole { Selection::Everything } else { Selection::Tags(named.clone()) };
    let plan = DeletionPlan::of(&repository, selection).await?;
    let is_there = |tag: &&Tag| !plan.tags.iter().any(|(going, _)| going == *tag);
    let missing = named.iter().filter(is_there).map(ToString::to_string).collect();
    let status = if message.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let place = Place::Delete(name.clone());
    let shown_tags = if whole { MAX_NAMED } else { MAX_TAGS };
    let page = DeletePage {
        crumbs: crumbs(&f, name, true),
        name: name.as_str(),
        message,
        whole,
        tag_count: plan.tags.len(),
        tags: plan.tags.iter().take(shown_tags).map(|(tag, digest)| going(tag, digest)).collect(),
        stay: plan.stay.iter().take(MAX_NAMED).map(ToString::to_string).collect(),
        image_count: plan.images.len(),
        images: plan
            .images
            .iter()
            .take(MAX_NAMED)
            .map(|(digest, size)| {
                let place = Place::Image(name.clone(), Reference::Digest(digest.clone()));
                Image { digest: shown::short(digest), link: f.to(&place), size: shown::size(*size) }
            })
            .collect(),
        missing,
        action: f.to(&place),
        token: scene.token(&place),
        back,
        f: f.titled(scene.visit.language.delete()),
    };
    Ok(reply::page(status, &page))
}

fn going(tag: &Tag, digest: &Digest) -> Going {
    Going { tag: tag.to_string(), digest: shown::short(digest), target: format!("{tag}@{digest}") }
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
        let targets = form.all("target").take(MAX_TAGS).filter_map(|target| target.split_once('@'));
        for (tag, digest) in targets {
            let (Ok(tag), Ok(digest)) = (tag.parse::<Tag>(), digest.parse::<Digest>()) else { continue };
            match repository.manifests().delete_tag_of(&tag, &digest).await? {
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
