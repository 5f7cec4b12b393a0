//! The files beside an export: those that an earlier one has left there, and the checksums of parts.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sampan_bundle::{Bundle, ContentHash, Output, PartFiles, PartSum, part_name};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_transfer::Exported;

use super::transfer::{Failed, write_lines};
use crate::atomic_write::folder_of;

/// A part beside the output, or the beginning of one.
#[derive(Debug)]
pub(super) struct FoundPart {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    is_partial: bool,
}

/// The parts of `output` that are there, in the order of their numbers, and their `.partial` files.
pub(super) fn found_parts(output: &Path) -> Vec<FoundPart> {
    let Some(name) = output.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder_of(output)).into_iter().flatten().flatten();
    let parts = entries.filter_map(|entry| {
        let file_name = entry.file_name();
        let end = file_name.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
        let digits = end.strip_suffix(".partial").unwrap_or(end);
        let is_number = digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|number| is_number && *number > 0)?;
        let path = output.with_file_name(&file_name);
        Some(FoundPart { number, path, is_partial: digits != end })
    });
    let mut parts: Vec<FoundPart> = parts.collect();
    parts.sort_by(|a, b| (a.number, &a.path).cmp(&(b.number, &b.path)));
    parts
}

/// Refuses to begin an export where an earlier one is, or was begun. Other parts than the first one may be those of the same
/// export: see [`missing_ranges`]. `source` are the options that name the source.
pub(super) fn refuse_existing(output: &Path, source: &str) -> Result<(), Failed> {
    let parts = found_parts(output);
    let mut whole = output.as_os_str().to_owned();
    whole.push(".partial");
    let unfinished = |path: &Path, split: &str| {
        Failed(format!(
            "{} exists, an unfinished export: continue with `registry export --resume{split} -o {}{source}`, or remove it",
            path.display(),
            output.display()
        ))
    };
    if Path::new(&whole).exists() {
        return Err(unfinished(Path::new(&whole), ""));
    }
    if let Some(part) = parts.iter().find(|part| part.is_partial) {
        return Err(unfinished(&part.path, " --split SIZE"));
    }
    let first = parts.iter().filter(|part| part.number == 1).map(|part| part.path.as_path());
    match first.chain([output]).find(|path| path.exists()) {
        Some(path) => Err(exists(path)),
        None => Ok(()),
    }
}

fn exists(path: &Path) -> Failed {
    Failed(format!("{} exists: remove it, or choose another name", path.display()))
}

/// The ranges of a bundle that no part has, and the checksums of the parts that are there.
///
/// # Errors
///
/// When a part or the checksums beside them are those of another bundle; any error of the source or of a file.
pub(super) async fn missing_ranges(
    bundle: &Bundle,
    content: &Exported,
    output: &Path,
    split_bytes: u64,
) -> Result<(Vec<Range<u64>>, Vec<PartSum>), Box<dyn std::error::Error>> {
    let len = bundle.layout().len_bytes();
    let count = len.div_ceil(split_bytes);
    let mut sums: Vec<PartSum> = Vec::new();
    let mut ranges = Vec::new();
    let mut next = 0;
    let other = |path: &Path| {
        Failed(format!(
            "{} is a part of another bundle, or damaged: remove it, or choose another name",
            path.display()
        ))
    };
    for part in found_parts(output).into_iter().filter(|part| !part.is_partial) {
        let FoundPart { number, path, .. } = part;
        if number > count || path != part_name(output, number, count) {
            return Err(other(&path).into());
        }
        let range = (number - 1) * split_bytes..(number * split_bytes).min(len);
        let found = PartSum::of(&path)?;
        let is_same = std::fs::metadata(&path)?.len() == range.end - range.start
            && found.digest == hash_of(bundle, range.clone(), content).await?;
        if !is_same {
            return Err(other(&path).into());
        }
        sums.push(found);
        if next < range.start {
            ranges.push(next..range.start);
        }
        next = range.end;
    }
    if next < len {
        ranges.push(next..len);
    }
    let listed = PartSum::file(output);
    if listed.exists() {
        let known = PartSum::parse(&std::fs::read_to_string(&listed)?);
        if !sums.iter().any(|sum| known.contains(sum)) {
            return Err(exists(&listed).into());
        }
    }
    Ok((ranges, sums))
}

