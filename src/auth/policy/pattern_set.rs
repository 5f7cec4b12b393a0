//! `PatternSet`: the patterns of many rules, matched against a name at once.

use std::sync::Arc;

use globset::{Candidate, GlobSet};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sampan_config::RepositoryPattern;

use super::glob::{PolicyTooLarge, compile_all};

/// The patterns of rules, each with the index of its rule.
pub(super) struct PatternSet {
    /// The patterns without `${user}`.
    fixed: GlobSet,
    /// The rule of each of them.
    fixed_rules: Vec<u32>,
    /// The patterns with `${user}`.
    of_users: Vec<RepositoryPattern>,
    /// The rule of each glob that they become.
    of_users_rules: Vec<u32>,
    /// The globs of the users that asked last.
    compiled: Cache<String, Arc<GlobSet>, UserWeight>,
}

/// The memory for compiled patterns of users, in bytes.
const MAX_COMPILED_BYTES: u64 = 16 << 20;

/// An estimate of the memory of a compiled glob, in bytes; its library does not tell.
const GLOB_BYTES: u64 = 16 << 10;

impl PatternSet {
    /// Compiles patterns, each with the index of its rule.
    ///
    /// # Errors
    ///
    /// The patterns are too large together.
    pub(super) fn new<'a>(
        patterns: impl Iterator<Item = (u32, &'a RepositoryPattern)>,
    ) -> Result<Self, PolicyTooLarge> {
        let (mut fixed, mut fixed_rules) = (Vec::new(), Vec::new());
        let (mut of_users, mut of_users_rules) = (Vec::new(), Vec::new());
        for (rule, pattern) in patterns {
            if pattern.names_user() {
                of_users_rules.extend(pattern.globs("").map(|_| rule));
                of_users.push(pattern.clone());
            } else {
                fixed.extend(pattern.globs(""));
                fixed_rules.resize(fixed.len(), rule);
            }
        }
        let set = Self {
            fixed: compile_all(fixed)?,
            fixed_rules,
            of_users,
            of_users_rules,
            compiled: Cache::with_weighter(64, MAX_COMPILED_BYTES, UserWeight),
        };
        // No user's name makes them larger than the longest does, so they compile for every user.
        set.compile_for(&"a".repeat(RepositoryPattern::MAX_LEN))?;
        Ok(set)
    }

    /// Calls `found` with the rule of each pattern that matches, some of them several times. `user` is the name for `${user}`,
    /// one component of a name; without it, patterns with `${user}` match nothing.
    ///
    /// # Errors
    ///
    /// The patterns are too large with this user's name, so not all were tried. [`new`](Self::new) tries the longest name.
    pub(super) fn each_match(
        &self,
        name: &Candidate<'_>,
        user: Option<&str>,
        mut found: impl FnMut(u32),
    ) -> Result<(), PolicyTooLarge> {
        let mut indices = Vec::new();
        self.fixed.matches_candidate_into(name, &mut indices);
        indices.iter().for_each(|index| found(self.fixed_rules[*index]));
        let Some(user) = user.filter(|_| !self.of_users.is_empty()) else { return Ok(()) };
        let globs = match self.compiled.get(user) {
            Some(globs) => globs,
            None => {
                let globs = Arc::new(self.compile_for(user)?);
                self.compiled.insert(user.to_owned(), Arc::clone(&globs));
                globs
            }
        };
        globs.matches_candidate_into(name, &mut indices);
        indices.iter().for_each(|index| found(self.of_users_rules[*index]));
        Ok(())
    }

    fn compile_for(&self, user: &str) -> Result<GlobSet, PolicyTooLarge> {
        compile_all(self.of_users.iter().flat_map(|pattern| pattern.globs(user)))
    }
}

/// Weighs the compiled patterns of a user.
#[derive(Clone)]
struct UserWeight;

impl Weighter<String, Arc<GlobSet>> for UserWeight {
    fn weight(&self, user: &String, globs: &Arc<GlobSet>) -> u64 {
        user.len() as u64 + globs.len() as u64 * GLOB_BYTES
    }
}
