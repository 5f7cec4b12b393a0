//! `Snapshot`: what a store held at a time: its repositories, and of each the manifests and tags.
//!
//! A snapshot is one file, `sampan/snapshots/<seconds>`: JSON lines, compressed with gzip. The first line says which store it
//! is of; then comes a line for each repository; the last line has the totals, so a file that was cut short is found out. It
//! has no layers: the manifests name them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Selection;
use crate::clock::{millis, time_of};
use crate::migrate::RecordedTag;
use crate::oci::{Digest, RepositoryName};

/// A snapshot's name: the time at which its backup began, in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotId(pub(crate) u64);

/// The content of a store at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// The figures of the file.
    pub(crate) summary: Summary,
    pub(crate) repositories: BTreeMap<RepositoryName, RepositoryState>,
}

/// The figures of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Its name.
    pub id: SnapshotId,
    /// The store that it is of, for people.
    pub from: String,
    /// Whether it has all repositories of that store, not a selection.
    pub is_everything: bool,
    /// The words of the selection, in order; empty if they are not known.
    pub selected: Vec<String>,
    /// The first parts of names of which the store showed nothing, though an earlier snapshot has repositories below them.
    pub vanished: Vec<String>,
    /// The counts of its content.
    pub totals: Totals,
}

/// The counts of the content of a snapshot.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, tagged or not.
    pub manifests: u64,
}

/// The content of a repository at a time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RepositoryState {
    /// In order.
    pub(crate) manifests: Vec<Digest>,
    /// In order.
    pub(crate) tags: Vec<RecordedTag>,
}

/// Writes a snapshot.
pub(crate) struct Encoder {
    summary: Summary,
    gzip: GzEncoder<Vec<u8>>,
}

#[derive(Deserialize, Serialize)]
struct Header {
    snapshot: u32,
    at: u64,
    from: String,
    everything: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    selected: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vanished: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Line {
    Repository { repository: String, manifests: Vec<String>, tags: Vec<TagLine> },
    End { end: Totals },
}

#[derive(Deserialize, Serialize)]
struct TagLine {
    tag: String,
    /// The place of its manifest among those of the repository.
    manifest: usize,
    pushed_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed_as: Option<String>,
}

/// The version of the file.
const VERSION: u32 = 1;

/// How many backups may begin in one second: later ones get the names of the next seconds.
pub(super) const MAX_SHIFT: u64 = 60;

/// A snapshot that is further ahead, in seconds, is of the future. Clocks differ a little.
const MAX_AHEAD: u64 = MAX_SHIFT + 60;

/// The longest line of a file in bytes: a repository with a million manifests.
const MAX_LINE: u64 = 128 << 20;

impl SnapshotId {
    /// The snapshot of this second.
    pub fn at(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Whether it is later than all that a correct clock can have named by `now`.
    pub(super) fn is_future(self, now: SystemTime) -> bool {
        self.0 > Self::at(now).0.saturating_add(MAX_AHEAD)
    }

    /// When its backup began.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0)
    }
}

/// As in RFC 3339, in UTC.
impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
        match time.and_then(|time| time.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} s", self.0),
        }
    }
}

impl Snapshot {
    /// Reads the file of a snapshot.
    ///
    /// # Errors
    ///
    /// Why the file is not a whole snapshot of this version.
    pub(crate) fn decode(id: SnapshotId, content: &[u8]) -> Result<Self, String> {
        let mut lines = Lines(BufReader::new(GzDecoder::new(content)));
        let header: Header = parse(&lines.next()?.ok_or("it is empty")?)?;
        if header.snapshot != VERSION {
            return Err(format!("its version is {}, and this registry knows {VERSION}", header.snapshot));
        }
        if header.at != id.0 {
            return Err(format!("it is of {}, and not of {id}", SnapshotId(header.at)));
        }
        let Header { from, everything, selected, vanished, .. } = header;
        let (mut repositories, mut totals) = (BTreeMap::new(), Totals::default());
        let end = loop {
            match parse(&lines.next()?.ok_or("its end is missing")?)? {
                Line::End { end } => break end,
                Line::Repository { repository, manifests, tags } => {
                    let held = RepositoryState::of(&manifests, tags)?;
                    totals.add(&held);
                    repositories.insert(name(&repository)?, held);
                }
            }
        };
        if lines.next()?.is_some() {
            return Err("something follows its end".to_owned());
        }
        if end != totals {
            return Err(format!("it should have {end}, and has {totals}"));
        }
        let summary = Summary { id, from, is_everything: everything, selected, vanished, totals };
        Ok(Self { summary, repositories })
    }

