//! A file of another tool, which comes from anywhere: it is refused, or each manifest of its plan has its digest and each
//! content its length.

use std::io::Cursor;

use futures::TryStreamExt;
use sampan_bundle::{ContentKind, PlannedContent};
use sampan_engine::oci::Digest;
use sampan_foreign::{ForeignOptions, ForeignReader, Input, OpenedFile, open};

use super::bundle::runtime;

pub(super) fn run(data: &[u8]) {
    runtime().block_on(async {
        let rules = vec![":=any/name".parse().unwrap_or_else(|error| panic!("{error}"))];
        for options in [ForeignOptions { rules, ..ForeignOptions::default() }, ForeignOptions::default()] {
            let input = Input::Stream(Box::new(Cursor::new(data.to_vec())));
            if let Ok(OpenedFile::Foreign(reader)) = open(input, options, |_| {}).await {
                check(&reader).await;
            }
        }
    });
}

async fn check(reader: &ForeignReader) {
    let plan = reader.plan();
    assert!(plan.images().count() > 0, "a plan without images");
    for (index, PlannedContent { digest, size_bytes, kind }) in plan.contents.iter().enumerate() {
        let stream = reader.content(index).await.unwrap_or_else(|error| panic!("{digest}: {error}"));
        let pieces: Vec<_> = stream.try_collect().await.unwrap_or_else(|error| panic!("{digest}: {error}"));
        let bytes = pieces.concat();
        assert_eq!(bytes.len() as u64, *size_bytes, "{digest}");
        if *kind == ContentKind::Manifest {
            assert_eq!(Digest::of(digest.algorithm(), &bytes), *digest);
        }
    }
    for (_, image) in plan.images() {
        let carried = |digest: &Digest| {
            plan.contents.iter().any(|it| it.digest == *digest && it.kind == ContentKind::Manifest)
        };
        assert!(carried(&image.digest) && image.referrers.iter().all(|it| carried(&it.digest)));
    }
}
