//! A bundle is a pure function of its plan, whichever way it is written and read.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::Config;
use sampan_bundle::{
    BoxError, Bundle, ContentKind, ContentSource, ContentStream, FileOutput, Output, OutputOptions, PartSum,
    Plan, PlannedContent, Reader, find_resumption, index_json, part_name, verify,
};
use sampan_engine::oci::Digest;
use support::{bytes, pipe, random, range, runtime, small, write};

proptest! {
    #![proptest_config(Config::with_cases(32))]

    #[test]
    fn the_bytes_are_those_of_the_layout((contents, bundle) in random()) {
        runtime().block_on(async {
            let (plan, layout) = (bundle.plan(), bundle.layout());
            let whole = bytes(&bundle, &contents).await;
            assert_eq!(whole.len() as u64, layout.len_bytes());
            for (index, content) in plan.contents.iter().enumerate() {
                let data = layout.data(index, content);
                assert_eq!(whole[data.start as usize..data.end as usize], contents.0[&content.digest][..]);
                // Empty content has no first byte.
                let first = (!data.is_empty()).then_some(data.start);
                for offset in first.into_iter().chain([layout.header(index), layout.header(index + 1) - 1]) {
                    assert_eq!(layout.content_at(offset), Some(index));
                }
            }
            assert_eq!(layout.content_at(layout.len_bytes() - 1), None);
            assert_eq!(bytes(&bundle, &contents).await, whole, "the same plan, the same bytes");
        });
    }

    #[test]
    fn another_program_reads_an_image_layout((contents, bundle) in random()) {
        let whole = runtime().block_on(bytes(&bundle, &contents));
        let mut archive = tar::Archive::new(&whole[..]);
        let mut files = HashMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            assert!(files.insert(name, content).is_none());
        }
        assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
        assert_eq!(Plan::decode(&files["bundle.json"]).unwrap(), *bundle.plan());
        for (digest, content) in &contents.0 {
            let path = format!("blobs/{}/{}", digest.algorithm(), digest.hex());
            assert_eq!(files.get(&path), Some(&content.to_vec()));
        }
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        for entry in index["manifests"].as_array().unwrap() {
            let digest: Digest = entry["digest"].as_str().unwrap().parse().unwrap();
            assert_eq!(entry["size"], contents.0[&digest].len());
            let (short, full) = (
                entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap(),
                entry["annotations"]["io.containerd.image.name"].as_str().unwrap(),
            );
            assert_eq!(full, format!("near.example:5000/{short}"));
        }
    }

    #[test]
    fn any_range_is_that_part_of_the_whole(
        (contents, bundle) in random(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        runtime().block_on(async {
            let whole = bytes(&bundle, &contents).await;
            let (from, to) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            assert_eq!(range(&bundle, &contents, from as u64..to as u64).await, whole[from..to]);
            let contents = Arc::new(contents);
            for jobs in [1, 2, 7] {
                let mut output = Vec::new();
                bundle.write_ahead(from as u64..to as u64, &contents, jobs, &mut output).await.unwrap();
                assert_eq!(output, whole[from..to], "{jobs} at a time");
            }
        });
    }

    #[test]
    fn parts_join_to_the_whole_and_each_can_be_made_again(
        (contents, bundle) in random(),
        split in 512u64..5000,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar");
        runtime().block_on(async {
            let whole = bytes(&bundle, &contents).await;
            let len = whole.len() as u64;
            let written = write(&bundle, &contents, &path, Some(split), 0..len).await;
            let parts: Vec<Vec<u8>> = written.paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
            assert_eq!(parts.concat(), whole);
            assert!(parts.iter().rev().skip(1).all(|part| part.len() as u64 == split));
            for (part, sum) in parts.iter().zip(&written.sums) {
                assert_eq!(Digest::sha256_of(part), sum.digest);
            }
            assert_eq!(PartSum::parse(&PartSum::lines(&written.sums)), written.sums);
            for (index, part) in parts.iter().enumerate() {
                std::fs::remove_file(&written.paths[index]).unwrap();
                let start = index as u64 * split;
                let again = write(&bundle, &contents, &path, Some(split), start..(start + split).min(len)).await;
                assert_eq!(again.paths, [written.paths[index].clone()]);
                assert_eq!(again.sums, [written.sums[index].clone()]);
                assert_eq!(std::fs::read(&written.paths[index]).unwrap(), *part);
            }
            let mut shuffled = written.paths.clone();
            shuffled.reverse();
            for given in [vec![path.clone()], vec![written.paths[0].clone()], shuffled] {
                let reader = Reader::open(&given).await.unwrap();
                assert_eq!(reader.plan(), bundle.plan());
                let verified = verify(reader.files().unwrap(), reader.bundle(), 2, &|_| {}).unwrap();
                assert_eq!(verified.faults, []);
            }
        });
    }

    #[test]
    fn an_export_that_stopped_anywhere_goes_on(
        (contents, bundle) in random(),
        cut in any::<prop::sample::Index>(),
        split in prop::option::of(512u64..5000),
        damage in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar");
        runtime().block_on(async {
            let whole = bytes(&bundle, &contents).await;
            let len = whole.len() as u64;
            let cut = cut.index(whole.len()) as u64;
            let written = write(&bundle, &contents, &path, split, 0..cut).await;
            if damage && cut > 0 {
                // The last byte before the cut was never synced.
                let index = split.map_or(0, |split| (cut - 1) / split);
                let within = split.map_or(cut - 1, |split| (cut - 1) % split) as usize;
                let part = split.map_or(path.clone(), |split| {
                    sampan_bundle::part_name(&path, index + 1, len.div_ceil(split))
                });
                let mut partial = part.clone().into_os_string();
                partial.push(".partial");
                let file = if part.exists() { part } else { partial.into() };
                let mut content = std::fs::read(&file).unwrap();
                content[within] ^= 1;
                std::fs::write(&file, content).unwrap();
            }
            drop(written);
            let resumption = find_resumption(&path, split).await.unwrap();
            let start = match &resumption {
                Some(found) => {
                    assert_eq!(found.bundle.plan(), bundle.plan());
                    assert!(found.offset <= cut);
                    found.offset
                }
                None => 0,
            };
            write(&bundle, &contents, &path, split, start..len).await;
            let reader = Reader::open(std::slice::from_ref(&path)).await.unwrap();
            let joined: Vec<u8> =
                reader.files().unwrap().paths().flat_map(|path| std::fs::read(path).unwrap()).collect();
            assert!(joined == whole);
        });
    }

    #[test]
    fn a_pipe_yields_what_a_file_has((contents, bundle) in random(), skip in any::<u64>()) {
        runtime().block_on(async {
            let reader = Reader::from_pipe(pipe(bytes(&bundle, &contents).await)).await.unwrap();
            assert_eq!(reader.plan(), bundle.plan());
            for (index, content) in bundle.plan().contents.iter().enumerate() {
                match (skip >> (index % 64)) & 3 {
                    0 => {}
                    1 => drop(reader.content(index).await.unwrap().chunk().await.unwrap()),
                    _ => assert_eq!(reader.read_whole(index, 1 << 20).await.unwrap(), contents.0[&content.digest]),
                }
            }
            reader.finish().await.unwrap();
        });
    }
}

