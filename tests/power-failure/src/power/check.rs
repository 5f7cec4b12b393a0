//! The checks of one disk after a power failure.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::ledger::{Expectation, Ledger, LostFile};
use super::maintenance::{VICTIMS, check_migration, check_repair, check_victims};
use crate::client::{Way, blob_path, manifest_path};
use crate::content::digest;
use crate::look::{Findings, Key, StoreComparison};
use crate::registry::{Setup, Subject, is_of_a_run};

/// How many uploads to resume and images to push again at each point.
const MAX_RESUMED: usize = 8;
const MAX_PUSHED_AGAIN: usize = 4;

/// Starts the registry over `root` as a power failure at `position` has left it, and requests everything from it.
pub(crate) fn check(
    subject: &Subject,
    root: &Path,
    scratch: &Path,
    ledger: &Ledger,
    position: u64,
) -> Result<Findings> {
    let expected = ledger.expectation(position);
    let mut findings = Findings::default();
    expire_lease(root)?;
    check_victims(root, ledger, "power failure", &mut findings);
    check_migration(subject, root, scratch, ledger, &expected, &mut findings)?;
    if !subject.is_peer {
        collect(subject, root, scratch, true, !expected.torn_tags.is_empty(), &mut findings)?;
    }

    let registry = match subject.start(root, scratch, Setup::default()) {
        Ok(registry) => registry,
        Err(error) => {
            findings.add("start", format!("{error:#}"));
            return Ok(findings);
        }
    };
    let mut look = StoreComparison::new(&registry.client, &ledger.library, &mut findings);
    look.at_everything(&expected, ledger.is_collected);
    for upload in expected.uploads.values().take(MAX_RESUMED) {
        look.resume(upload);
    }
    let mut pushed = Vec::new();
    for (repository, image) in expected.in_flight.iter().take(MAX_PUSHED_AGAIN) {
        look.heal(repository, image, &format!("healed-{}", pushed.len()));
        pushed.push((repository.clone(), image.clone()));
    }
    registry.kill()?;
    if subject.is_peer {
        return Ok(findings);
    }

    check_repair(subject, root, scratch, ledger, &mut findings)?;
    collect(subject, root, scratch, false, false, &mut findings)?;
    let registry = subject.start(root, scratch, Setup::default()).context("after the collection")?;
    let mut look = StoreComparison::new(&registry.client, &ledger.library, &mut findings);
    look.at_tags(&expected, "collected");
    for key in &pushed {
        look.at_image(key, "collected");
    }
    for LostFile { image, .. } in &ledger.victims {
        look.heal(VICTIMS, image, "healed");
    }
    registry.kill()?;
    Ok(findings)
}

/// A collector that died in the power failure counts as alive for a while, and its pending deletions stay valid; here that time
/// has passed.
fn expire_lease(root: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(root.join("docker/registry/sampan/gc")) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_of_a_run) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The exit code of a collection that has kept something unreadable.
const KEPT: i32 = 3;

/// Collects garbage. The collection succeeds, or keeps a tag without its manifest if there may be one.
fn collect(
    subject: &Subject,
    root: &Path,
    scratch: &Path,
    is_dry: bool,
    may_keep: bool,
    findings: &mut Findings,
) -> Result<()> {
    let (code, output) = subject.collect(root, scratch, is_dry)?;
    if code != 0 && !(code == KEPT && may_keep) {
        let lines: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(6)..].join(" | ");
        let kind = if is_dry { "garbage-collect --dry-run fails" } else { "garbage-collect fails" };
        findings.add(kind, format!("code {code}: {tail}"));
    }
    Ok(())
}

