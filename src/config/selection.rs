//! The chosen kind of `storage` and `auth`.

use super::auth::AuthConfig;
use super::node::Entry;
use super::schema::Choice;
use super::storage::Selected;
use super::{Diagnostic, Node, Origin, suggest};

/// The single driver section of `storage`, and the section without it.
pub(crate) fn driver(storage: &Node, choice: &Choice) -> Result<(Selected, Node), Vec<Diagnostic>> {
    let mut helpers = storage.clone();
    let candidates: Vec<&Entry> =
        storage.entries().iter().filter(|entry| !choice.is_helper(&entry.key)).collect();
    match candidates.as_slice() {
        [] => Err(vec![Diagnostic::new(
            &storage.origin,
            "storage",
            "names no driver; add a section such as `filesystem: { rootdirectory: /var/lib/registry }`",
        )]),
        [chosen] => {
            helpers.remove(&chosen.key);
            let mut params = chosen.value.clone();
            // The key locates a section best, since an empty one has no place of its own.
            params.origin = chosen.key_origin.clone();
            Ok((Selected::new(&chosen.key, params), helpers))
        }
        several => Err(too_many_drivers(several, choice)),
    }
}

/// Reports either misspelled helpers or two drivers.
fn too_many_drivers(candidates: &[&Entry], choice: &Choice) -> Vec<Diagnostic> {
    let is_known = |entry: &&&Entry| choice.known.iter().any(|key| key.yaml == entry.key);
    if candidates.iter().filter(is_known).count() == 1 {
        let strangers = candidates.iter().filter(|entry| !is_known(entry));
        return strangers
            .map(|entry| {
                let helpers = choice.helpers.iter().map(|key| key.yaml);
                let hint = suggest::hint(&entry.key, helpers);
                Diagnostic::new(
                    &entry.key_origin,
                    format!("storage.{}", entry.key),
                    format!("unknown key{hint}"),
                )
            })
            .collect();
    }
    vec![several("storage", "driver", "REGISTRY_STORAGE", candidates)]
}

/// The chosen way to authenticate.
pub(crate) fn auth(auth: &Node) -> Result<AuthConfig, Diagnostic> {
    let entries: Vec<&Entry> = auth.entries().iter().collect();
    let [chosen] = entries.as_slice() else {
        return Err(several("auth", "type", "REGISTRY_AUTH", &entries));
    };
    let mut params = chosen.value.clone();
    params.origin = chosen.key_origin.clone();
    let read = match chosen.key.as_str() {
        "silly" => params.read().map(AuthConfig::Silly),
        "htpasswd" => params.read().map(AuthConfig::Htpasswd),
        "token" => params.read().map(|token| AuthConfig::Token(Box::new(token))),
        _ => Ok(AuthConfig::None),
    };
    read.map_err(|error| error.into_diagnostic(&format!("auth.{}", chosen.key)))
}

/// Reports more than one choice. Distribution panics when a variable adds a second one; here the remedy is to name the choice
/// in a variable as well.
fn several(section: &str, noun: &str, variable: &str, entries: &[&Entry]) -> Diagnostic {
    let places: Vec<String> =
        entries.iter().map(|entry| format!("`{}` ({})", entry.key, entry.key_origin)).collect();
    let by_variable = entries.iter().find(|entry| matches!(entry.key_origin, Origin::Environment(_)));
    let remedy = match by_variable {
        Some(entry) => format!("to choose `{0}` by the environment, set {variable}={0} as well", entry.key),
        None => "keep one".to_owned(),
    };
    let origin = entries.last().map_or(&Origin::Default, |entry| &entry.key_origin);
    Diagnostic::new(
        origin,
        section,
        format!("names more than one {noun}: {}; {remedy}", places.join(" and ")),
    )
}
