//! The chosen kind of `storage` and `auth`.

use super::key::Choice;
use super::node::Entry;
use super::storage::Selected;
use super::{Node, NodeError, Origin};

/// The single driver section of `storage`, and the section without it.
///
/// # Errors
///
/// If there is none, or more than one.
pub(crate) fn driver(storage: &Node, choice: &Choice) -> Result<(Selected, Node), NodeError> {
    let mut helpers = storage.clone();
    let candidates: Vec<&Entry> =
        storage.entries().iter().filter(|entry| !choice.is_helper(&entry.key)).collect();
    match candidates.as_slice() {
        [] => Err(NodeError::refusal(
            "names no driver; add a section such as `filesystem: { rootdirectory: /var/lib/registry }`",
        )),
        [chosen] => {
            helpers.remove(&chosen.key);
            let mut params = chosen.value.clone();
            // The key locates a section best, since an empty one has no place of its own.
            params.origin = chosen.key_origin.clone();
            Ok((Selected::new(&chosen.key, params), helpers))
        }
        several => Err(too_many("driver", "REGISTRY_STORAGE", several)),
    }
}

/// The chosen way to authenticate.
///
/// # Errors
///
/// If there is more than one.
pub(crate) fn auth(auth: &Node) -> Result<&Entry, NodeError> {
    let entries: Vec<&Entry> = auth.entries().iter().collect();
    match entries.as_slice() {
        [chosen] => Ok(chosen),
        several => Err(too_many("type", "REGISTRY_AUTH", several)),
    }
}

/// Refuses more than one choice. Distribution panics when a variable adds a second one; here the remedy is to name the choice
/// in a variable as well.
fn too_many(noun: &str, variable: &str, entries: &[&Entry]) -> NodeError {
    let places: Vec<String> =
        entries.iter().map(|entry| format!("`{}` ({})", entry.key, entry.key_origin)).collect();
    let by_variable = entries.iter().find(|entry| matches!(entry.key_origin, Origin::Environment(_)));
    let remedy = match by_variable {
        Some(entry) => format!("to choose `{0}` by the environment, set {variable}={0} as well", entry.key),
        None => "keep one".to_owned(),
    };
    let origin = entries.last().map_or(&Origin::Default, |entry| &entry.key_origin);
    NodeError::refusal(format!("names more than one {noun}: {}; {remedy}", places.join(" and ")))
        .located(origin)
}