    /// The file of the same snapshot under another name.
    pub(crate) fn encode_as(self, id: SnapshotId) -> std::io::Result<(Summary, Bytes)> {
        let mut encoder = Encoder::of(Summary { id, totals: Totals::default(), ..self.summary })?;
        for (name, held) in self.repositories {
            encoder.add(&name, held)?;
        }
        encoder.finish()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repositories, tags, manifests } = self;
        write!(f, "{repositories} repositories, {tags} tags and {manifests} manifests")
    }
}

impl Totals {
    pub(super) fn add(&mut self, held: &RepositoryState) {
        self.repositories += 1;
        self.tags += held.tags.len() as u64;
        self.manifests += held.manifests.len() as u64;
    }
}

impl RepositoryState {
    fn of(manifests: &[String], tags: Vec<TagLine>) -> Result<Self, String> {
        let digest = |text: &String| text.parse::<Digest>().map_err(|error| error.to_string());
        let manifests = manifests.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        let tag = |line: TagLine| {
            Ok(RecordedTag {
                tag: line.tag.parse().map_err(|_| format!("{:?} is not a tag", line.tag))?,
                digest: manifests.get(line.manifest).cloned().ok_or("a tag has no manifest")?,
                pushed: time_of(line.pushed_ms),
                pushed_as: line.pushed_as.as_ref().map(digest).transpose()?,
            })
        };
        let tags = tags.into_iter().map(tag).collect::<Result<Vec<_>, String>>()?;
        Ok(Self { manifests, tags })
    }
}

impl Encoder {
    /// Begins the snapshot of a store.
    pub(crate) fn new(
        id: SnapshotId,
        from: &str,
        selection: &Selection,
        vanished: Vec<String>,
    ) -> std::io::Result<Self> {
        let (from, selected) = (from.to_owned(), selection.names().to_vec());
        let is_everything = selection.is_everything();
        let totals = Totals::default();
        Self::of(Summary { id, from, is_everything, selected, vanished, totals })
    }

    fn of(summary: Summary) -> std::io::Result<Self> {
        let Summary { id, from, is_everything: everything, selected, vanished, .. } = summary.clone();
        let mut encoder = Self { summary, gzip: GzEncoder::new(Vec::new(), Compression::fast()) };
        encoder.line(&Header { snapshot: VERSION, at: id.0, from, everything, selected, vanished })?;
        Ok(encoder)
    }

    /// Adds a repository. Each comes once; the order does not matter. A tag whose manifest is not among them is left out.
    pub(crate) fn add(&mut self, name: &RepositoryName, mut held: RepositoryState) -> std::io::Result<()> {
        let place = |digest: &Digest| held.manifests.binary_search(digest).ok();
        held.tags.retain(|tag| place(&tag.digest).is_some());
        self.summary.totals.add(&held);
        let tag = |tag: &RecordedTag| {
            Some(TagLine {
                tag: tag.tag.to_string(),
                manifest: held.manifests.binary_search(&tag.digest).ok()?,
                pushed_ms: millis(tag.pushed),
                pushed_as: tag.pushed_as.as_ref().map(ToString::to_string),
            })
        };
        self.line(&Line::Repository {
            repository: name.to_string(),
            tags: held.tags.iter().filter_map(tag).collect(),
            manifests: held.manifests.iter().map(ToString::to_string).collect(),
        })
    }

    /// Ends the snapshot, and returns its file.
    pub(crate) fn finish(mut self) -> std::io::Result<(Summary, Bytes)> {
        self.line(&Line::End { end: self.summary.totals })?;
        Ok((self.summary, self.gzip.finish()?.into()))
    }

    fn line(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.gzip, line)?;
        self.gzip.write_all(b"\n")
    }
}

struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let read = self.0.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match read.map_err(|error| format!("it cannot be unpacked: {error}"))? {
            0 => Ok(None),
            _ if line.last() != Some(&b'\n') => Err("it ends in the middle of a line".to_owned()),
            _ => Ok(Some(line)),
        }
    }
}

