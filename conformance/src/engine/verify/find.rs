//! Everything that is wrong is found, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver};
use sampan_engine::Registry;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{
    EndReason, Options, Problem, ProblemKind, Progress, RepairOutcome, Start, verify,
};

use super::super::client::{Client, Image, name, tag};
use super::seed::{damage, files, later, options, seeded};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::{Context, Failed};

pub(super) async fn what_is_whole_is_counted_and_left_alone(ctx: Context) -> Result<(), Failed> {
    let (client, _) = seeded(&ctx).await?;
    let before = files(ctx.driver()).await?;
    for repair in [false, true] {
        for threads in [0, 2] {
            let report = verify(&client.registry, &Options { threads, ..options(repair) }).await?;
            ensure(report.is_whole() && report.ending == EndReason::Finished, format_args!("{report:?}"))?;
            let Some(structure) = report.structure else { return Err(Failed::new("no structure was read")) };
            let counts = (structure.repositories, structure.tags, structure.manifests, structure.layer_links);
            equal(counts, (2, 4, 5, 10), "repositories, tags, manifests and links to layers")?;
            equal(
                (structure.foreign, structure.absent_children),
                (0, 0),
                "foreign files and absent children",
            )?;
            let Some(data) = report.data else { return Err(Failed::new("nothing was hashed")) };
            equal((data.blobs, data.of_blobs), (11, 11), "blobs")?;
            equal(data.bytes, data.of_bytes, "bytes")?;
            ensure(data.bytes > 40_000, format_args!("{data:?}"))?;
        }
    }
    ensure(files(ctx.driver()).await? == before, "a verification changed the store")?;
    let progress = Progress::read(&client.registry).await?;
    equal(progress.last.map(|last| (last.blobs, last.damaged)), Some((11, 0)), "the last cycle")
}

/// A damage to a file, by its content before.
pub(super) type Damage = fn(&Bytes) -> Option<Bytes>;

/// A damage to a file, the kind of problem that it is, whether the structure alone shows it, and who needs the file.
pub(super) type Row<'a> = (&'a str, &'a Entry, Damage, &'a str, bool, &'a [(&'a str, Vec<&'a str>)]);

pub(super) const FLIPPED: Damage = |content| {
    let mut content = content.to_vec();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    Some(content.into())
};
pub(super) const CUT: Damage = |content| Some(content.slice(..content.len() - 1));
pub(super) const LONGER: Damage = |content| Some([content, &b"x"[..]].concat().into());
pub(super) const EMPTY: Damage = |_| Some(Bytes::new());
pub(super) const GONE: Damage = |_| None;

/// Each damage, the kind of problem that it is, and whether the structure alone shows it.
pub(super) async fn each_damage_is_found_and_its_images_are_named(ctx: Context) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    let blob = |content: &Bytes| Entry::Blob(Digest::sha256_of(content));
    let (layer, config, manifest) = (blob(&image.layers[0]), blob(&image.config), blob(&image.manifest));
    let link = Entry::LayerLink(name("team/app"), Digest::sha256_of(&image.layers[0]));
    let revision = Entry::RevisionLink(name("team/app"), image.digest());
    let current = Entry::TagCurrent(name("team/app"), tag("v1"));
    let both = [("copy", vec!["latest"]), ("team/app", vec!["all", "v1"])];
    let one = [("team/app", vec!["all", "v1"])];
    let rows: [Row<'_>; 17] = [
        ("a bit of a layer", &layer, FLIPPED, "damaged", false, &both),
        ("the end of a layer", &layer, CUT, "damaged", true, &both),
        ("a longer layer", &layer, LONGER, "damaged", true, &both),
        ("an empty layer", &layer, EMPTY, "damaged", true, &both),
        ("a missing layer", &layer, GONE, "missing", true, &both),
        ("a bit of a configuration", &config, FLIPPED, "damaged", false, &both),
        ("a missing configuration", &config, GONE, "missing", true, &both),
        ("a bit of a manifest", &manifest, FLIPPED, "damaged", true, &both),
        ("the end of a manifest", &manifest, CUT, "damaged", true, &both),
        ("an empty manifest", &manifest, EMPTY, "damaged", true, &both),
        ("a missing manifest", &manifest, GONE, "missing", true, &both),
        ("a missing link", &link, GONE, "linkMissing", true, &one),
        ("an empty link", &link, EMPTY, "linkMissing", true, &one),
        ("a bit of a link", &link, FLIPPED, "linkDamaged", false, &[]),
        ("a bit of a manifest's link", &revision, FLIPPED, "linkDamaged", false, &[]),
        ("a missing manifest's link", &revision, GONE, "tagDangling", true, &[]),
        ("the end of a tag", &current, CUT, "tagDamaged", true, &[]),
    ];
    for (what, entry, damage, kind, is_structure, needed_by) in rows {
        let path = entry.path();
        let content = ctx.driver().get_content(&path).await?;
        match damage(&content) {
            Some(damaged) => ctx.driver().put_content(&path, damaged, PutMode::Overwrite).await?,
            None => ctx.driver().delete(&path).await?,
        }
        let before = files(ctx.driver()).await?;
        for data in [Some(Start::Beginning), None] {
            let report = verify(&client.registry, &Options { data, ..options(false) }).await?;
            let is_expected = data.is_some() || is_structure;
            let found: Vec<_> = report.problems.iter().map(|problem| kind_of(&problem.kind)).collect();
            // A tag whose manifest has no link is a second finding where the link is damaged; nothing else is.
            let expected = if is_expected { vec![kind] } else { vec![] };
            ensure(found == expected, format_args!("{what}: {:?}", report.problems))?;
            let needs = report.problems.first().map(needs).unwrap_or_default();
            let wanted = if is_expected { needed_by } else { &[] };
            let wanted: Vec<_> = wanted.iter().map(|(name, tags)| (*name, tags.clone())).collect();
            let shown: Vec<_> = needs
                .iter()
                .map(|(name, tags)| (name.as_str(), tags.iter().map(String::as_str).collect()))
                .collect();
            equal(shown, wanted, format_args!("{what}: who needs it"))?;
        }
        ensure(files(ctx.driver()).await? == before, format_args!("{what}: a report changed the store"))?;
        ctx.driver().put_content(&path, content, PutMode::Overwrite).await?;
    }
    let report = verify(&client.registry, &options(false)).await?;
    ensure(report.is_whole(), format_args!("after all: {report:?}"))
}

