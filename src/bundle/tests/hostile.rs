//! Damaged and hostile bundles are found before anything is done with them.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use sampan_bundle::{
    Bundle, ContentKind, Error, Fault, LeadingFiles, LeftOut, Plan, PlannedContent, PlannedImage,
    PlannedRepository, Reader, verify,
};
use sampan_engine::oci::{Digest, Manifest, media_type};
use support::{Contents, bytes, pipe, runtime, small, tiny};

/// Opens and verifies a bundle with these bytes; the error, or all faults.
async fn problems(content: &[u8]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    match Reader::open(&[PathBuf::from(file.path())]).await {
        Err(error) => {
            assert!(error.is_damage() || matches!(error, Error::NewerVersion(_)), "{error}");
            vec![error.to_string()]
        }
        Ok(reader) => faults(&reader).iter().map(ToString::to_string).collect(),
    }
}

/// Reads all of a bundle from a pipe.
async fn piped(content: Vec<u8>) -> Result<(), Error> {
    let reader = Reader::from_pipe(pipe(content)).await?;
    for index in 0..reader.plan().contents.len() {
        reader.read_whole(index, 1 << 20).await?;
    }
    reader.finish().await
}

#[test]
fn every_flipped_byte_is_found() {
    runtime().block_on(async {
        let (contents, bundle) = tiny();
        let whole = bytes(&bundle, &contents).await;
        assert_eq!(problems(&whole).await, Vec::<String>::new());
        piped(whole.clone()).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &whole).unwrap();
        let intact = Reader::open(&[PathBuf::from(file.path())]).await.unwrap();
        for (position, byte) in whole.iter().enumerate() {
            let flipped = byte ^ 1 << (position % 8);
            file.as_file().write_all_at(&[flipped], position as u64).unwrap();
            match bundle.layout().content_at(position as u64) {
                None => {
                    let found = match Reader::open(&[PathBuf::from(file.path())]).await {
                        Err(error) => error.is_damage() || matches!(error, Error::NewerVersion(_)),
                        Ok(reader) => !faults(&reader).is_empty(),
                    };
                    assert!(found, "byte {position} was flipped");
                }
                Some(index) => {
                    let (entry, found) = (bundle.plan().contents[index].path(), faults(&intact));
                    assert!(found.iter().any(|fault| fault.entry == entry), "byte {position}: {found:?}");
                }
            }
            if position % 101 == 0 {
                let mut damaged = whole.clone();
                damaged[position] = flipped;
                piped(damaged).await.unwrap_err();
            }
            file.as_file().write_all_at(&[*byte], position as u64).unwrap();
        }
    });
}

fn faults(reader: &Reader) -> Vec<Fault> {
    verify(reader.files().unwrap(), reader.bundle(), 1, &|_| {}).unwrap().faults
}

#[test]
fn every_truncation_and_every_addition_is_found() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let whole = bytes(&bundle, &contents).await;
        for len in (0..whole.len()).step_by(61) {
            assert!(!problems(&whole[..len]).await.is_empty(), "{len} bytes");
            piped(whole[..len].to_vec()).await.unwrap_err();
        }
        for addition in [&[0][..], &[0; 512], b"rubbish"] {
            let longer = [&whole[..], addition].concat();
            let found = problems(&longer).await;
            assert!(found[0].contains("after its end"), "{found:?}");
            let error = piped(longer).await.unwrap_err().to_string();
            assert!(error.contains("bytes follow"), "{error}");
        }
    });
}

/// A bundle whose plan has this JSON with the right checksum, and no content.
fn with_plan(json: &str) -> Vec<u8> {
    let json = match json.rsplit_once("\"sum\":") {
        Some((lines, _)) => format!("{lines}\"sum\":\"{}\"}}\n", Digest::sha256_of(lines.as_bytes())),
        None => json.to_owned(),
    };
    let mut file = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        file.append(&header, content).unwrap();
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    add("bundle.json", json.as_bytes());
    file.into_inner().unwrap()
}

