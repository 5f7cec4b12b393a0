//! `Decisions`: what the rules were found to give, because a pull asks the same with every layer.

use std::fmt;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::actions::ActionSet;

/// The expected number of decisions, and the most bytes that they take: a client may ask for any name.
const USUAL_DECISIONS: usize = 4096;
const MAX_BYTES: u64 = 1 << 20;

/// The estimated size of an entry without its texts.
const ENTRY_BYTES: u64 = 128;

/// The decisions of rules for clients and repositories. It belongs to the rules, and is dropped with them.
pub(super) struct Decisions(Cache<DecisionKey, ActionSet, ByBytes>);

/// The user, `None` for what everybody has, and the name of the repository.
#[derive(Clone, Eq, Hash, PartialEq)]
struct DecisionKey(Option<Box<str>>, Box<str>);

/// The key of a look-up, borrowed.
#[derive(Hash)]
struct DecisionQuery<'a>(Option<&'a str>, &'a str);

impl Equivalent<DecisionKey> for DecisionQuery<'_> {
    fn equivalent(&self, asked: &DecisionKey) -> bool {
        self.0 == asked.0.as_deref() && self.1 == &*asked.1
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<DecisionKey, ActionSet> for ByBytes {
    fn weight(&self, DecisionKey(user, name): &DecisionKey, _: &ActionSet) -> u64 {
        ENTRY_BYTES + (user.as_deref().map_or(0, str::len) + name.len()) as u64
    }
}

impl Default for Decisions {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_DECISIONS, MAX_BYTES, ByBytes))
    }
}

impl Decisions {
    /// The decision for a user, or for everybody, on a repository; made by `decide` if it is not known.
    pub(super) fn get_or(
        &self,
        user: Option<&str>,
        name: &str,
        decide: impl FnOnce() -> ActionSet,
    ) -> ActionSet {
        if let Some(known) = self.0.get(&DecisionQuery(user, name)) {
            return known;
        }
        let decided = decide();
        self.0.insert(DecisionKey(user.map(Into::into), name.into()), decided);
        decided
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions").field("len", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_for_one_user_and_one_repository() {
        let decisions = Decisions::default();
        let all = || ActionSet::ALL;
        assert_eq!(decisions.get_or(Some("ann"), "app", all), ActionSet::ALL);
        assert_eq!(decisions.get_or(Some("ann"), "app", || ActionSet::NONE), ActionSet::ALL, "it is known");
        for (user, name) in [
            (None, "app"),
            (Some(""), "app"),
            (Some("ben"), "app"),
            (Some("ann"), "ap"),
            (Some("anna"), "pp"),
        ] {
            assert_eq!(decisions.get_or(user, name, || ActionSet::NONE), ActionSet::NONE, "{user:?} {name}");
        }
    }

    #[test]
    fn the_longest_names_stay_within_the_byte_limit() {
        let decisions = Decisions::default();
        for number in 0..10_000 {
            decisions.get_or(Some(&"u".repeat(255)), &format!("{number:0>255}"), || ActionSet::ALL);
        }
        assert!(decisions.0.weight() <= MAX_BYTES);
    }
}
