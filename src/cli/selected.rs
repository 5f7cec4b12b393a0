//! Repositories that arguments select.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use sampan_engine::Selection;
use sampan_transfer::Selector;

use super::misunderstood;
use super::terminal::warn;

/// Which selectors have matched a repository: a mistyped one would leave images out and say nothing.
#[derive(Clone, Default)]
pub(super) struct SelectorMatches(Arc<Vec<(Selector, AtomicBool)>>);

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

/// The same, and which selectors have matched a repository when the work is over.
///
/// # Errors
///
/// A selector names a tag or a digest.
pub(super) fn noted(selectors: &[Selector], so: &str) -> Result<(Selection, SelectorMatches), clap::Error> {
    let selection = repositories(selectors, so)?;
    if selectors.is_empty() {
        return Ok((selection, SelectorMatches::default()));
    }
    let matched =
        SelectorMatches(Arc::new(selectors.iter().map(|it| (it.clone(), AtomicBool::default())).collect()));
    let noting = {
        let matched = matched.clone();
        Selection::new(move |name| {
            let matching = matched.0.iter().filter(|(selector, _)| selector.has_repository(name));
            matching.map(|(_, is_found)| is_found.store(true, Relaxed)).count() > 0
        })
    };
    Ok((noting.named(selection.names().iter().cloned()), matched))
}

impl SelectorMatches {
    /// The selectors that have matched a repository, in their order.
    pub(super) fn found(&self) -> Vec<String> {
        self.those(true)
    }

    /// The selectors that have matched none. Each is named by a warning.
    pub(super) fn warn_of_others(&self) -> Vec<String> {
        let others = self.those(false);
        for selector in &others {
            warn(format!("no repository matches `--repository {selector}`"));
        }
        others
    }

    fn those(&self, are_found: bool) -> Vec<String> {
        let those = self.0.iter().filter(|(_, is_found)| is_found.load(Relaxed) == are_found);
        those.map(|(selector, _)| selector.to_string()).collect()
    }
}

/// The error where none was found.
pub(super) fn none(selectors: &[Selector]) -> String {
    let names: Vec<_> = selectors.iter().map(ToString::to_string).collect();
    format!("no such repository: {}", names.join(" or "))
}