#[test]
fn a_bad_plan_is_refused_with_its_reason() {
    runtime().block_on(async {
        let (_, bundle) = small();
        let good = String::from_utf8(bundle.head().plan.to_vec()).unwrap();
        let hex = "a".repeat(64);
        let content = bundle.plan().contents.last().unwrap();
        let huge = format!("\"{}\",{}", content.digest, content.size_bytes);
        let deep = format!("{{\"version\":1,\"x\":{}", "[".repeat(100_000));
        for (change, expected) in [
            (good.replace("\"version\":1", "\"version\":2"), "newer version"),
            (good.replace("\"version\":1", "\"version\":2,\"more\":[]"), "newer version"),
            (good.replace("\"version\":1", "\"version\":0"), "no version 0"),
            (good.replace("\"version\":1", "\"version\":1,\"version\":1"), "duplicate field"),
            (good.replace("\"version\":1", "\"version\":1,\"extra\":1"), "unknown field"),
            (good.replace("team/app", "../../etc"), "invalid repository name"),
            (good.replace("team/app", "team/\\u001b[2J"), "invalid repository name"),
            (good.replace("\"1.0\"", "\"a/b\""), "invalid tag"),
            (good.replace("\"1.0\"", "\"old\""), "old occurs twice"),
            (good.replace("\"name\":\"b\"", "\"name\":\"team/app\""), "team/app occurs twice"),
            (good.replace(&huge, &format!("\"{}\",{}", content.digest, u64::MAX)), "overflow"),
            (good.replace(&huge, &format!("\"{}\",{}", content.digest, i64::MAX)), "totals"),
            (
                good.replace("\"presumed\":[", &format!("\"presumed\":[[\"{}\",1,\"b\",[]]", content.digest)),
                "twice",
            ),
            (
                good.replace("\"presumed\":[", &format!("\"presumed\":[[\"sha256:{hex}\",1,\"b\",[\"A\"]]")),
                "lower case",
            ),
            (good.replace("\"digest\":\"sha256:", "\"digest\":\"sha256:0"), "64 hexadecimal"),
            (good.replace("[\"index.json\"", "[\"../index.json\""), "index.json"),
            (good.replace("\"blobs\":", "\"blobs\":1"), "totals"),
            (good.replace(",\"m\"]", ",\"b\"]"), "not among the manifests"),
            (good.replace(",\"m\"]", ",\"x\"]"), "unknown variant"),
            (deep, "unknown field"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (String::new(), "EOF"),
        ] {
            assert_ne!(change, good, "{expected}");
            let found = problems(&with_plan(&change)).await;
            assert!(found[0].contains(expected), "{expected}: {found:?}");
        }
        // The same content with the right plan is only too short.
        assert!(problems(&with_plan(&good)).await[0].contains("damaged"));
    });
}

#[test]
fn other_files_are_named_as_such() {
    runtime().block_on(async {
        let mut foreign = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_path("index.json").unwrap();
        header.set_cksum();
        foreign.append(&header, &b"{}"[..]).unwrap();
        for content in
            [Vec::new(), vec![0; 4096], b"\x1f\x8b rubbish".to_vec(), foreign.into_inner().unwrap()]
        {
            assert!(problems(&content).await[0].contains("this is not a bundle"));
        }
        let error = Reader::open(&[PathBuf::from("/nonexistent/bundle.tar")]).await.unwrap_err();
        assert!(!error.is_damage());
        assert!(error.to_string().contains("/nonexistent/bundle.tar"), "{error}");
    });
}

#[test]
fn a_reference_that_is_nowhere_is_found() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let mut plan = bundle.plan().clone();
        let gone = plan.contents.pop().unwrap();
        let files = bundle.head().files.clone();
        let json = plan.encode().unwrap();
        let lacking =
            Bundle::of(Plan::decode(&json).unwrap(), LeadingFiles { plan: json, signature: None, files })
                .unwrap();
        let found = problems(&bytes(&lacking, &contents).await).await;
        assert!(
            found.iter().any(|problem| problem.contains(&format!("refers to {}", gone.digest))),
            "{found:?}"
        );
    });
}

