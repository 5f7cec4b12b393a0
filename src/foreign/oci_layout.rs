//! The list of an OCI image layout (OCI image-spec, `image-layout.md`, "index.json file") and the names in it.
//!
//! containerd, docker and buildkit write the full name as `io.containerd.image.name` and the tag as
//! `org.opencontainers.image.ref.name`; skopeo and podman write the latter alone, with a repository or without; regctl and oras
//! write the tag. hauler's signatures have the name of their image as the former.

use std::collections::HashMap;

use bytes::Bytes;
use sampan_engine::oci::{Descriptor, Digest, Manifest, Tag, media_type};
use serde::Deserialize;

use crate::archive::Archive;
use crate::entry_name::EntryName;
use crate::image_name::{HostPolicy, ImageName};
use crate::listing::{ListedImage, Naming};
use crate::{Error, Result};

/// The longest list, in bytes: some 200,000 names.
pub(crate) const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The longest `oci-layout`, in bytes.
const MAX_LAYOUT_BYTES: u64 = 64 << 10;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The kind of an entry of hauler (hauler, `pkg/consts`, `KindAnnotationName`).
const KIND: &str = "kind";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

/// The images of a layout.
///
/// # Errors
///
/// `Damaged` when its documents are not what the specification says; when they cannot be read.
pub(crate) fn list(archive: &Archive, hosts: HostPolicy) -> Result<Vec<ListedImage>> {
    if let Some(layout) = archive.document(&EntryName::OciLayout, MAX_LAYOUT_BYTES)? {
        check_layout(&layout)?;
    }
    let found = match archive.document(&EntryName::HaulerIndex, MAX_INDEX_BYTES)? {
        Some(index) => Some((EntryName::HaulerIndex, index)),
        None => archive.document(&EntryName::Index, MAX_INDEX_BYTES)?.map(|index| (EntryName::Index, index)),
    };
    let Some((name, index)) = found else { return Ok(Vec::new()) };
    let index = Manifest::parse(&index, Some(media_type::OCI_INDEX));
    let index = index.map_err(|problem| Error::damaged(&name, problem.to_string()))?;
    let bases = bases(&index.manifests);
    let listed = index.manifests.iter().map(|descriptor| ListedImage {
        digest: descriptor.digest.clone(),
        naming: naming(descriptor, hosts, &bases),
    });
    Ok(listed.collect())
}

fn check_layout(layout: &Bytes) -> Result<()> {
    let damaged = |problem: String| Err(Error::damaged("oci-layout", problem));
    match serde_json::from_slice::<LayoutFile>(layout) {
        Ok(file) if file.image_layout_version.starts_with("1.") => Ok(()),
        Ok(file) => damaged(format!("it has version {:?}, and 1.x is known", file.image_layout_version)),
        Err(error) => damaged(error.to_string()),
    }
}

/// The digest of the image of each name, for signatures that have its name.
fn bases(descriptors: &[Descriptor]) -> HashMap<&str, &Digest> {
    let images =
        descriptors.iter().filter(|it| !matches!(kind_of(it), Kind::Attached { .. } | Kind::Referrer));
    images.flat_map(|image| names_of(image).map(move |name| (name, &image.digest))).collect()
}

fn names_of(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    let annotation = |name| descriptor.annotations.get(name).map(String::as_str);
    annotation(CONTAINERD_NAME).into_iter().chain(annotation(REF_NAME))
}

/// The kind of an entry of hauler.
enum Kind<'a> {
    Image,
    /// A signature, attestation or SBOM, by the tag that cosign gives it; hauler has the name of its image instead.
    Attached {
        suffix: &'static str,
        /// The digest of the image, if it is a child of the one with the name.
        hex: Option<&'a str>,
    },
    Referrer,
}

fn kind_of(descriptor: &Descriptor) -> Kind<'_> {
    let kind = descriptor.annotations.get(KIND).map(String::as_str).unwrap_or_default();
    let kind = kind.strip_prefix("dev.hauler/").or_else(|| kind.strip_prefix("dev.cosignproject.cosign/"));
    let (kind, hex) = match kind.unwrap_or_default().split_once('/') {
        Some((kind, hex)) => (kind, Some(hex)),
        None => (kind.unwrap_or_default(), None),
    };
    match kind {
        "sigs" => Kind::Attached { suffix: "sig", hex },
        "atts" => Kind::Attached { suffix: "att", hex },
        "sboms" => Kind::Attached { suffix: "sbom", hex },
        "referrers" => Kind::Referrer,
        _ => Kind::Image,
    }
}

