//! The files beside an export: those that an earlier one has left there, and the checksums of parts.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sampan_bundle::{Bundle, ContentHash, ContentSource, Output, PartFiles, PartSum, part_name};
use sampan_engine::oci::{Algorithm, Digest};

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
    let (parts, whole) = (found_parts(output), partial_of(output));
    let unfinished = |path: &Path, split: &str| {
        Failed(format!(
            "{} exists, an unfinished export: continue with `registry export --resume{split} -o {}{source}`, or remove it",
            path.display(),
            output.display()
        ))
    };
    if whole.exists() {
        return Err(unfinished(&whole, ""));
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

/// Refuses to continue with an unfinished file where another one has its final name meanwhile, which would be replaced.
pub(super) fn refuse_to_replace(output: &Path) -> Result<(), Failed> {
    match output.exists() && partial_of(output).exists() {
        true => Err(Failed(format!(
            "{0} exists, and running with {0}.partial would replace it: move {0} away, or remove {0}.partial",
            output.display()
        ))),
        false => Ok(()),
    }
}

/// The name of an unfinished file.
fn partial_of(output: &Path) -> PathBuf {
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
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
    content: &impl ContentSource,
    output: &Path,
    split_bytes: u64,
) -> Result<(Vec<Range<u64>>, Vec<PartSum>), Box<dyn std::error::Error>> {
    let len = bundle.layout().len_bytes();
    let count = len.div_ceil(split_bytes);
    let mut sums: Vec<PartSum> = Vec::new();
    let (mut ranges, mut runs): (Vec<Range<u64>>, Vec<Run>) = (Vec::new(), Vec::new());
    let mut next = 0;
    for part in found_parts(output).into_iter().filter(|part| !part.is_partial) {
        let FoundPart { number, path, .. } = part;
        if number > count || path != part_name(output, number, count) {
            return Err(of_another_bundle(&path).into());
        }
        let range = (number - 1) * split_bytes..(number * split_bytes).min(len);
        if std::fs::metadata(&path)?.len() != range.end - range.start {
            return Err(of_another_bundle(&path).into());
        }
        let sum = PartSum::of(&path)?;
        if next < range.start || runs.is_empty() {
            runs.push(Run { start: range.start, parts: Vec::new() });
            ranges.extend((next < range.start).then_some(next..range.start));
        }
        next = range.end;
        let part = ComparedPart { path, end: range.end, digest: sum.digest.clone() };
        runs.last_mut().into_iter().for_each(|run| run.parts.push(part.clone()));
        sums.push(sum);
    }
    for run in &runs {
        run.compare(bundle, content).await?;
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

fn of_another_bundle(part: &Path) -> Failed {
    Failed(format!(
        "{} is a part of another bundle, or damaged: remove it, or choose another name",
        part.display()
    ))
}

/// Parts that follow each other.
struct Run {
    start: u64,
    parts: Vec<ComparedPart>,
}

/// A part, and what its bytes hash to.
#[derive(Clone)]
struct ComparedPart {
    path: PathBuf,
    /// The offset in the bundle behind it.
    end: u64,
    digest: Digest,
}

impl Run {
    /// Compares the parts with the bundle. What reaches over several parts is read once.
    ///
    /// # Errors
    ///
    /// The first part that is another one; any error of the source.
    async fn compare(
        &self,
        bundle: &Bundle,
        content: &impl ContentSource,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let end = self.parts.last().map_or(self.start, |part| part.end);
        let mut compared =
            Comparison { parts: &self.parts, offset: self.start, hash: sha256(), differs: false };
        let written = bundle.write(self.start..end, content, &mut compared).await;
        match compared.parts.first().filter(|_| compared.differs) {
            Some(part) => Err(of_another_bundle(&part.path).into()),
            None => Ok(written?),
        }
    }
}

/// Compares the bytes that it takes with parts.
struct Comparison<'a> {
    /// Those that were not compared.
    parts: &'a [ComparedPart],
    offset: u64,
    /// Of the bytes of the first one.
    hash: ContentHash,
    /// Whether the first one has other bytes.
    differs: bool,
}

impl Output for Comparison<'_> {
    async fn write(&mut self, mut bytes: Bytes) -> std::io::Result<()> {
        while let Some((part, rest)) = self.parts.split_first().filter(|_| !bytes.is_empty()) {
            let room = usize::try_from(part.end - self.offset).unwrap_or(usize::MAX);
            let piece = bytes.split_to(bytes.len().min(room));
            self.hash.update(&piece);
            self.offset += piece.len() as u64;
            if self.offset == part.end {
                if std::mem::replace(&mut self.hash, sha256()).finish() != part.digest {
                    self.differs = true;
                    return Err(std::io::Error::other("a part has other bytes"));
                }
                self.parts = rest;
            }
        }
        Ok(())
    }
}

fn sha256() -> ContentHash {
    ContentHash::new(Algorithm::Sha256)
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
            "{} is missing, which has the plan of all parts: put it back, and continue; parts that should not be beside it are made \
             one by one with `registry export --part NUMBER -o {shown}{source}`",
            part_name(output, 1, 1).display()
        ));
    }
    Failed(format!(
        "there is nothing to resume at {shown}: pass the --split of the first time if it had one; else remove {shown}.partial if \
         it is there, and export again without --resume"
    ))
}

