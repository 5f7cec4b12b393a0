//! Repositories that arguments select.

use sampan_engine::Selection;
use sampan_transfer::Selector;

use super::misunderstood;

/// The repositories that `selectors` name, or all; `so` is what a tag or digest among them means for the command.
///
/// # Errors
///
/// A selector names a tag or a digest.
pub(super) fn repositories(selectors: &[Selector], so: &str) -> Result<Selection, clap::Error> {
    if let Some(selector) = selectors.iter().find(|selector| !selector.names_repositories()) {
        return Err(misunderstood(format!("`{selector}` names a tag or a digest: {so}")));
    }
    let names = selectors.iter().map(ToString::to_string);
    let wanted = selectors.to_vec();
    Ok(match selectors.is_empty() {
        true => Selection::default(),
        false => Selection::new(move |name| wanted.iter().any(|selector| selector.has_repository(name)))
            .named(names),
    })
}

/// The error where none was found.
pub(super) fn none(selectors: &[Selector]) -> String {
    let names: Vec<_> = selectors.iter().map(ToString::to_string).collect();
    format!("no such repository: {}", names.join(" or "))
}
