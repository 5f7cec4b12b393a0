//! `Backlog`: the storage of a queue's events, in memory or in files that outlive the process.
//!
//! On disk: segments `<number>.events` with one event per line, appended to the last and read from the first.
//! A delivered segment is removed. `position` contains how much of the first segment was delivered. Writes
//! are not synced: a killed process loses nothing, a power failure may lose the last seconds. An incomplete
//! line, which a full disk may leave, is truncated.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The segment size at which a new segment starts, in bytes.
const SEGMENT_BYTES: u64 = 1 << 20;

/// A queue's events.
pub(super) enum Backlog {
    /// In memory; lost with the process.
    Memory(VecDeque<String>),
    /// In files.
    Disk(Disk),
}

/// A queue in files.
pub(super) struct Disk {
    folder: PathBuf,
    segments: VecDeque<Segment>,
    last: File,
    /// The bytes of the first segment that were delivered.
    delivered_bytes: u64,
    position: File,
    /// Held so that no other process uses the same files.
    _lock: File,
}

#[derive(Clone, Copy)]
struct Segment {
    number: u64,
    len: u64,
    events: u64,
}

impl Backlog {
    /// Appends an event. On an error nothing was appended.
    pub(super) fn push(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Memory(lines) => {
                lines.push_back(line.to_owned());
                Ok(())
            }
            Self::Disk(disk) => disk.push(line),
        }
    }

    /// The first event. A damaged file may have anything in its place.
    pub(super) fn first(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Memory(lines) => Ok(lines.front().map(|line| line.clone().into_bytes())),
            Self::Disk(disk) => disk.first(),
        }
    }

    /// Removes the first event, which has the length of `line`.
    pub(super) fn remove(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(lines) => {
                lines.pop_front();
                Ok(())
            }
            Self::Disk(disk) => disk.remove(line.len() as u64 + 1),
        }
    }
}

impl Disk {
    /// Opens the files in `folder`, creating it if necessary. Also returns the number of events and bytes in
    /// them.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, u64, u64)> {
        fs::create_dir_all(folder)?;
        let open = |name: &str| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(name))
        };
        let lock = open("lock")?;
        lock.try_lock()
            .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another process is using it"))?;
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number: Option<u64> =
                name.to_str().and_then(|name| name.strip_suffix(".events")?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let position = open("position")?;
        let (first, offset) = read_position(&position);
        let mut segments = VecDeque::new();
        let (mut events, mut bytes, mut delivered_bytes) = (0, 0, 0);
        for number in numbers {
            let path = path_of(folder, number);
            if number < first {
                fs::remove_file(path)?;
                continue;
            }
            let skip = if number == first { offset } else { 0 };
            let (segment, waiting) = Segment::examine(&path, number, skip)?;
            if segments.is_empty() {
                delivered_bytes = skip.min(segment.len);
            }
            events += waiting;
            bytes += segment.len - skip.min(segment.len);
            segments.push_back(Segment { events: waiting, ..segment });
        }
        if segments.is_empty() {
            segments.push_back(Segment { number: first.max(1), len: 0, events: 0 });
        }
        let number = segments[segments.len() - 1].number;
        let last = append_to(&path_of(folder, number))?;
        let disk = Self { folder: folder.to_owned(), segments, last, delivered_bytes, position, _lock: lock };
        Ok((disk, events, bytes))
    }

    fn push(&mut self, line: &str) -> io::Result<()> {
        let newest = self.segments.len() - 1;
        if self.segments[newest].len >= SEGMENT_BYTES {
            let number = self.segments[newest].number + 1;
            self.last = append_to(&path_of(&self.folder, number))?;
            self.segments.push_back(Segment { number, len: 0, events: 0 });
        }
        let newest = self.segments.len() - 1;
        let segment = &mut self.segments[newest];
        let mut text = Vec::with_capacity(line.len() + 1);
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        if let Err(error) = self.last.write_all(&text) {
            // A full disk may have accepted a part.
            self.last.set_len(segment.len)?;
            return Err(error);
        }
        segment.len += text.len() as u64;
        segment.events += 1;
        Ok(())
    }

    fn first(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.segments.len() > 1 && self.segments[0].events == 0 {
            self.drop_segment()?;
        }
        if self.segments[0].events == 0 {
            return Ok(None);
        }
        let mut reader = BufReader::new(File::open(path_of(&self.folder, self.segments[0].number))?);
        reader.seek(SeekFrom::Start(self.delivered_bytes))?;
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a segment shrank"));
        }
        Ok(Some(line))
    }

    fn remove(&mut self, len: u64) -> io::Result<()> {
        let segment = &mut self.segments[0];
        segment.events = segment.events.saturating_sub(1);
        self.delivered_bytes += len;
        let position = write_position(&self.position, segment.number, self.delivered_bytes);
        if self.segments.len() > 1 && self.segments[0].events == 0 {
            self.drop_segment()?;
        }
        position
    }

    fn drop_segment(&mut self) -> io::Result<()> {
        let Some(segment) = self.segments.pop_front() else { return Ok(()) };
        self.delivered_bytes = 0;
        write_position(&self.position, segment.number + 1, 0)?;
        fs::remove_file(path_of(&self.folder, segment.number))
    }
}

impl Segment {
    /// Counts the events after `skip` bytes, and truncates an incomplete line.
    fn examine(path: &Path, number: u64, skip: u64) -> io::Result<(Self, u64)> {
        let mut reader = BufReader::new(File::open(path)?);
        let (mut len, mut waiting) = (0_u64, 0_u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)? as u64;
            if read == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                OpenOptions::new().write(true).open(path)?.set_len(len)?;
                break;
            }
            waiting += u64::from(len >= skip);
            len += read;
        }
        Ok((Self { number, len, events: waiting }, waiting))
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.events"))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Always writes the same length, so that one write overwrites the previous value.
fn write_position(file: &File, segment: u64, offset: u64) -> io::Result<()> {
    file.write_all_at(format!("{segment:020} {offset:020}\n").as_bytes(), 0)
}

fn read_position(file: &File) -> (u64, u64) {
    let mut text = [0; 42];
    let read = file.read_exact_at(&mut text, 0).ok().and_then(|()| {
        let text = std::str::from_utf8(&text).ok()?;
        let (segment, offset) = text.trim_end().split_once(' ')?;
        Some((segment.parse().ok()?, offset.parse().ok()?))
    });
    // Without a position, all events are delivered, perhaps again.
    read.unwrap_or((0, 0))
}
