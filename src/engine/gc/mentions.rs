//! Finds every digest in a JSON document.
//!
//! The collector keeps a manifest complete for every client, so its references are not only those that this registry
//! understands: to clients written in Go, `Layers` is `layers`, and a manifest that CNCF Distribution accepted may have
//! fields that are unknown here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::interner::DigestRef;
use crate::oci::Digest;

/// Which digests to find.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Scope {
    /// All digests.
    Document,
    /// Digests that a pull of the manifest may need: not its `subject`, nor those in `annotations`, such as the digest of
    /// the image that it was built on.
    Manifest,
}

/// Returns the digests in `json`, in their order.
///
/// # Errors
///
/// When `json` is not JSON, or is nested too deeply; the digests before that place come with the error.
pub(super) fn find(json: &[u8], scope: Scope) -> (Vec<DigestRef>, Result<(), serde_json::Error>) {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let top = Mentions { scope, is_top: true, found: &mut found };
    let read = top.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    (found, read)
}

struct Mentions<'a> {
    scope: Scope,
    is_top: bool,
    found: &'a mut Vec<DigestRef>,
}

impl Mentions<'_> {
    fn take(&mut self, text: &str) {
        // Rejecting a text by parsing costs more than this comparison.
        if text.starts_with("sha")
            && let Ok(digest) = text.parse::<Digest>()
        {
            self.found.push(DigestRef::of(&digest));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Mentions<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Mentions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.take(&key);
            let is_aside = key == "annotations" || (self.is_top && key == "subject");
            if is_aside && self.scope == Scope::Manifest {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Mentions { scope: self.scope, is_top: false, found: &mut *self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { scope, found, .. } = self;
        while seq.next_element_seed(Mentions { scope, is_top: false, found: &mut *found })?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.take(text);
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

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_they_stand() {
        let digests = [0_u8, 1, 2, 3, 4, 5].map(|number| Digest::sha256_of(&[number]).to_string());
        let [a, b, c, d, e, f] = &digests;
        let json = format!(
            r#"{{"Layers":[{{"Digest":"{a}"}}],"x":{{"{b}":[null,true,1,-1,1.5,"sha256:no","{c}"]}},
                "subject":{{"digest":"{d}"}},"annotations":{{"base":"{e}"}},"y":{{"subject":"{f}"}}}}"#
        );
        let found = |scope| {
            let (found, read) = find(json.as_bytes(), scope);
            assert!(read.is_ok());
            found.len()
        };
        assert_eq!(found(Scope::Document), 6);
        assert_eq!(found(Scope::Manifest), 4);
        assert!(find(b"{} {", Scope::Document).1.is_err());
    }
}