/// As an interrupted export of one part leaves it, when the part was found again.
#[test]
fn a_finished_part_counts_and_not_the_beginning_of_another_one() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let (whole, directory) = (bytes(&bundle, &contents).await, tempfile::tempdir().unwrap());
        let (len, path) = (whole.len() as u64, directory.path().join("b.tar"));
        // The last part has more than the end marker.
        let split = (3_000..).find(|split| len % split > 1_100).unwrap();
        write(&bundle, &contents, &path, Some(split), 0..len).await;
        let count = len.div_ceil(split);
        let stale = format!("b.tar.{count:03}.partial");
        std::fs::write(directory.path().join(stale), "stale").unwrap();
        let found = find_resumption(&path, Some(split)).await.unwrap().unwrap();
        assert!(found.offset > (count - 1) * split, "the last part is kept in part");
        write(&bundle, &contents, &path, Some(split), found.offset..len).await;
        let reader = Reader::open(&[path]).await.unwrap();
        let joined: Vec<u8> =
            reader.files().unwrap().paths().flat_map(|path| std::fs::read(path).unwrap()).collect();
        assert!(joined == whole);
    });
}

/// As where an export that seems to hang is continued beside itself.
#[test]
fn two_exports_do_not_write_one_file_at_once() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let (whole, directory) = (bytes(&bundle, &contents).await, tempfile::tempdir().unwrap());
        let len = whole.len() as u64;
        for split_bytes in [None, Some(len - 512)] {
            let path = directory.path().join(format!("{split_bytes:?}.tar"));
            let part = split_bytes.map_or(path.clone(), |_| part_name(&path, 1, 2));
            let partial = part.with_extension("001.partial");
            let partial = if split_bytes.is_some() { partial } else { path.with_extension("tar.partial") };
            let output = |start| {
                FileOutput::new(OutputOptions { path: path.clone(), split_bytes, len_bytes: len, start })
            };
            let mut first = output(0);
            let half = bundle.layout().header(bundle.layout().count() - 1);
            bundle.write(0..half, &contents, &mut first).await.unwrap();
            while std::fs::metadata(&partial).map_or(0, |found| found.len()) < half {
                tokio::task::yield_now().await;
            }
            let found = find_resumption(&path, split_bytes).await.unwrap().unwrap();
            let mut second = output(found.offset);
            // The end may be refused here, or by the thread that writes.
            let _ = bundle.write(found.offset..len, &contents, &mut second).await;
            let error = second.finish().await.unwrap_err().to_string();
            assert!(error.contains("another export is writing it"), "{error}");
            assert!(std::fs::read(&partial).unwrap() == whole[..half as usize]);
            bundle.write(half..len, &contents, &mut first).await.unwrap();
            first.finish().await.unwrap();
            let reader = Reader::open(&[path]).await.unwrap();
            assert_eq!(verify(reader.files().unwrap(), reader.bundle(), 1, &|_| {}).unwrap().faults, []);
        }
    });
}

