//! Tags that were removed, and their way back.

use askama::Template;
use http::StatusCode;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error, OnExistingTag, Remover};

use crate::changes::Change;
use crate::frame::Frame;
use crate::gate::{Right, Visitor};
use crate::pages::{Problem, Step, crumbs};
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The removals of a page.
const MAX_SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "restore.html")]
struct RestorePage {
    f: Frame,
    crumbs: Vec<Step>,
    message: Option<String>,
    may_restore: bool,
    rows: Vec<Removed>,
    others: usize,
    is_cut: bool,
    action: String,
    token: String,
}

struct Removed {
    tag: String,
    digest: String,
    link: Option<String>,
    whole_digest: String,
    at: Option<Moment>,
    by: String,
}

/// Lists the removed tags of a repository.
pub(crate) async fn show(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    problem: Option<(StatusCode, String)>,
) -> Result<Reply, Problem> {
    let repository = scene.registry().repository(name.clone());
    let removed = repository.tags().removed(None, MAX_SHOWN).await?;
    let f = scene.frame(Some(visitor));
    let sees_users = [Right::Push, Right::Delete].iter().any(|right| visitor.rights.may(*right, name));
    let mut rows = Vec::new();
    for it in removed.items {
        let place = Route::Image(name.clone(), Reference::Digest(it.digest.clone()));
        let is_there = repository.manifests().digest(&Reference::Digest(it.digest.clone())).await.is_ok();
        rows.push(Removed {
            tag: it.tag.to_string(),
            digest: shown::short(&it.digest),
            link: is_there.then(|| f.to(&place)),
            whole_digest: it.digest.to_string(),
            at: Moment::of(it.at),
            by: match it.by {
                // Names of users are for those who work on the repository.
                _ if !sees_users => String::new(),
                Remover::Unknown => String::new(),
                Remover::User(user) => shown::text(&user),
            },
        });
    }
    let place = Route::Restore(name.clone());
    let (status, message) =
        problem.map_or((StatusCode::OK, None), |(status, message)| (status, Some(message)));
    let page = RestorePage {
        crumbs: crumbs(&f, name, true),
        message,
        may_restore: !scene.registry().limits().read_only && visitor.rights.may(Right::Push, name),
        rows,
        others: usize::try_from(removed.left_out).unwrap_or(usize::MAX),
        is_cut: removed.is_cut,
        action: f.to(&place),
        token: scene.token(&place),
        f: f.titled(scene.visit.language.removed_tags()),
    };
    Ok(reply::page(status, &page))
}

/// Points a tag again at the image that it was removed from.
pub(crate) async fn restore(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    let t = scene.visit.language;
    if scene.registry().limits().read_only {
        return Err(Problem::Off(t.read_only()));
    }
    scene.check_right(visitor, Right::Push, name)?;
    let form = &scene.visit.form;
    let (tag, digest) =
        (form.get("tag").map(str::parse::<Tag>), form.get("digest").map(str::parse::<Digest>));
    let (Some(Ok(tag)), Some(Ok(digest))) = (tag, digest) else { return Err(Problem::NotFound) };
    let user = visitor.user.as_deref();
    let change = Change::Restore { tag: &tag, digest: &digest };
    let repository = scene.visit.changes.repository(&scene.visit.parts, user, name.clone(), change);
    let problem = match repository.tags().restore(&tag, Some(&digest), OnExistingTag::Keep).await {
        Ok(_) => {
            let place = Route::Image(name.clone(), Reference::Tag(tag));
            return Ok(reply::see_other(&scene.frame(None).to(&place)));
        }
        Err(Error::TagExists(..)) => t.tag_exists(tag.as_str()),
        Err(Error::ManifestUnknown(..) | Error::ManifestReferencesUnknown(_)) => t.image_collected(),
        Err(error) => return Err(error.into()),
    };
    show(scene, visitor, name, Some((StatusCode::CONFLICT, problem))).await
}
