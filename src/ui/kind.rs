//! The kind of an image, in words.

use sampan_engine::oci::Descriptor;
use sampan_engine::{Gap, ImageKind, ImageSummary};

use super::language::Language;
use super::shown;

/// The most platforms that a list names.
const MAX_PLATFORMS: usize = 8;

/// The kind of an image.
pub(crate) fn kind_name(t: Language, summary: &ImageSummary) -> String {
    match summary.kind {
        ImageKind::Image => t.kind_image(),
        ImageKind::Index => t.kind_index(),
        ImageKind::Chart => t.kind_chart(),
        ImageKind::Artifact => referrer_kind(t, summary.artifact_type.as_deref().unwrap_or_default()),
        ImageKind::Unknown => t.kind_unknown(),
    }
}

/// The kind of an artifact, by the types that signers and scanners use.
pub(crate) fn referrer_kind(t: Language, artifact_type: &str) -> String {
    let has = |part: &str| artifact_type.contains(part);
    if has("sigstore.bundle") || has("cosign.simplesigning") || has("notary") || has("cosign.artifact.sig") {
        t.kind_signature()
    } else if has("spdx") || has("cyclonedx") || has("syft") || has("sbom") {
        t.kind_sbom()
    } else if has("in-toto") || has("dsse") {
        t.kind_attestation()
    } else {
        t.kind_artifact()
    }
}

/// Whether a child of an index is BuildKit's attestation of another child, and no image.
pub(crate) fn is_attestation(child: &Descriptor) -> bool {
    child.annotations.contains_key("vnd.docker.reference.type")
}

/// The platforms of an image in a line.
pub(crate) fn platforms(summary: &ImageSummary) -> String {
    let named: Vec<String> =
        summary.platforms.iter().take(MAX_PLATFORMS).map(|platform| shown::text(platform)).collect();
    let others = summary.platforms.len().saturating_sub(MAX_PLATFORMS);
    let more = if others == 0 { String::new() } else { format!(" +{others}") };
    format!("{}{more}", named.join(", "))
}

/// Whether something is missing or wrong, and not only large.
pub(crate) fn is_damage(gap: &Gap) -> bool {
    match gap {
        Gap::ManifestDamaged | Gap::ManifestUnreadable(_) | Gap::ConfigMissing | Gap::ConfigDamaged => true,
        Gap::ChildrenMissing(_) | Gap::ChildrenUnreadable(_) | Gap::ConfigUnreadable(_) => true,
        Gap::ConfigTooLarge(_) | Gap::ChildrenLeftOut(_) | Gap::PlatformsLeftOut(_) => false,
    }
}