impl StoreComparison<'_> {
    pub(super) fn at_everything(&mut self, expected: &Expectation, is_collected: bool) {
        for key in &expected.known {
            let is_required = expected.blobs.contains(key) || expected.manifests.contains(key);
            self.findings.required += usize::from(is_required);
            // Nothing is expected of a damaged blob, until a push of it is acknowledged.
            if key.0 == VICTIMS && !is_required {
                continue;
            }
            let is_there = self.serves(key);
            if is_required && !is_there {
                let kind =
                    if self.library.manifest(&key.1).is_some() { "lost manifest" } else { "lost blob" };
                self.findings.add(kind, format!("{}@{}", key.0, key.1));
            }
        }
        for key in &expected.known {
            if self.library.manifest(&key.1).is_some() && self.serves(key) {
                let kind = if is_collected {
                    "incomplete manifest (may be untagged)"
                } else {
                    "incomplete manifest"
                };
                self.is_complete(key, kind);
            }
        }
        self.at_tags(expected, "power failure");
        self.at_lists(expected);
    }

    fn at_image(&mut self, key: &Key, when: &'static str) {
        self.is_complete(
            key,
            if when == "collected" { "collected a live image" } else { "incomplete image" },
        );
    }

    /// Every tag has an allowed target, and the target is complete.
    fn at_tags(&mut self, expected: &Expectation, when: &'static str) {
        for ((repository, tag), states) in &expected.tags {
            if states.is_excused {
                continue;
            }
            self.findings.required += usize::from(!states.may_be_absent);
            match self.client.get(&manifest_path(repository, tag)) {
                Ok(answer) if answer.status == 200 => {
                    let found = digest(&answer.body);
                    if states.digests.contains(&found) {
                        self.at_image(&(repository.clone(), found), when);
                    } else {
                        self.findings.add("tag points elsewhere", format!("{repository}:{tag} at {found}"));
                    }
                }
                Ok(answer) if answer.status == 404 && states.may_be_absent => {}
                Ok(answer) if answer.status == 404 => {
                    self.findings.add("lost tag", format!("{repository}:{tag} ({when})"));
                }
                Ok(answer) => {
                    self.findings.add("error", format!("{repository}:{tag}: {}", answer.status));
                }
                Err(error) => self.findings.add("error", format!("{repository}:{tag}: {error:#}")),
            }
        }
    }

    /// Every listed tag is there, except for one that a push set to a manifest during its deletion.
    fn at_lists(&mut self, expected: &Expectation) {
        let repositories: std::collections::BTreeSet<&str> =
            expected.known.iter().map(|(repository, _)| repository.as_str()).collect();
        for repository in repositories {
            let Ok(answer) = self.client.get(&format!("/v2/{repository}/tags/list")) else { continue };
            let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            for tag in list["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str()) {
                let answer = self.client.get(&manifest_path(repository, tag));
                let is_torn = expected.torn_tags.contains(&(repository.to_owned(), tag.to_owned()));
                if !is_torn && answer.is_ok_and(|answer| answer.status == 404) {
                    self.findings.add("listed tag is 404", format!("{repository}:{tag}"));
                }
            }
        }
    }

    /// Continues an upload as its client does. The upload succeeds, or the client learns that it has to begin again.
    fn resume(&mut self, upload: &super::ledger::Upload) {
        let super::ledger::Upload { location, repository, digest } = upload;
        let bytes = self.library.bytes(digest);
        let key = (repository.clone(), digest.clone());
        match self.client.get(location) {
            Ok(status) if status.is_success() => {
                let offset = status.offset();
                let location = status.location.as_ref().unwrap_or(location);
                let rest = bytes.get(offset..).unwrap_or_default();
                match self.client.finish(location, digest, rest) {
                    Ok(answer) if answer.status == 201 => {
                        self.findings.resumed += 1;
                        self.served.remove(&key);
                        match self.client.get(&blob_path(repository, digest)) {
                            Ok(answer) if answer.status == 200 && answer.body == bytes => {}
                            Ok(answer) => self.findings.add(
                                "resumed upload is 201 for wrong bytes",
                                format!("{location} from {offset}: GET is {}", answer.status),
                            ),
                            Err(error) => self.findings.add("error", format!("{location}: {error:#}")),
                        }
                    }
                    Ok(answer) if answer.status < 500 => self.findings.refused += 1,
                    Ok(answer) => {
                        let text = String::from_utf8_lossy(&answer.body).into_owned();
                        self.findings.add("error", format!("{location}: PUT is {} {text}", answer.status));
                    }
                    Err(error) => self.findings.add("error", format!("{location}: {error:#}")),
                }
            }
            Ok(answer) if answer.status < 500 => {}
            Ok(answer) => self.findings.add("error", format!("{location}: GET is {}", answer.status)),
            Err(error) => self.findings.add("error", format!("{location}: {error:#}")),
        }
        // Whatever the result, the next push repairs it.
        self.push_blob(&key, &bytes);
    }

    fn push_blob(&mut self, key: &Key, bytes: &[u8]) {
        let (repository, digest) = key;
        if !self.client.has_blob(repository, digest).unwrap_or(false) {
            match self.client.push_blob(repository, digest, bytes, Way::Put) {
                Ok(answer) if answer.is_success() => {}
                Ok(answer) => {
                    self.findings
                        .add("a push does not heal", format!("{repository}@{digest}: {}", answer.status));
                }
                Err(error) => self.findings.add("a push does not heal", format!("{error:#}")),
            }
        }
        self.served.remove(key);
        if !self.serves(key) {
            self.findings.add("a push does not heal", format!("{repository}@{digest} is not there"));
        }
    }

    /// Pushes an image again whose push the failure interrupted. No check expects anything of the tag.
    fn heal(&mut self, repository: &str, image: &str, tag: &str) {
        if let Err(error) = self.client.push_image(self.library, repository, image, tag) {
            self.findings.add("a push does not heal", format!("{error:#}"));
            return;
        }
        self.served.clear();
        self.at_image(&(repository.to_owned(), image.to_owned()), "pushed again");
    }
}
