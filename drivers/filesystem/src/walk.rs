//! Walks all files below a path, in byte order of the whole paths.
//!
//! A directory `a` sorts as `a/`, after `a-b` and `a.b`. So the walk reads each directory whole, sorts its
//! names (directories with their slash) and takes the next one: memory is bounded by the depth times the size
//! of a directory. It reports each place that it cannot read and continues after it: a garbage collection
//! must not assume that content on an unmounted disk is absent. It runs on the pool in batches and keeps the
//! directories on its path open, so that a file costs one `fstatat` of a single name, and a subdirectory one
//! `openat`.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sampan_driver::{DriverPath, FileInfo, Operation, Result, may_block};

use crate::error::Failure;
use crate::file;
use crate::root::{DIRECTORY, PATH_ONLY};
use crate::scan::{self, Kind};
use crate::store::Store;

/// Files in the first batch, for callers that need only a few; later batches grow.
const FIRST_BATCH: usize = 64;

/// Files in the largest batch: some 300 KiB of paths, worth a round trip to the pool.
const MAX_BATCH: usize = 1024;

/// All files below `path`, starting after `after`.
pub(crate) fn walk(
    store: Arc<Store>,
    path: &DriverPath,
    after: Option<&DriverPath>,
) -> BoxStream<'static, Result<FileInfo>> {
    let walker = Walker::new(Arc::clone(&store), path.clone(), after);
    let path = path.clone();
    stream::unfold((Some(walker), FIRST_BATCH), move |(walker, most)| {
        let (store, path) = (Arc::clone(&store), path.clone());
        async move {
            let walker = walker?;
            let (batch, walker) = match store.pool.run(move || Ok(walker.batch(most))).await {
                Ok(step) => step,
                Err(failure) => (vec![Err(store.error(Operation::Walk, &path, failure))], None),
            };
            // A thread that may block needs no round trip, and its caller wants control more often.
            let largest = if may_block() { FIRST_BATCH } else { MAX_BATCH };
            Some((stream::iter(batch), (walker, (most * 4).min(largest))))
        }
    })
    .flatten()
    .boxed()
}

struct Walker {
    store: Arc<Store>,
    start: DriverPath,
    after: Option<DriverPath>,
    /// The directories on the path, the deepest last; empty before the start.
    frames: Vec<Frame>,
    has_begun: bool,
    /// The path of the deepest directory, with a trailing slash.
    prefix: String,
    /// Unreadable places, not reported yet.
    unseen: Vec<(DriverPath, Failure)>,
    buffer: Vec<u8>,
}

/// A directory on the path and its remaining entries.
struct Frame {
    directory: OwnedFd,
    /// The length of the walker's prefix while in this directory.
    prefix_len: usize,
    names: String,
    /// Start and end in `names` and the kind, the next entry last.
    entries: Vec<(usize, usize, Kind)>,
}

impl Walker {
    fn new(store: Arc<Store>, start: DriverPath, after: Option<&DriverPath>) -> Self {
        let prefix = if start.is_root() { "/".to_owned() } else { format!("{start}/") };
        Self {
            store,
            start,
            after: after.cloned(),
            frames: Vec::new(),
            has_begun: false,
            prefix,
            unseen: Vec::new(),
            buffer: scan::buffer(),
        }
    }

    /// The next files, at most `most`, and the walker unless the walk is over.
    fn batch(mut self, most: usize) -> (Vec<Result<FileInfo>>, Option<Self>) {
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most {
            let next = self.next();
            for (place, failure) in self.unseen.drain(..) {
                batch.push(Err(self.store.error(Operation::Walk, &place, failure)));
            }
            match next {
                Ok(Some(info)) => batch.push(Ok(info)),
                Ok(None) => return (batch, None),
                Err(failure) => {
                    let place = self.place();
                    batch.push(Err(self.store.error(Operation::Walk, &place, failure)));
                    return (batch, None);
                }
            }
        }
        (batch, Some(self))
    }

    fn next(&mut self) -> Result<Option<FileInfo>, Failure> {
        if !self.has_begun {
            self.has_begun = true;
            let key = self.start.as_key();
            match self.store.root.find_directory(key) {
                Err(Failure::Missing) if self.store.root.is_dangling(key)? => self.skip(Failure::Dangling)?,
                Err(Failure::Missing) => return Ok(None),
                Ok(directory) => self.enter(directory)?,
                Err(failure) => self.skip(failure)?,
            }
        }
        while let Some(frame) = self.frames.last_mut() {
            self.prefix.truncate(frame.prefix_len);
            let Some((begin, end, kind)) = frame.entries.pop() else {
                self.frames.pop();
                continue;
            };
            self.prefix.push_str(&frame.names[begin..end]);
            match kind {
                Kind::File | Kind::LinkedFile => match self.file(kind) {
                    Ok(Some(info)) => return Ok(Some(info)),
                    Ok(None) => {}
                    Err(failure) => self.skip(failure)?,
                },
                Kind::Directory | Kind::LinkedDirectory => {
                    let entered = match self.open(kind) {
                        Ok(Some(directory)) => self.enter(directory),
                        Ok(None) => Ok(()),
                        Err(failure) => Err(failure),
                    };
                    if let Err(failure) = entered {
                        self.skip(failure)?;
                    }
                }
                Kind::Dangling => self.skip(Failure::Dangling)?,
            }
        }
        Ok(None)
    }