pub(super) fn kind_of(kind: &ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Damaged { .. } => "damaged",
        ProblemKind::Missing => "missing",
        ProblemKind::Unreadable { .. } => "unreadable",
        ProblemKind::LinkMissing => "linkMissing",
        ProblemKind::LinkDamaged { .. } => "linkDamaged",
        ProblemKind::TagDangling { .. } => "tagDangling",
        ProblemKind::TagDamaged { .. } => "tagDamaged",
    }
}

/// Repositories and tags of those that need it.
pub(super) fn needs(problem: &Problem) -> BTreeMap<String, Vec<String>> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for need in &problem.needed_by {
        needs.entry(need.repository.clone()).or_default().extend(need.tags.clone());
    }
    needs.values_mut().for_each(|tags| {
        tags.sort_unstable();
        tags.dedup();
    });
    needs
}

pub(super) async fn much_damage_moves_nothing(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let mut damaged = 0;
    for number in 0..6 {
        let image = Image::new(number);
        client.push_image("app", &image, &format!("v{number}")).await?;
        for layer in &image.layers {
            damage(&ctx, layer).await?;
            damaged += 1;
        }
    }
    let before = files(ctx.driver()).await?;
    let report = verify(&client.registry, &options(true)).await?;
    equal(report.ending, EndReason::TooMuch, "the end")?;
    equal((report.count(), report.moved()), (damaged, 0), "what was found and moved")?;
    let are_left = report.problems.iter().all(|problem| matches!(problem.outcome, RepairOutcome::Left(_)));
    ensure(are_left, format_args!("{report:?}"))?;
    ensure(files(ctx.driver()).await? == before, "something was moved")?;
    // Nor is the store emptied part by part.
    let (client, mut moved, mut last) = (later(&ctx).await?, 0, EndReason::Finished);
    for part in 1..=16 {
        let up_to = if part == 16 { u64::MAX } else { u64::MAX / 16 * part };
        let slice = Options { structure: false, data: Some(Start::Continue), up_to, ..options(true) };
        let report = verify(&client.registry, &slice).await?;
        moved += report.moved();
        if report.count() > 0 {
            last = report.ending;
        }
    }
    ensure(moved <= 10 && last == EndReason::TooMuch, format_args!("{moved} were moved; at last {last:?}"))
}

/// Fails to read one file.
#[derive(Debug)]
struct BadSector(DriverPath);

#[async_trait]
impl Hook for BadSector {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        match operation {
            Operation::Reader | Operation::GetContent if *path == self.0 => {
                Err(DriverError::new(ErrorKind::Other, "test", operation, path).with_source("bad sector"))
            }
            _ => Ok(()),
        }
    }
}

pub(super) async fn an_unreadable_file_is_reported_and_stays(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let current = Entry::TagCurrent(name("copy"), tag("latest")).path();
    for path in
        [Entry::Blob(image.digest()).path(), Entry::Blob(Digest::sha256_of(&image.layers[0])).path(), current]
    {
        let before = files(ctx.driver()).await?;
        let bad: Arc<dyn StorageDriver> =
            Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(BadSector(path.clone()))));
        let report = verify(&Registry::builder(bad).build(), &options(true)).await?;
        let found: Vec<_> = report.problems.iter().map(|it| (it.path.as_str(), kind_of(&it.kind))).collect();
        equal(found, vec![(path.as_str(), "unreadable")], format_args!("{report:?}"))?;
        ensure(files(ctx.driver()).await? == before, format_args!("{path} was changed"))?;
    }
    Ok(())
}
