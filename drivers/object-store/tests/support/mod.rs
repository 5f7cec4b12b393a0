//! What the tests of this crate share.

/// The section of the server that `variable` names, in JSON.
pub(crate) fn profile(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|section| !section.is_empty())
}
