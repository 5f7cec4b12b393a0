//! Images made on the spot, without a network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{run, tool};

/// An OCI layout with an image `tag` of several layers with random content.
#[track_caller]
pub(crate) fn oci_layout(directory: &Path, tag: &str, layers: usize) -> PathBuf {
    let layout = directory.join("layout");
    if !layout.exists() {
        run(tool("umoci").arg("init").arg("--layout").arg(&layout));
    }
    let image = format!("{}:{tag}", layout.display());
    run(tool("umoci").args(["new", "--image", &image]));
    for layer in 0..layers {
        let file = directory.join(format!("{tag}-{layer}"));
        fs::write(&file, random(100_000 + 1000 * layer)).unwrap();
        run(tool("umoci").args(["insert", "--image", &image]).arg(&file).arg(format!("/files/{layer}")));
    }
    layout
}

/// A directory in skopeo's `oci:` form with an index `all` over images for two platforms.
#[track_caller]
pub(crate) fn multi_platform_layout(directory: &Path) -> PathBuf {
    let layout = directory.join("multi");
    let store = directory.join("buildah");
    let buildah = |args: &[&str]| {
        let mut command = tool("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(store.join("root"));
        command.arg("--runroot").arg(store.join("run")).args(args);
        run(&mut command).trim().to_owned()
    };
    buildah(&["manifest", "create", "all"]);
    for architecture in ["amd64", "arm64"] {
        let file = directory.join(architecture);
        fs::write(&file, random(50_000)).unwrap();
        let container = buildah(&["from", "--arch", architecture, "scratch"]);
        buildah(&["copy", &container, file.to_str().unwrap(), "/file"]);
        buildah(&["config", "--arch", architecture, "--os", "linux", &container]);
        let image = buildah(&["commit", &container]);
        buildah(&["manifest", "add", "--arch", architecture, "--os", "linux", "all", &image]);
    }
    buildah(&["manifest", "push", "--all", "all", &format!("oci:{}:all", layout.display())]);
    layout
}

/// Copies an image, or with `all` an index and its images, by skopeo.
#[track_caller]
pub(crate) fn copy(from: &str, to: &str, all: bool) {
    let mut command = tool("skopeo");
    command.args(["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    if all {
        command.arg("--all");
    }
    run(command.args([from, to]));
}

/// Checks that `sent` has each blob of `back`, with the same content.
#[track_caller]
pub(crate) fn assert_same_blobs(sent: &Path, back: &Path) {
    let names = |layout: &Path| {
        let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
    };
    let (sent_names, back_names) = (names(sent), names(back));
    assert!(!back_names.is_empty());
    // umoci keeps the manifests of intermediate steps in its layout.
    assert!(back_names.is_subset(&sent_names), "{back_names:?} is not within {sent_names:?}");
    for name in back_names {
        let read = |layout: &Path| fs::read(layout.join("blobs/sha256").join(&name)).unwrap();
        assert!(read(sent) == read(back), "blob {name} differs");
    }
}

/// Random bytes.
pub(crate) fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rand::fill(&mut bytes[..]);
    bytes
}
