//! `PatternSet`: the patterns of many rules, matched against a name at once.

use globset::{Candidate, GlobSet};
use sampan_config::RepositoryPattern;
use sampan_engine::oci::RepositoryName;

use super::glob::{PolicyTooLarge, compile_all};
use super::name_pattern::NamePattern;

/// The patterns of rules, each with the index of its rule.
pub(super) struct PatternSet {
    /// The patterns without `${user}`.
    fixed: GlobSet,
    /// The rule of each of them.
    fixed_rules: Vec<u32>,
    /// The patterns with `${user}`.
    of_users: Vec<(NamePattern, u32)>,
}

impl PatternSet {
    /// Compiles patterns, each with the index of its rule.
    ///
    /// # Errors
    ///
    /// The patterns are too large together.
    pub(super) fn new<'a>(
        patterns: impl Iterator<Item = (u32, &'a RepositoryPattern)>,
    ) -> Result<Self, PolicyTooLarge> {
        let (mut fixed, mut fixed_rules, mut of_users) = (Vec::new(), Vec::new(), Vec::new());
        for (rule, pattern) in patterns {
            if pattern.names_user() {
                of_users.extend(NamePattern::alternatives(pattern).map(|pattern| (pattern, rule)));
            } else {
                fixed.extend(pattern.globs(""));
                fixed_rules.resize(fixed.len(), rule);
            }
        }
        Ok(Self { fixed: compile_all(fixed)?, fixed_rules, of_users })
    }

    /// Calls `found` with the rule of each pattern that matches, some of them several times. `user` is the name for `${user}`,
    /// one component of a name; without it, patterns with `${user}` match nothing.
    pub(super) fn each_match(&self, name: &RepositoryName, user: Option<&str>, mut found: impl FnMut(u32)) {
        let indices = self.fixed.matches_candidate(&Candidate::new(name.as_str()));
        indices.into_iter().for_each(|index| found(self.fixed_rules[index]));
        let Some(user) = user.filter(|_| !self.of_users.is_empty()) else { return };
        for (pattern, rule) in &self.of_users {
            if pattern.is_match(name.as_str(), user) {
                found(*rule);
            }
        }
    }
}