fn parse<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| format!("a line cannot be understood: {error}"))
}

fn name(text: &str) -> Result<RepositoryName, String> {
    text.parse().map_err(|_| format!("{text:?} is not the name of a repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> (Summary, Bytes) {
        let mut encoder =
            Encoder::new(SnapshotId(1_700_000_000), "a store", &Selection::default(), Vec::new()).unwrap();
        let mut manifests: Vec<Digest> = (0..20_u8).map(|it| Digest::sha256_of(&[it])).collect();
        manifests.sort();
        let tag = |number: usize| RecordedTag {
            tag: format!("v{number}").parse().unwrap(),
            digest: manifests[number].clone(),
            pushed: time_of(1_600_000_000_123),
            pushed_as: None,
        };
        let tags = (0..20).map(tag).collect();
        encoder.add(&"b/c".parse().unwrap(), RepositoryState { manifests: manifests.clone(), tags }).unwrap();
        encoder.add(&"a".parse().unwrap(), RepositoryState { manifests, tags: Vec::new() }).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was() {
        let (summary, content) = encoded();
        let snapshot = Snapshot::decode(SnapshotId(1_700_000_000), &content).unwrap();
        assert_eq!(snapshot.summary, summary);
        assert_eq!(summary.totals, Totals { repositories: 2, tags: 20, manifests: 40 });
        let held = &snapshot.repositories[&"b/c".parse().unwrap()];
        assert_eq!(held.tags[3].digest, held.manifests[3]);
        assert_eq!(held.tags[3].pushed, time_of(1_600_000_000_123));
        assert_eq!(summary.id.to_string(), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn a_snapshot_can_get_another_name() {
        let (summary, content) = encoded();
        let snapshot = Snapshot::decode(summary.id, &content).unwrap();
        let id = SnapshotId(summary.id.0 + 1);
        let (renamed, content) = snapshot.clone().encode_as(id).unwrap();
        assert_eq!(renamed, Summary { id, ..summary });
        assert_eq!(Snapshot::decode(id, &content).unwrap().repositories, snapshot.repositories);
    }

    #[test]
    fn a_file_that_was_cut_short_or_changed_is_no_snapshot() {
        let (summary, content) = encoded();
        for len in 0..content.len() {
            Snapshot::decode(summary.id, &content[..len]).unwrap_err();
        }
        for place in 10..content.len() {
            let mut changed = content.to_vec();
            changed[place] ^= 0x10;
            Snapshot::decode(summary.id, &changed).unwrap_err();
        }
        Snapshot::decode(SnapshotId(1), &content).unwrap_err();
    }

    #[test]
    fn what_is_no_snapshot_is_refused_with_its_reason() {
        let whole = r#"{"snapshot":1,"at":7,"from":"x","everything":true}"#;
        let end = r#"{"end":{"repositories":0,"tags":0,"manifests":0}}"#;
        for (lines, problem) in [
            (vec![], "it is empty"),
            (vec![r#"{"snapshot":2,"at":7,"from":"x","everything":true}"#], "its version is 2"),
            (vec![whole], "its end is missing"),
            (vec![whole, end, end], "something follows"),
            (vec![whole, r#"{"repository":"a","manifests":[],"tags":[]}"#, end], "it should have 0 repo"),
            (vec![whole, r#"{"repository":"A","manifests":[],"tags":[]}"#], "\"A\" is not the name"),
            (vec![whole, r#"{"repository":"a","manifests":["x"],"tags":[]}"#], "invalid digest"),
            (
                vec![
                    whole,
                    r#"{"repository":"a","manifests":[],"tags":[{"tag":"a","manifest":0,"pushed_ms":1}]}"#,
                ],
                "a tag has no manifest",
            ),
        ] {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            lines.iter().for_each(|line| writeln!(gzip, "{line}").unwrap());
            let error = Snapshot::decode(SnapshotId(7), &gzip.finish().unwrap()).unwrap_err();
            assert!(error.contains(problem), "{problem}: {error}");
        }
        let garbage = Snapshot::decode(SnapshotId(7), b"garbage").unwrap_err();
        assert!(garbage.contains("cannot be unpacked"), "{garbage}");
    }
}