/// Whether an export has left something that `--resume` can continue with.
pub(super) fn has_begun(output: &Path) -> bool {
    partial_of(output).exists() || !found_parts(output).is_empty()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{StreamExt, stream};
    use sampan_bundle::{
        BoxError, ContentKind, ContentStream, FileOutput, OutputOptions, Plan, PlannedContent, index_json,
    };

    use super::*;

    /// A blob of zeros; it counts how often that is read.
    #[derive(Default)]
    struct Zeros(AtomicUsize);

    const LEN: usize = 1 << 20;

    impl ContentSource for Zeros {
        async fn open(&self, _: &PlannedContent) -> Result<ContentStream, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(stream::iter([Ok(Bytes::from_static(&[0; LEN]))]).boxed())
        }
    }

    #[tokio::test]
    async fn a_blob_in_many_parts_is_read_once_for_each_run_of_them() {
        let digest = Digest::sha256_of(&[0; LEN]);
        let contents = vec![PlannedContent { digest, size_bytes: LEN as u64, kind: ContentKind::Blob }];
        let plan = Plan { contents, ..Plan::default() };
        let index = index_json(&plan);
        let bundle = Bundle::assemble(plan, index, None, None).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (path, split, len) =
            (directory.path().join("b.tar"), LEN as u64 / 16, bundle.layout().len_bytes());
        let options =
            OutputOptions { path: path.clone(), split_bytes: Some(split), len_bytes: len, start: 0 };
        let mut files = FileOutput::new(options);
        bundle.write(0..len, &Zeros::default(), &mut files).await.unwrap();
        let sums = files.finish().await.unwrap().sums;
        assert_eq!(sums.len(), 17);
        for (missing, reads) in [(vec![1], 1), (vec![1, 8], 2), (vec![1, 3, 4, 17], 2)] {
            let away = |number: &u64| {
                (part_name(&path, *number, 17), directory.path().join(format!("away{number}")))
            };
            missing.iter().map(away).for_each(|(part, away)| std::fs::rename(part, away).unwrap());
            let source = Zeros::default();
            let (ranges, found) = missing_ranges(&bundle, &source, &path, split).await.unwrap();
            assert_eq!(source.0.load(Ordering::Relaxed), reads, "without {missing:?}");
            assert_eq!(found.len() + missing.len(), 17);
            let lacking: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            let expected = missing.iter().map(|number| split.min(len - (number - 1) * split)).sum::<u64>();
            assert_eq!(lacking, expected, "{ranges:?}");
            missing.iter().map(away).for_each(|(part, away)| std::fs::rename(away, part).unwrap());
        }
        std::fs::write(part_name(&path, 5, 17), vec![1; split as usize]).unwrap();
        let error = missing_ranges(&bundle, &Zeros::default(), &path, split).await.unwrap_err().to_string();
        assert!(error.contains("b.tar.005 is a part of another bundle"), "{error}");
    }
}
