//! The verification of the store: how far it is, and what it has found. A part of the page of collections.

use std::time::SystemTime;

use sampan_engine::oci::{Digest, Reference};
use sampan_engine::verify::{self, Cycle, Need, Progress};
use serde_json::{Value, json};

use crate::frame::Frame;
use crate::language::Language;
use crate::pages::Problem;
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;
use crate::verifications::FoundProblem;

/// The most problems that the page names.
const MAX_PROBLEMS: usize = 20;

/// The most images that it names for each.
const MAX_IMAGES: usize = 5;

/// How far the verification is, and what this process has found.
pub(super) struct Verification {
    progress: Progress,
    is_enabled: bool,
    found: Vec<FoundProblem>,
}

/// The section of the page.
pub(super) struct Section {
    pub(super) is_enabled: bool,
    /// The last cycle that came to its end.
    pub(super) last: Option<ShownCycle>,
    pub(super) present: Option<ShownCycle>,
    /// The part of the present cycle that is done.
    pub(super) percent: u64,
    pub(super) structure: Option<Moment>,
    pub(super) problems: Vec<Row>,
    pub(super) others: usize,
}

/// A cycle.
pub(super) struct ShownCycle {
    /// When it ended, or else began.
    pub(super) at: Option<Moment>,
    pub(super) numbers: String,
    pub(super) is_damaged: bool,
}

pub(super) struct Row {
    pub(super) at: Option<Moment>,
    pub(super) problem: String,
    pub(super) outcome: String,
    pub(super) is_mended: bool,
    pub(super) images: Vec<Image>,
    pub(super) others: usize,
}

pub(super) struct Image {
    pub(super) name: String,
    pub(super) link: Option<String>,
}

impl Verification {
    /// Reads how far it is; `None` for a registry that knows no verifications.
    pub(super) async fn read(scene: &PageContext<'_>) -> Result<Option<Self>, Problem> {
        let Some(verifications) = scene.verifications() else { return Ok(None) };
        let progress = Progress::read(scene.registry()).await;
        let progress = progress.map_err(|error| match error {
            verify::Error::Driver(error) => Problem::Engine(error.into()),
            verify::Error::Registry(error) => Problem::Engine(error),
            other => Problem::Verification(other),
        })?;
        let (is_enabled, found) = (verifications.is_enabled(), verifications.problems());
        Ok(Some(Self { progress, is_enabled, found }))
    }

    pub(super) fn section(&self, f: &Frame) -> Section {
        let Progress { cycle, after, structure_ms, last, .. } = &self.progress;
        let begun = self.progress.begun();
        Section {
            is_enabled: self.is_enabled,
            last: last.as_ref().map(|last| shown(f.t, last, last.ended())),
            present: begun.map(|begun| shown(f.t, cycle, begun)),
            percent: after.as_ref().map_or(0, percent),
            structure: structure_ms.and_then(Moment::of_millis),
            problems: self.found.iter().take(MAX_PROBLEMS).map(|found| row(f, found)).collect(),
            others: self.found.len().saturating_sub(MAX_PROBLEMS),
        }
    }

    /// The twin in JSON.
    pub(super) fn twin(&self) -> Value {
        let machine = |time| Moment::of(time).map(|moment| moment.machine);
        let cycle = |cycle: &Cycle| {
            json!({
                "begun": machine(cycle.begun()),
                "ended": (cycle.ended_ms > 0).then(|| machine(cycle.ended())),
                "blobs": cycle.blobs,
                "bytes": cycle.bytes,
                "damaged": cycle.damaged,
            })
        };
        let Progress { cycle: present, after, structure_ms, last, .. } = &self.progress;
        let problems = self.found.iter().map(|it| json!({ "found": machine(it.at), "problem": it.problem }));
        json!({
            "enabled": self.is_enabled,
            "last": last.as_ref().map(cycle),
            "present": self.progress.begun().map(|_| cycle(present)),
            "percent": after.as_ref().map_or(0, percent),
            "structure": structure_ms.and_then(Moment::of_millis).map(|moment| moment.machine),
            "problems": problems.collect::<Vec<_>>(),
        })
    }
}

fn shown(t: Language, cycle: &Cycle, at: SystemTime) -> ShownCycle {
    let size = shown::size(cycle.bytes);
    let numbers = t.verified_numbers(cycle.blobs, &size, cycle.damaged);
    ShownCycle { at: Moment::of(at), numbers, is_damaged: cycle.damaged > 0 }
}

/// The part of a cycle that is done after a digest: it goes through them in order, and they are spread evenly.
fn percent(after: &Digest) -> u64 {
    let beginning = after.hex().get(..8).and_then(|beginning| u64::from_str_radix(beginning, 16).ok());
    (beginning.unwrap_or_default() * 100) >> 32
}

fn row(f: &Frame, FoundProblem { at, problem }: &FoundProblem) -> Row {
    Row {
        at: Moment::of(*at),
        problem: shown::text(&format!("{} {}", problem.path, problem.kind)),
        outcome: shown::text(&problem.outcome.to_string()),
        is_mended: problem.is_mended(),
        images: problem.needed_by.iter().take(MAX_IMAGES).map(|need| image(f, need)).collect(),
        others: problem.needed_by.len().saturating_sub(MAX_IMAGES),
    }
}

fn image(f: &Frame, need: &Need) -> Image {
    let tag = need.tags.first();
    let name = match tag {
        Some(tag) => format!("{}:{tag}", need.repository),
        None => format!("{}@{}", need.repository, shown::short(&need.manifest)),
    };
    let tag = tag.and_then(|tag| tag.parse().ok()).map(Reference::Tag);
    let reference = tag.unwrap_or_else(|| Reference::Digest(need.manifest.clone()));
    let link = need.repository.parse().ok().map(|name| f.to(&Route::Image(name, reference)));
    Image { name: shown::text(&name), link }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_says_how_far_a_cycle_is() {
        for (beginning, expected) in [("00000000", 0), ("80000000", 50), ("ffffffff", 99)] {
            let digest = format!("sha256:{beginning}{}", "0".repeat(56)).parse().unwrap();
            assert_eq!(percent(&digest), expected, "{beginning}");
        }
    }
}