/// Checks that the first part of a bundle of `len` bytes is whole, since its length is that of all parts but the last: by its
/// checksum, by `--split`, and by the lengths of the other parts that are there.
///
/// # Errors
///
/// When one of these contradicts it, or there is none of them.
pub(super) fn check_first_part(
    output: &Path,
    first: &Path,
    len: u64,
    split_bytes: Option<u64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let remedy = "put back the first part as it was written, or remove all parts and repeat the export";
    let length = std::fs::metadata(first)?.len();
    let mut is_confirmed = false;
    if let Some(split_bytes) = split_bytes {
        if length != split_bytes.min(len) {
            let shown = first.display();
            let problem = format!("{shown} has {length} bytes, and --split says {split_bytes}: {remedy}");
            return Err(Failed(problem).into());
        }
        is_confirmed = true;
    }
    let count = len.div_ceil(length.max(1));
    for part in found_parts(output).into_iter().filter(|part| !part.is_partial && part.number > 1) {
        let actual = std::fs::metadata(&part.path)?.len();
        let start = (part.number - 1).saturating_mul(length);
        if part.number > count || actual != length.min(len.saturating_sub(start)) {
            return Err(Failed(format!(
                "{} has {length} bytes, and {} {actual}, which are no parts of one bundle of {len} bytes: {remedy}",
                first.display(),
                part.path.display()
            ))
            .into());
        }
        is_confirmed = true;
    }
    let listed = PartSum::file(output);
    let known = if listed.exists() { PartSum::parse(&std::fs::read_to_string(&listed)?) } else { Vec::new() };
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    if let Some(known) = known.iter().find(|sum| sum.name == name) {
        if PartSum::of(first)? != *known {
            return Err(Failed(format!(
                "{} does not have the checksum in {}: {remedy}",
                first.display(),
                listed.display()
            ))
            .into());
        }
        is_confirmed = true;
    }
    match is_confirmed {
        true => Ok(()),
        false => Err(Failed(format!(
            "there is no {} and no other part, so nothing says that {} is whole: pass the --split of the first time",
            listed.display(),
            first.display()
        ))
        .into()),
    }
}

/// The sha256 digest of a range of a bundle.
async fn hash_of(
    bundle: &Bundle,
    range: Range<u64>,
    content: &Exported,
) -> Result<Digest, sampan_bundle::WriteError> {
    let mut hashed = Hashed(ContentHash::new(Algorithm::Sha256));
    bundle.write(range, content, &mut hashed).await?;
    Ok(hashed.0.finish())
}

/// Hashes what it takes.
struct Hashed(ContentHash);

impl Output for Hashed {
    async fn write(&mut self, bytes: Bytes) -> std::io::Result<()> {
        self.0.update(&bytes);
        Ok(())
    }
}

/// Writes the checksums of all parts, or adds those of `new`, which are known, to the others.
///
/// # Errors
///
/// When a part would get another checksum than it has; any error of a file.
pub(super) fn write_sums(
    output: &Path,
    new: &[PartSum],
    only_one: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let path = PartSum::file(output);
    let mut sums = Vec::new();
    if only_one {
        let known = std::fs::read_to_string(&path).map(|lines| PartSum::parse(&lines)).unwrap_or_default();
        if let Some(other) =
            known.iter().find(|sum| new.iter().any(|new| new.name == sum.name && new != *sum))
        {
            return Err(Failed(format!(
                "{} does not have the checksum in {}, which stays as it was: remove the one that is wrong",
                output.with_file_name(&other.name).display(),
                path.display()
            ))
            .into());
        }
        let is_other = |sum: &&PartSum| !new.contains(sum);
        sums.extend(known.iter().filter(is_other).chain(new).cloned());
        sums.sort_by(|a, b| a.name.cmp(&b.name));
    } else {
        for part in PartFiles::open(&[output.to_owned()])?.paths() {
            // A resumed export has not hashed the parts of its first run.
            let name = part.file_name().unwrap_or_default().to_string_lossy();
            sums.push(match new.iter().find(|sum| sum.name == name) {
                Some(sum) => sum.clone(),
                None => PartSum::of(part)?,
            });
        }
    }
    write_lines(&path, &sums)
}

/// The error of `--resume` where it finds nothing. `source` are the options that name the source.
pub(super) fn nothing_to_resume(output: &Path, split_bytes: Option<u64>, source: &str) -> Failed {
    let (parts, shown) = (found_parts(output), output.display());
    if split_bytes.is_some() && !parts.is_empty() && parts.iter().all(|part| part.number > 1) {
        return Failed(format!(
            "{} is missing, which has the plan of all parts: put it back, and go on; parts that should not be beside it are made \
             one by one with `registry export --part NUMBER -o {shown}{source}`",
            part_name(output, 1, 1).display()
        ));
    }
    Failed(format!(
        "there is nothing to resume at {shown}: pass the --split of the first time if it had one; else remove {shown}.partial if \
         it is there, and export again without --resume"
    ))
}

/// Whether an export has left something that `--resume` can go on with.
pub(super) fn has_begun(output: &Path) -> bool {
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    Path::new(&partial).exists() || !found_parts(output).is_empty()
}
