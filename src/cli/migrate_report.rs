//! Prints the reports of a migration.

use std::collections::BTreeMap;

use sampan_driver::HumanSize;
use sampan_engine::FirstItems;
use sampan_engine::migrate::{Amounts, Broken, Comparison, DifferenceKind, Pass, StoreCounts, Unlinked};
use sampan_engine::oci::Digest;

use super::terminal::{count, printable, say};

/// How many things of a kind are listed.
const MAX_LISTED: usize = 100;

/// The numbers of files, without those that are zero.
pub(super) fn amounts(amounts: &Amounts) -> String {
    let Amounts { tags, history, revisions, layer_links, blobs, bytes, others } = *amounts;
    let mut parts = Vec::new();
    if blobs > 0 {
        parts.push(format!("{} ({})", count(blobs, "blob"), HumanSize(bytes)));
    }
    let rest = [
        (layer_links, "layer link"),
        (revisions, "manifest"),
        (history, "history entry"),
        (tags, "tag"),
        (others, "other file"),
    ];
    parts.extend(rest.iter().filter(|(number, _)| *number > 0).map(|(number, one)| count(*number, one)));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// Lists what a pass could not copy, and why.
pub(super) fn print_findings(pass: &Pass) {
    let image = |Broken { repository, manifest, tag, .. }: &Broken| match tag {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{manifest}"),
    };
    let mut broken: BTreeMap<&Digest, Vec<String>> = BTreeMap::new();
    for one in &pass.broken.items {
        broken.entry(&one.because).or_default().push(image(one));
    }
    list(&pass.unlinked, "without a link at the source", |Unlinked { repository, digest }| {
        let of_it = |one: &&Broken| one.because == *digest && one.repository == *repository;
        let images: Vec<_> = pass.broken.items.iter().filter(of_it).map(image).collect();
        let images = match images.is_empty() {
            true => String::new(),
            false => format!("; not copied because of it: {}", images.join(", ")),
        };
        format!("{repository}@{digest}: `registry verify --repair` writes it{images}")
    });
    list(&pass.damaged, "damaged at the source, and not copied", |damaged| {
        let images = broken.remove(&damaged.digest).unwrap_or_default();
        let images = match images.is_empty() {
            true => String::new(),
            false => format!("; not copied because of it: {}", images.join(", ")),
        };
        format!("{}: {}{images}", damaged.digest, damaged.reason)
    });
    list(&pass.missing, "missing at the source", |digest| {
        let images = broken.remove(digest).unwrap_or_default();
        match images.is_empty() {
            true => digest.to_string(),
            false => format!("{digest}; not copied because of it: {}", images.join(", ")),
        }
    });
    list(&pass.unreadable, "no link, and not copied", ToString::to_string);
    list(&pass.unseen, "not visible at the source", |place| format!("{}: {}", place.path, place.reason));
    let dangling = match pass.lost_tags {
        0 => "leads nowhere at the source, and not copied",
        // The backups may have the image from an earlier run.
        _ => "leads nowhere at the source",
    };
    list(&pass.dangling, dangling, ToString::to_string);
    list(&pass.foreign, "no file of a registry, and not copied", ToString::to_string);
}

/// Prints what both stores hold, and where they differ.
pub(super) fn print_comparison(comparison: &Comparison) {
    say("\tSOURCE\tTARGET");
    for ((kind, source), (_, target)) in rows(&comparison.source).into_iter().zip(rows(&comparison.target)) {
        say(format!("{kind}\t{source}\t{target}"));
    }
    list(&comparison.differences, "differs", |difference| {
        let how = match difference.how {
            DifferenceKind::Missing => "only in the source",
            DifferenceKind::Extra => "only in the target",
            DifferenceKind::Lost => "only in the target, and needed: the source has lost it",
            DifferenceKind::Vanished => "only in the target: the source has no access tokens any more",
            DifferenceKind::LeadsNowhere => {
                "leads nowhere in both stores: push the image again, or delete the tag"
            }
            DifferenceKind::Other => "another content",
        };
        format!("{}: {how}", difference.path)
    });
    list(&comparison.kept, "kept, though the source has lost it", ToString::to_string);
}

fn rows(holdings: &StoreCounts) -> [(&'static str, u64); 6] {
    let StoreCounts { repositories, tags, revisions, layer_links, blobs, bytes } = *holdings;
    [
        ("repositories", repositories),
        ("tags", tags),
        ("manifests", revisions),
        ("layer links", layer_links),
        ("blobs", blobs),
        ("bytes", bytes),
    ]
}

/// Lists the first of many things.
pub(super) fn list<T>(named: &FirstItems<T>, what: &str, mut show: impl FnMut(&T) -> String) {
    for item in named.items.iter().take(MAX_LISTED) {
        say(printable(&format!("{what}: {}", show(item))));
    }
    let more = named.count.saturating_sub(MAX_LISTED as u64);
    if more > 0 {
        say(format!("{what}: {more} more"));
    }
}