    /// Records that the place at the prefix is unreadable; passes on a failure that ends the walk.
    fn skip(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure.unseen() {
            unseen @ Failure::Unseen(_) => {
                self.unseen.push((self.place(), unseen));
                Ok(())
            }
            failure => Err(failure),
        }
    }

    /// The path of the prefix.
    fn place(&self) -> DriverPath {
        self.prefix.trim_end_matches('/').parse().unwrap_or_else(|_| self.start.clone())
    }

    /// The file at the prefix, which now ends with its name; `None` if it is gone.
    fn file(&self, kind: Kind) -> Result<Option<FileInfo>, Failure> {
        let stat = match kind {
            Kind::LinkedFile => self
                .store
                .root
                .open_at(&self.prefix[1..], PATH_ONLY)
                .and_then(|file| Ok(rustix::fs::fstat(file)?)),
            _ => {
                let (directory, name) = self.here();
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Failure::Os)
            }
        };
        match stat {
            Ok(stat) if file::is_regular(&stat) => match self.prefix.parse() {
                Ok(path) => Ok(Some(file::info(path, &stat))),
                Err(_) => Ok(None), // Names are validated when they are read.
            },
            // Its target existed a moment ago: perhaps a disk was just unmounted.
            Err(Failure::Os(Errno::NOENT | Errno::NOTDIR)) if kind == Kind::LinkedFile => {
                Err(Failure::Dangling)
            }
            Ok(_) | Err(Failure::Os(Errno::NOENT | Errno::NOTDIR)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The directory at the prefix, which now ends with its name and a slash; `None` if it is gone.
    fn open(&self, kind: Kind) -> Result<Option<OwnedFd>, Failure> {
        let opened = match kind {
            Kind::LinkedDirectory => self.open_linked(),
            _ => {
                let (directory, name) = self.here();
                rustix::fs::openat(directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
                    .map_err(Failure::Os)
            }
        };
        match opened {
            Ok(directory) => Ok(Some(directory)),
            Err(Failure::Os(Errno::NOENT | Errno::NOTDIR)) if kind == Kind::LinkedDirectory => {
                Err(Failure::Dangling)
            }
            Err(Failure::Os(Errno::NOENT | Errno::NOTDIR)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Enters a linked directory only if the walk is not already in it, which would loop forever.
    fn open_linked(&self) -> Result<OwnedFd, Failure> {
        let directory = self.store.root.directory(self.prefix[1..].trim_end_matches('/'))?;
        let identity = rustix::fs::fstat(&directory)?;
        for frame in &self.frames {
            let above = rustix::fs::fstat(&frame.directory)?;
            if (above.st_dev, above.st_ino) == (identity.st_dev, identity.st_ino) {
                return Err(Failure::Os(Errno::LOOP));
            }
        }
        Ok(directory)
    }

    /// The deepest directory and the last name of the prefix in it.
    fn here(&self) -> (&OwnedFd, &str) {
        #[expect(
            clippy::expect_used,
            reason = "a name is only ever taken out of the last frame, which stays"
        )]
        let frame = self.frames.last().expect("invariant: a name has a directory");
        (&frame.directory, self.prefix[frame.prefix_len..].trim_end_matches('/'))
    }

    /// Reads `directory`, which is at the prefix, and continues there.
    fn enter(&mut self, directory: OwnedFd) -> Result<(), Failure> {
        let Self { store, start, after, prefix, unseen, buffer, .. } = self;
        // The part of `after` in this directory. Without one, the directory is wholly before or after it.
        let rest = match after.as_ref().map(|after| after.as_str()) {
            Some(after) => match after.strip_prefix(prefix.as_str()) {
                None if *prefix.as_str() < *after => return Ok(()),
                rest => rest.unwrap_or_default(),
            },
            None => "",
        };
        let (mut names, mut entries) = (String::new(), Vec::new());
        scan::entries(directory.as_fd(), buffer, |name, file_type| {
            let found = match scan::classify(&store.root, &prefix[1..], name, file_type) {
                Ok(found) => found,
                Err(failure) => match failure.unseen() {
                    failure @ Failure::Unseen(_) => {
                        let place = format!("{prefix}{}", name.to_string_lossy());
                        unseen.push((place.parse().unwrap_or_else(|_| start.clone()), failure));
                        None
                    }
                    failure => return Err(failure),
                },
            };
            if let Some((name, kind)) = found {
                let begin = names.len();
                names.push_str(name);
                if kind.is_directory() {
                    names.push('/');
                }
                let sorts_as = &names[begin..];
                if sorts_as > rest || (kind.is_directory() && rest.starts_with(sorts_as)) {
                    entries.push((begin, names.len(), kind));
                } else {
                    names.truncate(begin);
                }
            }
            Ok(())
        })?;
        entries.sort_unstable_by(|a, b| names[b.0..b.1].cmp(&names[a.0..a.1]));
        self.frames.push(Frame { directory, prefix_len: prefix.len(), names, entries });
        Ok(())
    }
}
