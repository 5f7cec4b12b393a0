//! Upstreams that one request could mean alike.

use super::upstream::Names;
use crate::RegistryHost;
use crate::findings::Findings;

/// Compares each upstream with those before it.
pub(super) fn check(upstreams: &[Names], found: &mut Findings<'_>) {
    for (index, later) in upstreams.iter().enumerate() {
        for earlier in &upstreams[..index] {
            compare(earlier, later, found);
        }
    }
}

fn compare(earlier: &Names, later: &Names, found: &mut Findings<'_>) {
    let path = |names: &Names, key: &str| format!("{}.{key}", names.path);
    // Where an upstream has the value, or its section if it is a default.
    let other = |key: &str, found: &Findings<'_>| match &earlier.name {
        Some(name) => format!("`{name}` ({})", found.place(&path(earlier, key))),
        None => format!("`{}` ({})", earlier.path, found.place(&path(earlier, key))),
    };
    if let (Some(name), true) = (&later.name, later.name == earlier.name) {
        let message = format!(
            "`{name}` is the name of another upstream, too ({}): give each its own",
            found.place(&path(earlier, "name"))
        );
        found.mistake(&path(later, "name"), message);
    }
    if let (Some(outer), Some(inner)) = (&earlier.prefix, &later.prefix) {
        match (outer.rest(inner), inner.rest(outer)) {
            (Some(""), _) => {
                let message = format!(
                    "`{inner}` is the place of {}, too: give one of them a `prefix` of its own",
                    other("prefix", found)
                );
                found.mistake(&path(later, "prefix"), message);
            }
            (Some(hidden), _) => {
                let message = format!(
                    "`{inner}` is below `{outer}`, the prefix of {}, and hides its repositories below `{hidden}/`",
                    other("prefix", found)
                );
                found.warning(&path(later, "prefix"), message);
            }
            (None, Some(hidden)) => {
                let message = format!(
                    "`{outer}`, the prefix of {}, is below `{inner}` and hides its repositories below `{hidden}/`",
                    other("prefix", found)
                );
                found.warning(&path(later, "prefix"), message);
            }
            (None, None) => {}
        }
    }
    for (key, remedy, ours, theirs) in [
        ("ns", "give one of them an `ns` of its own", &later.ns, &earlier.ns),
        ("hosts", "keep one of the two", &later.hosts, &earlier.hosts),
    ] {
        if let Some(host) = common(ours, theirs) {
            let message = format!("`{host}` means {}, too: {remedy}", other(key, found));
            found.mistake(&path(later, key), message);
        }
    }
}

fn common<'a>(ours: &'a [RegistryHost], theirs: &[RegistryHost]) -> Option<&'a RegistryHost> {
    ours.iter().find(|host| theirs.contains(host))
}
