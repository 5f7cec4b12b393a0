//! The reports of a migration as JSON.

use sampan_engine::FirstItems;
use sampan_engine::migrate::{Amounts, Broken, Comparison, DifferenceKind, Pass, StoreCounts};
use serde_json::{Value, json};

/// The copies and findings of a pass.
pub(super) fn pass(pass: &Pass) -> Value {
    let Pass { copied, damaged, missing, unlinked, broken, unreadable, dangling, foreign, unseen, .. } = pass;
    let path = |path: &sampan_driver::DriverPath| json!(path.as_str());
    json!({
        "copied": amounts(copied),
        "damaged": named(damaged, |it| json!({ "digest": it.digest, "reason": it.reason })),
        "missing": named(missing, |digest| json!(digest)),
        "unlinked": named(unlinked, |it| json!({ "repository": it.repository.as_str(), "digest": it.digest })),
        "broken": named(broken, |Broken { repository, manifest, tag, because }| json!({
            "repository": repository.as_str(),
            "manifest": manifest,
            "tag": tag.as_ref().map(ToString::to_string),
            "because": because,
        })),
        "unreadable": named(unreadable, path),
        "dangling": named(dangling, path),
        "foreign": named(foreign, path),
        "unseen": named(unseen, |it| json!({ "path": it.path.as_str(), "reason": it.reason })),
        "is_whole": pass.is_whole(),
    })
}

/// Numbers of files, by kind, and their bytes.
pub(super) fn amounts(amounts: &Amounts) -> Value {
    let Amounts { tags, history, revisions, layer_links, blobs, bytes, others } = *amounts;
    json!({
        "tags": tags,
        "history": history,
        "manifests": revisions,
        "layer_links": layer_links,
        "blobs": blobs,
        "bytes": bytes,
        "others": others,
    })
}

/// The content of both stores, and their differences.
pub(super) fn comparison(comparison: &Comparison) -> Value {
    let Comparison { source, target, differences, kept } = comparison;
    json!({
        "source": holdings(source),
        "target": holdings(target),
        "differences": named(differences, |it| json!({
            "path": it.path.as_str(),
            "how": match it.how {
                DifferenceKind::Missing => "only_in_source",
                DifferenceKind::Extra => "only_in_target",
                DifferenceKind::Lost => "lost_at_source",
                DifferenceKind::Vanished => "vanished_at_source",
                DifferenceKind::LeadsNowhere => "leads_nowhere",
                DifferenceKind::Other => "other_content",
            },
        })),
        "kept": named(kept, |path| json!(path.as_str())),
        "is_equal": comparison.is_equal(),
    })
}

fn holdings(holdings: &StoreCounts) -> Value {
    let StoreCounts { repositories, tags, revisions, layer_links, blobs, bytes } = *holdings;
    json!({
        "repositories": repositories,
        "tags": tags,
        "manifests": revisions,
        "layer_links": layer_links,
        "blobs": blobs,
        "bytes": bytes,
    })
}

/// The number of all, and the first of them.
/// The first items of a long list, and the number of all.
pub(super) fn named<T>(named: &FirstItems<T>, item: impl Fn(&T) -> Value) -> Value {
    json!({ "count": named.count, "first": named.items.iter().map(item).collect::<Vec<_>>() })
}