/// As where the export that had begun the file has ended while another one checked it.
#[test]
fn an_export_does_not_go_on_behind_a_gap() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let (len, directory) = (bundle.layout().len_bytes(), tempfile::tempdir().unwrap());
        let path = directory.path().join("b.tar");
        write(&bundle, &contents, &path, None, 0..bundle.layout().header(bundle.layout().count() - 1)).await;
        let start = find_resumption(&path, None).await.unwrap().unwrap().offset;
        let options = OutputOptions { path: path.clone(), split_bytes: None, len_bytes: len, start };
        let partial = path.with_extension("tar.partial");
        for begun in [None, Some(start as usize - 1)] {
            match begun {
                None => std::fs::remove_file(&partial).unwrap(),
                Some(begun) => std::fs::write(&partial, vec![0; begun]).unwrap(),
            }
            let mut output = FileOutput::new(options.clone());
            let _ = bundle.write(start..len, &contents, &mut output).await;
            output.finish().await.unwrap_err();
            assert!(!path.exists());
        }
        // A whole bundle under the final name stays as it is.
        std::fs::remove_file(&partial).unwrap();
        write(&bundle, &contents, &path, None, 0..len).await;
        let before = std::fs::read(&path).unwrap();
        let mut output = FileOutput::new(options);
        let _ = bundle.write(start..len - 512, &contents, &mut output).await;
        output.finish().await.unwrap_err();
        assert!(std::fs::read(&path).unwrap() == before);
    });
}

