//! The tags of a repository, by push, version, name or size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use askama::Template;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Dated, ImageKind, ImageSummary, ReferrersQuery, Repository};
use serde::Serialize;

use super::commands::commands;
use super::delete::may_delete;
use super::page_budget::{FittedList, PageBudget};
use super::tag_order::{TagOrder, sort_by_size};
use crate::frame::Frame;
use crate::gate::Visitor;
use crate::kind::{is_damage, kind_name, platforms, referrer_kind};
use crate::pages::{Column, Problem, Step, crumbs};
use crate::query::query;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::tag_sizes::tagged_image;
use crate::ui::PageContext;

/// The tags of a page.
const PAGE: usize = 50;

/// The room for them, in bytes.
const LIST_BYTES: usize = 80 << 10;

/// The marks of a row beyond those of a simple list, in bytes.
const ROW_BYTES: usize = 600;

/// How many rows are read from the store at a time.
const CONCURRENT_READS: usize = 8;

/// The most referrers of an image that are looked at for its badges.
const MAX_BADGES: usize = 16;

#[derive(Template)]
#[template(path = "tags.html")]
struct TagsPage<'a> {
    f: Frame,
    crumbs: Vec<Step>,
    name: &'a str,
    q: &'a str,
    notes: Vec<String>,
    count: usize,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Where the form of a deletion goes; `None` for those who may not delete.
    delete: Option<String>,
    removed: String,
    next: Option<String>,
    first: String,
    is_later: bool,
}

struct Row {
    tag: String,
    link: String,
    digest: String,
    image_link: String,
    pushed: Option<Moment>,
    version: String,
    kind: String,
    platforms: String,
    size: String,
    same: Option<String>,
    badges: Vec<Badge>,
    command: String,
}

impl Row {
    /// The length in HTML without the marks, in bytes.
    fn length(&self) -> usize {
        // The tag is in its name, its box and the label of that; the command is copied and read out.
        let plain = 3 * self.tag.len() + 2 * self.link.len() + self.image_link.len() + 2 * self.command.len();
        let texts = [&self.version, &self.platforms].map(|text| shown::escaped_length(text));
        let badges: usize = self.badges.iter().map(|badge| badge.text.len()).sum();
        plain + texts.iter().sum::<usize>() + self.same.as_ref().map_or(0, String::len) + badges + ROW_BYTES
    }
}

struct Badge {
    text: String,
    is_good: bool,
}

/// The twin in JSON.
#[derive(Serialize)]
struct Listing<'a> {
    name: &'a str,
    tags: Vec<Listed<'a>>,
    /// The number of tags that come last because their size is not known yet, if the list is sorted by size.
    #[serde(rename = "sizesUnknown", skip_serializing_if = "Option::is_none")]
    sizes_unknown: Option<usize>,
    /// The query of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Listed<'a> {
    tag: &'a str,
    digest: Option<String>,
    pushed: Option<String>,
    created: Option<String>,
    kind: ImageKind,
    platforms: &'a [String],
    size: u64,
}

/// The values of a row, read from the store.
struct Read {
    tag: Tag,
    pushed: SystemTime,
    /// `None` for a tag whose image cannot be found.
    image: Option<(Digest, Arc<ImageSummary>)>,
    referrer_types: Vec<String>,
}