/// A copy of the host for each name would take a hundred times as long for a hundred times the names.
#[test]
fn a_long_host_is_not_copied_for_each_name() {
    runtime().block_on(async {
        let (contents, bundle) = tiny();
        let (digest, mut plan) = (&bundle.plan().contents[0].digest, bundle.plan().clone());
        plan.source = "h".repeat(16 << 20);
        let entry = |number: u32| {
            format!(r#"{{"digest":"{digest}","annotations":{{"io.containerd.image.name":"x/a:{number}"}}}}"#)
        };
        let mut times = Vec::new();
        for count in [200, 20_000] {
            let entries: Vec<String> = (0..count).map(entry).collect();
            let index = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
            let hostile = Bundle::assemble(plan.clone(), index.into(), None, None).unwrap();
            let hostile = bytes(&hostile, &contents).await;
            let begun = Instant::now();
            let found = problems(&hostile).await;
            times.push(begun.elapsed());
            assert!(found[0].contains("means another image in the plan"), "{}", found[0]);
        }
        assert!(times[1] < 20 * times[0], "{times:?}");
    });
}

/// A walk over the index for each image would take hours, and find nothing.
#[test]
fn a_walk_over_one_large_index_for_each_image_ends() {
    runtime().block_on(async {
        let mut contents = Contents::default();
        let index = contents.absent_index(20_000);
        let children = Manifest::parse(&contents.0[&index], None).unwrap().manifests;
        let mut plan = Plan { docker_platform: "linux/amd64".to_owned(), ..Plan::default() };
        let size_bytes = contents.0[&index].len() as u64;
        plan.contents.push(PlannedContent { digest: index.clone(), size_bytes, kind: ContentKind::Manifest });
        for (number, child) in children.iter().enumerate() {
            let image = PlannedImage {
                digest: index.clone(),
                tags: Vec::new(),
                media_type: media_type::OCI_INDEX.to_owned(),
                left_out: vec![LeftOut { digest: child.digest.clone(), platform: String::new() }],
                referrers: Vec::new(),
            };
            let name = format!("r{number}").parse().unwrap();
            plan.repositories.push(PlannedRepository { name, complete: false, images: vec![image] });
        }
        let hostile = Bundle::assemble(plan, r#"{"manifests":[]}"#.into(), None, None).unwrap();
        let found = problems(&bytes(&hostile, &contents).await).await;
        assert!(found[0].contains("share so many incomplete indexes"), "{found:?}");
    });
}

#[test]
fn parts_of_two_bundles_and_missing_parts_are_named() {
    runtime().block_on(async {
        let (contents, bundle) = small();
        let len = bundle.layout().len_bytes();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar");
        let written = support::write(&bundle, &contents, &path, Some(2048), 0..len).await;
        let second = std::fs::read(&written.paths[1]).unwrap();

        std::fs::remove_file(&written.paths[1]).unwrap();
        let error = Reader::open(std::slice::from_ref(&path)).await.unwrap_err();
        assert!(error.to_string().contains("b.tar.002 is missing"), "{error}");

        std::fs::write(&written.paths[1], &second[..100]).unwrap();
        let error = Reader::open(std::slice::from_ref(&path)).await.unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains("b.tar.002 has 100 bytes instead of 2048"),
            "{error}"
        );

        // A part of the right length with other bytes.
        std::fs::write(&written.paths[1], vec![1; 2048]).unwrap();
        match Reader::open(std::slice::from_ref(&path)).await {
            Err(error) => assert!(error.to_string().contains("b.tar.002"), "{error}"),
            Ok(reader) => {
                let verified = verify(reader.files().unwrap(), reader.bundle(), 1, &|_| {}).unwrap();
                assert!(verified.faults.iter().any(|fault| fault.part.as_ref() == Some(&written.paths[1])));
            }
        }

        std::fs::remove_file(&written.paths[0]).unwrap();
        let error = Reader::open(std::slice::from_ref(&path)).await.unwrap_err();
        assert!(error.to_string().contains("b.tar.001 is missing"), "{error}");
    });
}
