//! Compiles patterns.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use sampan_config::RepositoryPattern;

/// The patterns of a policy are too large together.
#[derive(Debug, thiserror::Error)]
#[error("the patterns of the rules are too large together: use fewer `*`, `?` and `{{a,b}}`, or fewer rules")]
pub struct PolicyTooLarge(#[from] globset::Error);

/// The rule that a name matches one of `patterns`, of which none has `${user}`.
///
/// # Errors
///
/// The patterns are too large together.
pub fn name_matcher(
    patterns: &[RepositoryPattern],
) -> Result<impl Fn(&str) -> bool + Send + Sync + use<>, PolicyTooLarge> {
    let set = compile_all(patterns.iter().flat_map(|pattern| pattern.globs("")))?;
    Ok(move |name: &str| set.is_match(name))
}

/// Compiles a pattern without braces. `*` and `?` stay within a component.
pub(super) fn compile(pattern: &str) -> Result<Glob, PolicyTooLarge> {
    Ok(GlobBuilder::new(pattern).literal_separator(true).build()?)
}

/// Compiles patterns without braces.
pub(super) fn compile_all(patterns: impl IntoIterator<Item = String>) -> Result<GlobSet, PolicyTooLarge> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(compile(&pattern)?);
    }
    Ok(builder.build()?)
}
