//! Manifests: a pushed one means to this registry what it means to clients written in Go.

use sampan_engine::oci::{Descriptor, Manifest};
use serde_json::{Map, Value};

/// The keys that Go's clients read, as in the image-spec.
const KEYS: &[&str] = &[
    "annotations",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "mediaType",
    "schemaVersion",
    "subject",
];

pub(super) fn run(data: &[u8]) {
    let (kind, json) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            (std::str::from_utf8(&data[..end]).ok().filter(|kind| !kind.is_empty()), &data[end + 1..])
        }
        None => (None, data),
    };
    let stored = Manifest::parse(json, None);
    let pushed = Manifest::parse_pushed(json, kind);
    let Ok(manifest) = pushed else { return };
    // Without the type that the client named, the store reads the same.
    assert_eq!(Ok(&manifest), stored.as_ref(), "{kind:?}");
    let json = std::str::from_utf8(json).expect("what was taken is UTF-8");
    // Half a surrogate pair, or a number too large, where nothing is read: Go takes these, and so does the registry.
    let Ok(value) = serde_json::from_str::<Value>(json) else { return };
    let object = value.as_object().expect("a manifest is an object");
    check_keys(object);
    let lists = [("layers", &manifest.layers), ("manifests", &manifest.manifests)];
    for (key, parsed) in lists {
        let listed = as_go(object, key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        assert_eq!(listed.len(), parsed.len(), "{key}");
        listed.iter().zip(parsed).for_each(|(value, descriptor)| check(value, descriptor));
    }
    for (key, parsed) in [("config", &manifest.config), ("subject", &manifest.subject)] {
        let value = as_go(object, key).filter(|value| !value.is_null());
        assert_eq!(value.is_some(), parsed.is_some(), "{key}");
        if let (Some(value), Some(descriptor)) = (value, parsed) {
            check(value, descriptor);
        }
    }
}

/// A descriptor is an object with this digest and size.
fn check(value: &Value, descriptor: &Descriptor) {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} was read as {descriptor:?}"));
    assert_eq!(as_go(object, "digest").and_then(Value::as_str), Some(&*descriptor.digest.to_string()));
    assert_eq!(as_go(object, "size").and_then(Value::as_u64), Some(descriptor.size));
    let kind = as_go(object, "mediaType").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(kind, descriptor.media_type);
}

fn check_keys(object: &Map<String, Value>) {
    for key in object.keys() {
        let meant = KEYS.iter().find(|known| known.to_lowercase() == key.to_lowercase());
        assert!(meant.is_none_or(|known| known == key), "Go reads {key} as {meant:?}");
    }
}

/// The value that Go reads for `key`: it ignores case, and the last one wins.
fn as_go<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let same = |name: &&String| name.to_lowercase() == key.to_lowercase();
    object.keys().rfind(same).and_then(|name| object.get(name))
}
