//! A blob of 9 GiB crosses the gap: longer than the size in a tar header can be in octal digits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sampan_bundle::ContentHash;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, media_type};
use serde_json::json;

use crate::clients::support::{filesystem_config, registry, run, tool};
use crate::support::StoreFiles;

const BLOB_BYTES: u64 = 9 << 30;

/// A store with an image of one layer, which has a megabyte of data at each end and nothing between.
fn near(directory: &Path) -> Digest {
    let near = StoreFiles::new(&directory.join("near"));
    let path = directory.join("layer");
    let file = File::create(&path).unwrap();
    file.set_len(BLOB_BYTES).unwrap();
    for (offset, byte) in [(0, 1), (BLOB_BYTES - (1 << 20), 2)] {
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte; 1 << 20], offset).unwrap();
    }
    let layer = hash(&mut File::open(&path).unwrap());
    let data = near.path(&Entry::Blob(layer.clone()));
    std::fs::create_dir_all(data.parent().unwrap()).unwrap();
    std::fs::rename(path, data).unwrap();
    near.write(&Entry::LayerLink("big".parse().unwrap(), layer.clone()), layer.to_string());
    let mut image = near.image_manifest("big", "big", &[]);
    image["layers"] = json!([{
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": BLOB_BYTES,
    }]);
    assert_eq!(image["mediaType"], media_type::OCI_MANIFEST);
    near.tag("big", "1", &near.manifest("big", &image));
    layer
}

fn hash(content: &mut impl Read) -> Digest {
    let (mut hash, mut buffer) = (ContentHash::new(Algorithm::Sha256), vec![0; 1 << 20]);
    loop {
        match content.read(&mut buffer).unwrap() {
            0 => return hash.finish(),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[test]
#[ignore = "needs oras; writes 18 GiB"]
fn nine_gibibytes_cross_the_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let layer = near(path);
    for side in ["near", "far"] {
        std::fs::write(path.join(format!("{side}.yml")), filesystem_config(&path.join(side))).unwrap();
    }
    let ours = |args: &str| {
        let mut command = tool(env!("CARGO_BIN_EXE_registry"));
        run(command.current_dir(path).args(args.split(' ')))
    };
    ours("export ** -c near.yml -o b.tar");
    std::fs::remove_dir_all(path.join("near")).unwrap();
    ours("bundle verify b.tar");
    // oras sees the size that the header has.
    let fetched = run(tool("oras").current_dir(path).args([
        "manifest",
        "fetch",
        "--oci-layout-path",
        "b.tar",
        "big:1",
    ]));
    assert!(fetched.contains(&layer.to_string()), "{fetched}");
    let listed = run(tool("tar").current_dir(path).args(["tvf", "b.tar"]));
    assert!(listed.contains(&BLOB_BYTES.to_string()), "{listed}");
    ours("import b.tar -c far.yml");
    std::fs::remove_file(path.join("b.tar")).unwrap();

    let far = registry(path, &filesystem_config(&path.join("far")));
    let mut wire = far.wire();
    wire.begin("GET", &format!("/v2/big/blobs/{layer}"), &[], 0);
    assert_eq!(wire.head().header("content-length"), Some(BLOB_BYTES.to_string().as_str()));
    assert_eq!(hash(&mut wire.body().take(BLOB_BYTES)), layer);
}
