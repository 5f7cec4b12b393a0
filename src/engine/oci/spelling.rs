//! Keys and shapes that clients read differently: this registry ignores `Layers`, and programs in Go read it as `layers`.
//!
//! Go's `encoding/json` also matches a key to a field when they differ in case, and the last of several such keys wins. So a
//! document with such a key means one thing to this registry and another to docker, containerd and scanners. Pushes of such
//! documents fail. So do those with a list in the place of a descriptor, which serde reads as the descriptor's fields in their
//! order, and Go does not read at all.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::ManifestProblem;
use super::digest::shorten;

/// The objects of a manifest that have known keys.
#[derive(Clone, Copy)]
enum Object {
    Manifest,
    Descriptor,
    Platform,
}

/// Where objects with known keys are.
#[derive(Clone, Copy)]
enum ObjectLocation {
    /// The value is the object.
    One(Object),
    /// The value is a list of them.
    List(Object),
}

impl Object {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => &[
                "annotations",
                "artifactType",
                "blobs",
                "config",
                "fsLayers",
                "layers",
                "manifests",
                "mediaType",
                "schemaVersion",
                "signatures",
                "subject",
            ],
            Self::Descriptor => {
                &["annotations", "artifactType", "data", "digest", "mediaType", "platform", "size", "urls"]
            }
            Self::Platform => &["architecture", "features", "os", "os.features", "os.version", "variant"],
        }
    }

    /// The known key that Go reads `key` as.
    fn known(self, key: &str) -> Option<&'static str> {
        let folded = key.chars().map(fold);
        let is_same =
            |known: &&str| folded.clone().eq(known.chars().map(|letter| letter.to_ascii_lowercase()));
        self.keys().iter().copied().find(is_same)
    }

    /// The known key that Go reads `key` as, if it differs from `key`.
    fn meant(self, key: &str) -> Option<&'static str> {
        self.known(key).filter(|known| *known != key)
    }

    /// The objects below a key.
    fn below(self, key: &str) -> Option<ObjectLocation> {
        match (self, key) {
            (Self::Manifest, "config" | "subject") => Some(ObjectLocation::One(Self::Descriptor)),
            (Self::Manifest, "blobs" | "layers" | "manifests") => {
                Some(ObjectLocation::List(Self::Descriptor))
            }
            (Self::Descriptor, "platform") => Some(ObjectLocation::One(Self::Platform)),
            _ => None,
        }
    }
}

/// Unicode's simple folding, limited to the letters of known keys.
fn fold(letter: char) -> char {
    match letter {
        'ſ' => 's',
        '\u{212a}' => 'k', // The kelvin sign.
        letter => letter.to_ascii_lowercase(),
    }
}

/// The manifest key that Go reads `key` as.
pub(super) fn manifest_key(key: &str) -> Option<&'static str> {
    Object::Manifest.known(key)
}

/// Checks that no key of a manifest differs from a known one only in case, and that no list is in the place of an object.
///
/// # Errors
///
/// When a key does or a list is, or the bytes are not JSON in UTF-8 (RFC 8259, 8.1).
pub(super) fn check(manifest: &[u8]) -> Result<(), ManifestProblem> {
    // serde does not look into texts that it skips.
    let manifest = std::str::from_utf8(manifest).map_err(|error| ManifestProblem::Json(error.to_string()))?;
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(manifest);
    let checked =
        Keys { place: ObjectLocation::One(Object::Manifest), found: &mut found }.deserialize(&mut json);
    match (found, checked) {
        (Some(problem), _) => Err(problem),
        (None, Err(error)) => Err(ManifestProblem::Json(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// Checks the keys of an object, or of every object in a list; ignores any other value.
struct Keys<'a> {
    place: ObjectLocation,
    found: &'a mut Option<ManifestProblem>,
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { place: ObjectLocation::One(object) | ObjectLocation::List(object), found } = self;
        while let Some(key) = map.next_key::<String>()? {
            if let Some(expected) = object.meant(&key) {
                *found = Some(ManifestProblem::KeyMisspelled { found: shorten(&key), expected });
                return Err(A::Error::custom("a key is misspelled"));
            }
            match object.below(&key) {
                Some(place) => map.next_value_seed(Keys { place, found: &mut *found })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { place: ObjectLocation::List(object), found } = self else {
            return Err(A::Error::custom("a list is where an object must be"));
        };
        while seq
            .next_element_seed(Keys { place: ObjectLocation::One(object), found: &mut *found })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_go_takes_for_known_ones_are_found_at_every_level() {
        for (json, found, expected) in [
            (r#"{"layers":[],"Layers":[]}"#, "Layers", "layers"),
            (r#"{"LAYERS":null}"#, "LAYERS", "layers"),
            (r#"{"Manifests":[]}"#, "Manifests", "manifests"),
            (r#"{"MediaType":"a/b"}"#, "MediaType", "mediaType"),
            (r#"{"schemaversion":2}"#, "schemaversion", "schemaVersion"),
            (r#"{"Subject":{}}"#, "Subject", "subject"),
            (r#"{"layerſ":[]}"#, "layerſ", "layers"),
            (r#"{"manife\u017Fts":[]}"#, "manifeſts", "manifests"),
            (r#"{"config":{"Digest":1}}"#, "Digest", "digest"),
            (r#"{"layers":[{},{"digest":1,"URLs":[]}]}"#, "URLs", "urls"),
            (r#"{"manifests":[{"Platform":{}}]}"#, "Platform", "platform"),
            (r#"{"manifests":[{"platform":{"OS":"linux"}}]}"#, "OS", "os"),
            (r#"{"manifests":[{"platform":{"oS.Verſion":"1"}}]}"#, "oS.Verſion", "os.version"),
            (r#"{"subject":{"ſize":1}}"#, "ſize", "size"),
            (r#"{"blobs":[{"DIGEST":1}]}"#, "DIGEST", "digest"),
        ] {
            let problem = ManifestProblem::KeyMisspelled { found: found.to_owned(), expected };
            assert_eq!(check(json.as_bytes()), Err(problem), "{json}");
        }
    }

    #[test]
    fn other_keys_are_nobodys_business() {
        for json in [
            r#"{"schemaVersion":2,"layers":[{"digest":"a","annotations":{"Digest":"x","LAYERS":"y"}}]}"#,
            r#"{"annotations":{"Layers":"x"},"custom":{"Layers":[{"Digest":1}]},"layer":[],"layers2":[]}"#,
            r#"{"config":null,"layers":3,"subject":"x","manifests":[null,1.5,-1,true,"y"]}"#,
            r#"{"manifests":[{"platform":{"os":"linux","os.version":"1","extra":{"OS":1}}}],"Laÿers":1}"#,
        ] {
            assert_eq!(check(json.as_bytes()), Ok(()), "{json}");
        }
        assert!(matches!(check(b"{"), Err(ManifestProblem::Json(_))));
    }

    #[test]
    fn a_skipped_text_must_be_utf_8_too() {
        let problem = check(b"{\"custom\":\"\xff\"}").unwrap_err();
        assert!(problem.to_string().contains("invalid utf-8"), "{problem}");
    }

    #[test]
    fn a_list_is_no_descriptor() {
        for json in [
            r#"{"config":["a/b","sha256:1",3]}"#,
            r#"{"layers":[["a/b","sha256:1",3]]}"#,
            r#"{"subject":[]}"#,
        ] {
            let problem = check(json.as_bytes()).unwrap_err();
            assert!(problem.to_string().contains("a list is where an object must be"), "{json}: {problem}");
        }
    }
}