/// Shows a page of the list.
pub(crate) async fn show(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    let repository = scene.registry().repository(name.clone());
    let fields = &scene.visit.query;
    let q = fields.get("q").unwrap_or_default().trim();
    let wanted = fields.get("sort");
    let sort = wanted.and_then(TagOrder::of_code).unwrap_or(TagOrder::Pushed);
    let after = fields.get("after");
    let times = repository.tags().times().await?;
    let mut tags = times.items;
    let (count, needle) = (tags.len(), q.to_lowercase());
    if !needle.is_empty() {
        tags.retain(|it| it.what.as_str().to_lowercase().contains(&needle));
    }
    let mut sizes_unknown = None;
    match sort {
        // Later pages read no more sizes, so the list stays as the first page had it.
        TagOrder::Size => {
            let sizes = scene.tag_sizes().of(&repository, &tags, after.is_none()).await?;
            sizes_unknown = Some(sort_by_size(&mut tags, &sizes));
        }
        _ => sort.sort(&mut tags),
    }
    // A tag that is gone meanwhile begins the list again.
    let start =
        after.and_then(|after| tags.iter().position(|it| it.what.as_str() == after)).map_or(0, |at| at + 1);
    let shown: Vec<_> = tags.iter().skip(start).take(PAGE).cloned().collect();
    let has_more = start + shown.len() < tags.len();
    let reads = stream::iter(shown).map(|it| read(&repository, it)).buffered(CONCURRENT_READS);
    let reads: Vec<Read> = reads.try_collect().await?;

    let f = scene.frame(Some(visitor));
    let t = f.t;
    let link = |sort: TagOrder, after: &str| {
        let sort = if sort == TagOrder::Pushed { "" } else { sort.code() };
        query(&[("q", q), ("sort", sort), ("after", after)])
    };
    let next = |last: Option<&Read>, has_more: bool| {
        last.filter(|_| has_more).map(|last| link(sort, last.tag.as_str()))
    };
    if scene.visit.wants_json() {
        let next = next(reads.last(), has_more);
        let tags = reads.iter().map(listed).collect();
        return Ok(reply::json(
            StatusCode::OK,
            &Listing { name: name.as_str(), tags, sizes_unknown, next: next.as_deref() },
        ));
    }
    let mut notes = Vec::new();
    if let Some(wanted) = wanted.filter(|it| TagOrder::of_code(it).is_none()) {
        notes.push(t.unknown_sort(&shown::text(wanted)));
    }
    if let Some(count) = sizes_unknown.filter(|count| *count > 0) {
        notes.push(t.sizes_unknown(count));
    }
    if times.left_out > 0 {
        notes.push(t.not_shown(usize::try_from(times.left_out).unwrap_or(usize::MAX)));
    }
    let list = f.to(&Route::Tags(name.clone()));
    let mut room = PageBudget::of(LIST_BYTES);
    let rows = rows(scene, &f, name, &reads);
    let rows = FittedList::of(&mut room, rows.into_iter(), |row| {
        let length = row.length();
        (row, length)
    });
    let next = next(reads[..rows.items.len()].last(), has_more || rows.others > 0);
    let column = |name: String, of: Option<TagOrder>, is_number: bool| Column {
        name,
        link: of.filter(|it| *it != sort).map(|it| format!("{list}{}", link(it, ""))),
        is_number,
        is_sorted: of == Some(sort),
        direction: if sort == TagOrder::Name { "ascending" } else { "descending" },
    };
    let page = TagsPage {
        crumbs: crumbs(&f, name, false),
        name: name.as_str(),
        q,
        notes,
        count,
        columns: vec![
            column(t.tag(), Some(TagOrder::Name), false),
            column(t.version(), Some(TagOrder::Version), false),
            column(t.pushed(), Some(TagOrder::Pushed), false),
            column(t.kind(), None, false),
            column(t.size(), Some(TagOrder::Size), true),
            column(t.image(), None, false),
            column(t.pull(), None, false),
        ],
        rows: rows.items,
        delete: may_delete(scene, visitor, name).then(|| f.to(&Route::Delete(name.clone()))),
        removed: f.to(&Route::Restore(name.clone())),
        next: next.map(|query| format!("{list}{query}")),
        first: format!("{list}{}", link(sort, "")),
        is_later: start > 0,
        f: f.titled(name.as_str()),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

async fn read(repository: &Repository, pointed: Dated<Tag>) -> Result<Read, Problem> {
    let Dated { at: pushed, what: tag } = pointed;
    let found = tagged_image(repository, &tag).await?;
    let mut referrer_types = Vec::new();
    if let Some((digest, _)) = &found {
        let query = ReferrersQuery { limit: MAX_BADGES, max_bytes: 256 << 10, ..ReferrersQuery::default() };
        let referrers = repository.referrers().list(digest, &query).await?;
        referrer_types.extend(referrers.descriptors.iter().filter_map(|it| it.descriptor().artifact_type));
    }
    Ok(Read { tag, pushed, image: found, referrer_types })
}

fn rows(scene: &PageContext<'_>, f: &Frame, name: &RepositoryName, reads: &[Read]) -> Vec<Row> {
    let mut by_digest: HashMap<&Digest, Vec<&Tag>> = HashMap::new();
    for read in reads {
        if let Some((digest, _)) = &read.image {
            by_digest.entry(digest).or_default().push(&read.tag);
        }
    }
    let others = |read: &Read| {
        let (digest, _) = read.image.as_ref()?;
        let others: Vec<&str> =
            by_digest.get(digest)?.iter().filter(|tag| **tag != &read.tag).map(|tag| tag.as_str()).collect();
        let named = others.iter().take(3).copied().collect::<Vec<_>>().join(&f.t.list_separator());
        let more = others.len().saturating_sub(3);
        let more = if more == 0 { String::new() } else { format!(" {}", f.t.and_more(more)) };
        (!others.is_empty()).then(|| f.t.same_image(&format!("{named}{more}")))
    };
    reads.iter().map(|read| row(scene, f, name, read, others(read))).collect()
}

fn row(scene: &PageContext<'_>, f: &Frame, name: &RepositoryName, read: &Read, same: Option<String>) -> Row {
    let t = f.t;
    let reference = Reference::Tag(read.tag.clone());
    let mut kinds: Vec<String> = read.referrer_types.iter().map(|it| referrer_kind(t, it)).collect();
    kinds.sort();
    kinds.dedup();
    let mut badges: Vec<Badge> = kinds.into_iter().map(|text| Badge { text, is_good: true }).collect();
    let kind = read.image.as_ref().map_or(ImageKind::Unknown, |(_, summary)| summary.kind);
    let command = commands(scene.pull_host(), name, &reference, kind).swap_remove(0);
    let is_whole = read.image.as_ref().is_some_and(|(_, summary)| !summary.gaps.iter().any(is_damage));
    if !is_whole {
        badges.push(Badge { text: t.damaged(), is_good: false });
    }
    let summary = read.image.as_ref().map(|(_, summary)| summary);
    let image = read.image.as_ref().map(|(digest, _)| digest);
    let by_digest = |digest: &Digest| f.to(&Route::Image(name.clone(), Reference::Digest(digest.clone())));
    Row {
        tag: read.tag.to_string(),
        link: f.to(&Route::Image(name.clone(), reference)),
        digest: image.map(shown::short).unwrap_or_default(),
        image_link: image.map(by_digest).unwrap_or_default(),
        pushed: Moment::of(read.pushed),
        version: summary
            .and_then(|it| it.version.as_deref())
            .map(|it| shown::brief(it, 40))
            .unwrap_or_default(),
        kind: summary.map(|it| kind_name(t, it)).unwrap_or_else(|| t.unknown()),
        platforms: summary.map(|it| shown::brief(&platforms(it), 120)).unwrap_or_default(),
        size: summary.map(|it| shown::size(it.size_bytes)).unwrap_or_default(),
        same,
        badges,
        command: command.command,
    }
}

fn listed(read: &Read) -> Listed<'_> {
    let summary = read.image.as_ref().map(|(_, summary)| &**summary);
    let machine = |time| Moment::of(time).map(|moment| moment.machine);
    Listed {
        tag: read.tag.as_str(),
        digest: read.image.as_ref().map(|(digest, _)| digest.to_string()),
        pushed: machine(read.pushed),
        created: summary.and_then(|it| it.created).and_then(machine),
        kind: summary.map_or(ImageKind::Unknown, |it| it.kind),
        platforms: summary.map(|it| it.platforms.as_slice()).unwrap_or_default(),
        size: summary.map_or(0, |it| it.size_bytes),
    }
}