#[test]
fn a_pipe_gives_nothing_twice() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let reader = Reader::from_pipe(pipe(bytes(&bundle, &contents).await)).await.unwrap();
        reader.read_whole(2, 1 << 20).await.unwrap();
        assert!(reader.read_whole(1, 1 << 20).await.unwrap_err().is_damage());
        reader.read_whole(3, 1 << 20).await.unwrap();
        reader.finish().await.unwrap();
    });
}

#[test]
fn content_that_the_source_lost_or_damaged_stops_the_writer() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let victim =
            bundle.plan().contents.iter().rfind(|content| content.kind == ContentKind::Blob).unwrap();
        let whole = 0..bundle.layout().len_bytes();
        let flipped: Vec<u8> = contents.0[&victim.digest].iter().map(|byte| byte ^ 1).collect();
        for (change, expected) in
            [(None, "cannot read"), (Some(flipped), "hashes to"), (Some(Vec::new()), "0 bytes instead of")]
        {
            let mut damaged = contents.clone();
            damaged.0.remove(&victim.digest);
            damaged.0.extend(change.map(|bytes| (victim.digest.clone(), bytes.into())));
            let error = bundle.write(whole.clone(), &damaged, &mut Vec::new()).await.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(victim.digest.hex()), "{error}");
            let ahead = bundle.write_ahead(whole.clone(), &Arc::new(damaged), 3, &mut Vec::new()).await;
            assert_eq!(ahead.unwrap_err().to_string(), error);
        }
    });
}

/// Blobs of zeros; it counts the bytes that were taken.
#[derive(Default)]
struct Zeros(Arc<AtomicUsize>);

impl ContentSource for Zeros {
    async fn open(&self, content: &PlannedContent) -> Result<ContentStream, BoxError> {
        let taken = self.0.clone();
        let pieces = (0..content.size_bytes / PIECE as u64).map(move |_| {
            taken.fetch_add(PIECE, Ordering::SeqCst);
            Ok(Bytes::from_static(&[0; PIECE]))
        });
        Ok(stream::iter(pieces).boxed())
    }
}

const PIECE: usize = 256 << 10;

/// An output that takes a piece when it may, and says how far ahead of it the source was.
struct Slow {
    taken: Arc<AtomicUsize>,
    written: usize,
    furthest: usize,
}

impl Output for Slow {
    async fn write(&mut self, bytes: Bytes) -> std::io::Result<()> {
        // All other tasks of this thread go as far as they can.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        self.written += bytes.len();
        self.furthest = self.furthest.max(self.taken.load(Ordering::SeqCst).saturating_sub(self.written));
        Ok(())
    }
}

#[tokio::test]
async fn no_more_is_read_ahead_than_there_is_room_for() {
    let contents = (1..=6u64).map(|number| {
        let size_bytes = number * (10 << 20);
        let digest = Digest::sha256_of(&vec![0; size_bytes as usize]);
        PlannedContent { digest, size_bytes, kind: ContentKind::Blob }
    });
    let plan = Plan { contents: contents.collect(), ..Plan::default() };
    let index = index_json(&plan);
    let bundle = Bundle::assemble(plan, index, None, None).unwrap();
    let whole = 0..bundle.layout().len_bytes();
    for jobs in [2, 3] {
        let source = Arc::new(Zeros::default());
        let mut output = Slow { taken: source.0.clone(), written: 0, furthest: 0 };
        bundle.write_ahead(whole.clone(), &source, jobs, &mut output).await.unwrap();
        assert_eq!(output.written as u64, whole.end);
        // The content that is written and those ahead of it, each with a piece that waits for room.
        let room = jobs * ((4 << 20) + PIECE);
        assert!(output.furthest > room / 2 && output.furthest <= room + PIECE, "{jobs}: {}", output.furthest);
    }
}