fn naming(descriptor: &Descriptor, hosts: HostPolicy, bases: &HashMap<&str, &Digest>) -> Naming {
    let reference = descriptor.annotations.get(REF_NAME);
    let full = full_name(descriptor, hosts);
    match (kind_of(descriptor), full) {
        (Kind::Referrer, _) => Naming::Nothing,
        (Kind::Attached { suffix, hex }, Some(name)) => {
            let base = || names_of(descriptor).find_map(|name| bases.get(name)).map(|digest| digest.hex());
            let tag = hex.or_else(base).and_then(|hex| format!("sha256-{hex}.{suffix}").parse().ok());
            Naming::Full(ImageName { tag: tag.or(name.tag), ..name })
        }
        (_, Some(name)) => Naming::Full(name),
        (_, None) => match reference.and_then(|reference| reference.parse::<Tag>().ok()) {
            Some(tag) => Naming::Tag(tag),
            None => Naming::Nothing,
        },
    }
}

/// The full name of an entry, if it has one.
fn full_name(descriptor: &Descriptor, hosts: HostPolicy) -> Option<ImageName> {
    let parse = |annotation: &str, hosts| {
        descriptor.annotations.get(annotation).and_then(|text| ImageName::parse(text, hosts).ok())
    };
    let (name, reference) = (parse(CONTAINERD_NAME, hosts), parse(REF_NAME, hosts));
    let (Some(name), Some(reference)) = (&name, &reference) else { return name.or(reference) };
    // hauler gives what is attached to an image the name of that image, and its own only as a reference, without the host.
    let is_same_repository = parse(CONTAINERD_NAME, HostPolicy::Cut).map(|name| name.repository)
        == parse(REF_NAME, HostPolicy::Cut).map(|name| name.repository);
    Some(match is_same_repository {
        true => ImageName { repository: name.repository.clone(), tag: reference.tag.clone() },
        false => reference.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptor(content: &str, annotations: &[(&str, &str)]) -> Descriptor {
        let annotations: HashMap<_, _> = annotations.iter().copied().collect();
        let digest = Digest::sha256_of(content.as_bytes());
        let json = json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1, "annotations": annotations });
        serde_json::from_value(json).unwrap()
    }

    fn name(naming: Naming) -> String {
        match naming {
            Naming::Full(name) => name.to_string(),
            Naming::Tag(tag) => format!(":{tag}"),
            Naming::Nothing => String::new(),
        }
    }

    #[test]
    fn names_come_from_the_annotations_of_each_tool() {
        let hex = "a".repeat(64);
        let child = format!("dev.hauler/sigs/{hex}");
        let attached = format!("team/app:sha256-{hex}.sig");
        let (image, digest) = ("registry.example/team/app:1", Digest::sha256_of(b"image"));
        let base_sig = format!("team/app:sha256-{}.sig", digest.hex());
        let base_att = format!("team/app:sha256-{}.att", digest.hex());
        let by_digest = format!("team/app@{digest}");
        for (annotations, expected) in [
            (vec![(CONTAINERD_NAME, "docker.io/library/app:1"), (REF_NAME, "1")], "library/app:1"),
            (vec![(REF_NAME, "quay.io/team/app:1")], "team/app:1"),
            (vec![(REF_NAME, "latest")], ":latest"),
            (vec![], ""),
            (vec![(CONTAINERD_NAME, "quay.io/Team/App:1")], ""),
            (vec![(REF_NAME, &by_digest)], "team/app"),
            (
                vec![(CONTAINERD_NAME, image), (REF_NAME, "team/app:1"), (KIND, "dev.hauler/image")],
                "team/app:1",
            ),
            (vec![(CONTAINERD_NAME, image), (REF_NAME, "team/app:1"), (KIND, "dev.hauler/sigs")], &base_sig),
            (vec![(REF_NAME, "team/app:1"), (KIND, "dev.cosignproject.cosign/atts")], &base_att),
            (vec![(CONTAINERD_NAME, image), (REF_NAME, "team/app:1"), (KIND, &child)], &attached),
            (vec![(CONTAINERD_NAME, image), (REF_NAME, &attached)], &attached),
            (vec![(REF_NAME, "team/app:1"), (KIND, "dev.hauler/referrers/x")], ""),
        ] {
            let base = descriptor("image", &[(CONTAINERD_NAME, image), (REF_NAME, "team/app:1")]);
            let descriptors = [base, descriptor("it", &annotations)];
            let found = naming(&descriptors[1], HostPolicy::Cut, &bases(&descriptors));
            assert_eq!(name(found), expected, "{annotations:?}");
        }
    }
}
