//! `EntryName`: the names of a foreign file that are looked at. Nothing else is read, and nothing is unpacked by its name.

use std::fmt;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

/// A name that has a meaning.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum EntryName {
    /// `oci-layout` (OCI image-spec, `image-layout.md`).
    OciLayout,
    /// `index.json`.
    Index,
    /// `hauler-index.json`: the whole list, beside an `index.json` that only has the images (hauler, `store save --containerd`).
    HaulerIndex,
    /// `manifest.json`, of a docker archive or of skopeo's `dir:`.
    Manifest,
    /// `blobs/<algorithm>/<hex>`.
    Blob(Digest),
    /// A configuration or layer of a docker archive: `<hex>.json`, `sha256:<hex>`, `<hex>.tar`, `<hex>.tar.gz`, `<hex>/layer.tar`.
    Docker(Box<str>),
    /// A link in the data directory of a registry: of a tag, of a manifest, or of a blob that another algorithm names.
    Store(Entry),
}

/// The beginning of every path of a registry's data, below its directory.
const STORE: &str = "docker/registry/v2/";

/// The meaning of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    Known(EntryName),
    /// The plan of a bundle of ours.
    Plan,
    /// A file that has nothing new: docker's for versions before 1.10, and the other links and uploads of a registry.
    Legacy,
    Unknown,
}

impl EntryName {
    /// The meaning of a name in an archive.
    ///
    /// # Errors
    ///
    /// When the name leads out of the archive.
    pub(crate) fn parse(name: &[u8]) -> Result<Meaning, &'static str> {
        let mut name = name;
        if name.starts_with(b"/") {
            return Err("its name is absolute");
        }
        if name.split(|byte| *byte == b'/').any(|component| component == b"..") {
            return Err("its name leads out of the archive");
        }
        while let Some(rest) = name.strip_prefix(b"./") {
            name = rest;
        }
        let Ok(name) = str::from_utf8(name) else { return Ok(Meaning::Unknown) };
        Ok(match name {
            "oci-layout" => Meaning::Known(Self::OciLayout),
            "index.json" => Meaning::Known(Self::Index),
            "hauler-index.json" => Meaning::Known(Self::HaulerIndex),
            "manifest.json" => Meaning::Known(Self::Manifest),
            "bundle.json" => Meaning::Plan,
            "" | "." | "repositories" | "bundle.json.sig" => Meaning::Legacy,
            _ => Self::in_store(name).unwrap_or_else(|| Self::with_digest(name)),
        })
    }

    /// The meaning of a file in the data directory of a registry, or of a directory around it.
    fn in_store(name: &str) -> Option<Meaning> {
        let place = name.find(STORE).filter(|place| *place == 0 || name.as_bytes()[place - 1] == b'/')?;
        Some(match Entry::parse_text(&format!("/{}", &name[place..])) {
            Some(Entry::Blob(digest)) => Meaning::Known(Self::Blob(digest)),
            Some(Entry::LayerLink(_, digest)) if digest.is_canonical() => Meaning::Legacy,
            Some(
                link @ (Entry::TagCurrent(..)
                | Entry::TagDigest(..)
                | Entry::RevisionLink(..)
                | Entry::LayerLink(..)),
            ) => Meaning::Known(Self::Store(link)),
            Some(_) => Meaning::Legacy,
            None => Meaning::Unknown,
        })
    }

    fn with_digest(name: &str) -> Meaning {
        if let Some(blob) = name.strip_prefix("blobs/") {
            let digest = blob.split_once('/').map(|(algorithm, hex)| format!("{algorithm}:{hex}"));
            let digest = digest.and_then(|digest| digest.parse().ok());
            return digest.map_or(Meaning::Unknown, |digest| Meaning::Known(Self::Blob(digest)));
        }
        let (hex, rest) = match name.strip_prefix("sha256:") {
            Some(hex) => (hex, ""),
            None => name.split_at_checked(64).unwrap_or((name, "")),
        };
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Meaning::Unknown;
        }
        match rest {
            "" if name.len() == 64 => Meaning::Unknown,
            "" | ".json" | ".tar" | ".tar.gz" | "/layer.tar" => Meaning::Known(Self::Docker(name.into())),
            "/" | "/json" | "/VERSION" => Meaning::Legacy,
            _ => Meaning::Unknown,
        }
    }

    /// Whether docker writes a link in the place of such an entry, for a layer that an earlier one has.
    pub(crate) fn may_be_link(&self) -> bool {
        matches!(self, Self::Docker(name) if name.ends_with("/layer.tar"))
    }

    /// Whether it is content, which something must refer to.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self, Self::Blob(_) | Self::Docker(_))
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OciLayout => f.write_str("oci-layout"),
            Self::Index => f.write_str("index.json"),
            Self::HaulerIndex => f.write_str("hauler-index.json"),
            Self::Manifest => f.write_str("manifest.json"),
            Self::Blob(digest) => write!(f, "blobs/{}/{}", digest.algorithm(), digest.hex()),
            Self::Docker(name) => f.write_str(name),
            Self::Store(entry) => f.write_str(entry.path().as_str().trim_start_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_grammar_are_known() {
        let hex = "a".repeat(64);
        for name in [
            "oci-layout".to_owned(),
            "index.json".to_owned(),
            "hauler-index.json".to_owned(),
            "manifest.json".to_owned(),
            format!("blobs/sha256/{hex}"),
            format!("blobs/sha512/{hex}{hex}"),
            format!("{hex}.json"),
            format!("{hex}.tar"),
            format!("{hex}.tar.gz"),
            format!("{hex}/layer.tar"),
            format!("sha256:{hex}"),
        ] {
            for prefix in ["", "./", "././"] {
                match EntryName::parse(format!("{prefix}{name}").as_bytes()) {
                    Ok(Meaning::Known(known)) => assert_eq!(known.to_string(), name),
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn other_names_have_no_meaning_or_are_refused() {
        let hex = "a".repeat(64);
        for (name, expected) in [
            ("etc/passwd".to_owned(), Ok(Meaning::Unknown)),
            ("blobs/sha256/short".to_owned(), Ok(Meaning::Unknown)),
            (format!("blobs/sha256/{}", hex.to_uppercase()), Ok(Meaning::Unknown)),
            (format!("blobs/sha256/{hex}/x"), Ok(Meaning::Unknown)),
            (format!("blobs//sha256/{hex}"), Ok(Meaning::Unknown)),
            (format!("{hex}/other"), Ok(Meaning::Unknown)),
            (hex.clone(), Ok(Meaning::Unknown)),
            (format!("{hex}/json"), Ok(Meaning::Legacy)),
            ("repositories".to_owned(), Ok(Meaning::Legacy)),
            ("bundle.json".to_owned(), Ok(Meaning::Plan)),
            ("/index.json".to_owned(), Err("its name is absolute")),
            ("../index.json".to_owned(), Err("its name leads out of the archive")),
            (format!("{hex}/../../x"), Err("its name leads out of the archive")),
            ("a/..".to_owned(), Err("its name leads out of the archive")),
        ] {
            assert_eq!(EntryName::parse(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(EntryName::parse(b"\xff"), Ok(Meaning::Unknown));
    }
}
