//! Verifying: every byte of a bundle against its plan, and the plan against its manifests.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sampan_engine::oci::{Digest, Manifest};
use serde::Deserialize;

use crate::faults::Faults;
use crate::layout::PLAN;
use crate::read::{find_framing_faults, hashes_to};
use crate::references::{MAX_STEPS, MissingReference, References, TooIntricate};
use crate::{Bundle, ContentHash, ContentKind, Fault, PartFiles, Result};

/// The result of a verification.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verification {
    /// Everything that is wrong, in the order of the bundle; of many faults, [`MAX_FAULTS`](crate::MAX_FAULTS).
    pub faults: Vec<Fault>,
    /// The number of faults that are not among them.
    pub further_faults: u64,
    /// The number of manifests and blobs that were hashed.
    pub contents: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// The longest manifest that is read from a bundle, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The most threads; each has a buffer of [`CHUNK`] bytes.
const MAX_THREADS: usize = 256;

/// The size of a read, in bytes.
const CHUNK: usize = 1 << 20;

/// Verifies a bundle whose head was [read](crate::Reader) from `files`, on `threads` threads, or as many as it has content for,
/// and at most 256. `progress` gets the number of bytes after each read. Blocks.
///
/// # Errors
///
/// When a file cannot be read. A damaged bundle is no error: see [`Verification::faults`].
pub fn verify(
    files: &PartFiles,
    bundle: &Bundle,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Verification> {
    let mut faults = Faults::default();
    find_framing_faults(files, bundle, &mut faults)?;
    let work = ParallelCheck {
        files,
        bundle,
        progress,
        next: AtomicUsize::new(0),
        faults: Mutex::new(faults),
        references: Mutex::new(References::new(bundle.plan())),
    };
    let threads = threads.min(bundle.plan().contents.len()).clamp(1, MAX_THREADS);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.run())).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<_, crate::Error>(())
    })?;
    let references = work.references.into_inner();
    let mut faults = work.faults.into_inner();
    find_missing_references(files, bundle, &references, &mut faults);
    find_wrong_names(files, bundle, &mut faults);
    let (faults, further_faults) = faults.into_sorted();
    let totals = bundle.plan().totals()?;
    Ok(Verification { faults, further_faults, contents: totals.blobs, bytes: totals.bytes })
}

struct ParallelCheck<'a> {
    files: &'a PartFiles,
    bundle: &'a Bundle,
    progress: &'a (dyn Fn(u64) + Sync),
    next: AtomicUsize,
    faults: Mutex<Faults>,
    references: Mutex<References<'a>>,
}

impl ParallelCheck<'_> {
    fn run(&self) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            match index < self.bundle.plan().contents.len() {
                true => self.check(index, &mut buffer)?,
                false => return Ok(()),
            }
        }
    }

    fn check(&self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let content = &self.bundle.plan().contents[index];
        let data = self.bundle.layout().data(index, content);
        let mut hash = ContentHash::new(content.digest.algorithm());
        let is_parsed = content.kind == ContentKind::Manifest && content.size_bytes <= MAX_MANIFEST_BYTES;
        let mut manifest = Vec::new();
        let mut offset = data.start;
        while offset < data.end {
            let len = usize::try_from(data.end - offset).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.files.read_at(offset, &mut buffer[..len])?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            if is_parsed {
                manifest.extend_from_slice(&buffer[..read]);
            }
            offset += read as u64;
            (self.progress)(read as u64);
        }
        let fault = |problem| {
            self.faults.lock().add(|| self.files.fault_within(&content.path(), data.clone(), problem));
        };
        let actual = hash.finish();
        if actual != content.digest {
            fault(hashes_to(&actual));
        } else if is_parsed {
            match Manifest::parse(&manifest, None) {
                Ok(manifest) => {
                    let missing = self.references.lock().add(index, &manifest);
                    add_missing(self.files, self.bundle, missing, &mut self.faults.lock());
                }
                Err(problem) => fault(problem.to_string()),
            }
        } else if content.kind == ContentKind::Manifest {
            fault("it is too long for a manifest".to_owned());
        }
        Ok(())
    }
}

/// Adds the fault of references that the bundle neither carries, nor presumes, nor leaves out.
fn add_missing(files: &PartFiles, bundle: &Bundle, missing: Vec<MissingReference>, faults: &mut Faults) {
    for MissingReference { manifest, digest } in missing {
        faults.add(|| {
            let content = &bundle.plan().contents[manifest];
            let problem = format!("it refers to {digest}, which is neither here, nor presumed, nor left out");
            files.fault(&content.path(), bundle.layout().data(manifest, content).start, problem)
        });
    }
}

/// Finds the references that an image needs, and that only other images leave out.
fn find_missing_references(
    files: &PartFiles,
    bundle: &Bundle,
    references: &References<'_>,
    faults: &mut Faults,
) {
    match references.not_left_out(bundle.plan(), MAX_STEPS) {
        Ok(missing) => add_missing(files, bundle, missing, faults),
        Err(TooIntricate) => faults.add(|| {
            let problem = "its images share so many incomplete indexes that they are not compared";
            files.fault(PLAN, 0, problem)
        }),
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: Digest,
    #[serde(default)]
    annotations: Names,
}

/// The annotations that name an image; others take no memory.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    #[serde(rename = "io.containerd.image.name")]
    full: Option<String>,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    short: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Finds faults of the files for other tools: a name that means another image there than in the plan, or content that is
/// absent.
fn find_wrong_names(files: &PartFiles, bundle: &Bundle, faults: &mut Faults) {
    let plan = bundle.plan();
    let names: HashMap<String, &Digest> = plan
        .images()
        .flat_map(|(repository, image)| {
            image.tags.iter().map(move |tag| (format!("{}:{tag}", repository.name), &image.digest))
        })
        .collect();
    let paths: HashSet<String> = plan.contents.iter().map(|content| content.path()).collect();
    let in_plan = |name: &str| {
        let without_host = name.strip_prefix(&plan.source).and_then(|rest| rest.strip_prefix('/'));
        names.get(without_host.unwrap_or(name)).copied()
    };
    let mut fault = |name: &str, problem: String| faults.add(|| files.fault(name, 0, problem));
    for (planned, content) in plan.files.iter().zip(&bundle.head().files) {
        match planned.name.as_str() {
            "index.json" => match serde_json::from_slice::<Index>(content) {
                Ok(index) => {
                    for entry in index.manifests {
                        let named = entry.annotations.full.or(entry.annotations.short);
                        if let Some(named) = named.filter(|named| in_plan(named) != Some(&entry.digest)) {
                            fault("index.json", format!("{named:?} means another image in the plan"));
                        }
                    }
                }
                Err(error) => fault("index.json", error.to_string()),
            },
            _ => match serde_json::from_slice::<Vec<Item>>(content) {
                Ok(items) => {
                    for item in items {
                        if let Some(unknown) = item.repo_tags.iter().find(|named| in_plan(named).is_none()) {
                            fault("manifest.json", format!("{unknown:?} is not in the plan"));
                        }
                        if let Some(absent) =
                            [&item.config].into_iter().chain(&item.layers).find(|path| !paths.contains(*path))
                        {
                            fault("manifest.json", format!("{absent:?} is not in the bundle"));
                        }
                    }
                }
                Err(error) => fault("manifest.json", error.to_string()),
            },
        }
    }
}
