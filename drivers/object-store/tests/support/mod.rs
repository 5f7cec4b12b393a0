//! Helpers that the tests of this crate share.

use libtest_mimic::Trial;
use sampan_conformance::Fixture;

/// The trials on `fixture`. Their kind names the profile and the capability that it lacks.
pub(crate) fn of_profile(profile: &str, fixture: &Fixture) -> Vec<Trial> {
    let name = |trial: Trial| {
        let kind = match trial.kind() {
            "" => profile.to_owned(),
            lacking => format!("{profile}: {lacking}"),
        };
        trial.with_kind(kind)
    };
    sampan_conformance::trials(fixture).into_iter().map(name).collect()
}
