//! Resuming: how much of an unfinished export can stay.

use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;

use crate::cursor::CHUNK;
use crate::layout::content_header;
use crate::output::partial_name;
use crate::{Bundle, ContentHash, Error, PartFiles, Reader, Result, part_name};

/// An unfinished export.
#[derive(Debug)]
pub struct Resumption {
    /// The bundle that was begun.
    pub bundle: Bundle,
    /// The offset up to which the files have the right bytes; it is the beginning of an entry.
    pub offset: u64,
    /// The length of the parts, in bytes.
    pub split_bytes: Option<u64>,
}

/// Finds the unfinished export to `path`, and hashes what is there. `split_bytes` is the length of its parts.
///
/// `None` when so little is there that the plan cannot be read: the export must start again.
///
/// # Errors
///
/// When a file cannot be read; `NotABundle` when a file is no part of a bundle.
pub async fn find_resumption(path: &Path, split_bytes: Option<u64>) -> Result<Option<Resumption>> {
    let files: Vec<PathBuf> = match split_bytes {
        None => [partial_name(path)].into_iter().filter(|file| file.exists()).collect(),
        Some(_) => written_parts(path),
    };
    if files.is_empty() {
        return Ok(None);
    }
    let other_length =
        || Error::NotABundle("its parts have another length: resume with the `--split` of the first run");
    // The last file may be the unfinished part, or the end of the bundle.
    let (last, before) = files.split_last().map_or((None, &files[..]), |(last, before)| (Some(last), before));
    if let Some(split) = split_bytes {
        for part in before {
            if len_of(part)? != split {
                return Err(other_length());
            }
        }
    }
    let medium = PartFiles::in_order(&files, split_bytes)?;
    let reader = match Reader::over(medium).await {
        Ok(reader) => reader,
        Err(Error::NewerVersion(version)) => return Err(Error::NewerVersion(version)),
        Err(error) if error.is_damage() => return Ok(None),
        Err(error) => return Err(error),
    };
    let bundle = reader.bundle().clone();
    if let (Some(split), Some(last)) = (split_bytes, last)
        && last.extension().is_none_or(|end| end != "partial")
    {
        let expected = bundle.layout().len_bytes().saturating_sub(before.len() as u64 * split).min(split);
        if len_of(last)? != expected {
            return Err(other_length());
        }
    }
    let Some(files) = reader.files().cloned() else { return Ok(None) };
    let checked = tokio::task::spawn_blocking(move || {
        let offset = good_until(&files, &bundle)?;
        Ok::<_, Error>(Resumption { bundle, offset, split_bytes })
    });
    checked.await.map_err(|error| Error::Pipe(std::io::Error::other(error)))?.map(Some)
}

fn len_of(part: &Path) -> Result<u64> {
    Ok(std::fs::metadata(part).map_err(Error::file(part))?.len())
}

/// The parts of an unfinished export, up to the first gap.
fn written_parts(path: &Path) -> Vec<PathBuf> {
    let mut parts = Vec::new();
    // The width of the numbers depends on their count, which only the plan says.
    for count in [1, 1_000, 10_000, 100_000] {
        for number in 1.. {
            let part = part_name(path, number, count);
            let partial = partial_name(&part);
            match (part.exists(), partial.exists()) {
                (true, _) => parts.push(part),
                (false, true) => {
                    parts.push(partial);
                    return parts;
                }
                (false, false) => break,
            }
        }
        if !parts.is_empty() {
            break;
        }
    }
    parts
}

/// The offset behind the last entry that is whole.
fn good_until(files: &PartFiles, bundle: &Bundle) -> Result<u64> {
    let (plan, layout) = (bundle.plan(), bundle.layout());
    let mut buffer = vec![0; CHUNK as usize];
    for (index, content) in plan.contents.iter().enumerate() {
        let header = content_header(content);
        let filled = files.fill(layout.header(index), &mut buffer[..header.len()])?;
        if filled < header.len() || buffer[..filled] != header[..] {
            return Ok(layout.header(index));
        }
        let data = layout.data(index, content);
        match hash(files, data, content.digest.algorithm(), &mut buffer)? {
            Some(actual) if actual == content.digest => {}
            _ => return Ok(layout.header(index)),
        }
        let padding = layout.header(index + 1) - layout.data(index, content).end;
        let padding = &mut buffer[..padding as usize];
        let filled = files.fill(layout.data(index, content).end, padding)?;
        if filled < padding.len() || padding.iter().any(|byte| *byte != 0) {
            return Ok(layout.header(index));
        }
    }
    Ok(layout.header(plan.contents.len()))
}

/// The digest of a range; `None` when the files end in it.
fn hash(
    files: &PartFiles,
    range: std::ops::Range<u64>,
    algorithm: sampan_engine::oci::Algorithm,
    buffer: &mut [u8],
) -> Result<Option<Digest>> {
    let mut hash = ContentHash::new(algorithm);
    let mut offset = range.start;
    while offset < range.end {
        let len = usize::try_from(range.end - offset).unwrap_or(usize::MAX).min(buffer.len());
        match files.read_at(offset, &mut buffer[..len])? {
            0 => return Ok(None),
            read => {
                hash.update(&buffer[..read]);
                offset += read as u64;
            }
        }
    }
    Ok(Some(hash.finish()))
}
