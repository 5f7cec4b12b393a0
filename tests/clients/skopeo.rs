//! skopeo, and through it containers/image.

use std::path::Path;

use super::support::{
    assert_same_blobs, copy, filesystem_config, multi_platform_layout, oci_layout, registry, run, tool,
};

#[test]
#[ignore = "needs skopeo and umoci"]
fn an_oci_image_comes_back_as_it_went() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let layout = oci_layout(directory.path(), "v1", 4);
    let remote = format!("docker://{}/team/app:v1", registry.host());
    copy(&format!("oci:{}:v1", layout.display()), &remote, false);
    for form in ["oci", "dir"] {
        let back = directory.path().join(form);
        copy(&remote, &format!("{form}:{}", back.display()), false);
    }
    assert_same_blobs(&layout, &directory.path().join("oci"));
    let tags =
        run(tool("skopeo").args(["list-tags", "--tls-verify=false"]).arg(remote.trim_end_matches(":v1")));
    assert!(tags.contains("\"v1\""), "{tags}");
}

#[test]
#[ignore = "needs skopeo and umoci"]
fn a_docker_image_comes_back_as_it_went() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let layout = oci_layout(directory.path(), "v1", 2);
    let docker = format!("dir:{}", directory.path().join("docker").display());
    run(tool("skopeo").args(["copy", "--format", "v2s2", &format!("oci:{}:v1", layout.display()), &docker]));
    let remote = format!("docker://{}/app:v1", registry.host());
    copy(&docker, &remote, false);
    let back = directory.path().join("back");
    copy(&remote, &format!("dir:{}", back.display()), false);
    let manifest = |path: &Path| std::fs::read_to_string(path.join("manifest.json")).unwrap();
    assert_eq!(manifest(&back), manifest(&directory.path().join("docker")));
}

#[test]
#[ignore = "needs skopeo and buildah, as root"]
fn an_index_is_copied_with_all_its_images() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let layout = multi_platform_layout(directory.path());
    let remote = format!("docker://{}/multi:all", registry.host());
    copy(&format!("oci:{}:all", layout.display()), &remote, true);
    let back = directory.path().join("back");
    copy(&remote, &format!("oci:{}:all", back.display()), true);
    assert_same_blobs(&layout, &back);
    run(tool("skopeo").args(["delete", "--tls-verify=false", &remote]));
    let tags = run(tool("skopeo").args(["list-tags", "--tls-verify=false", remote.trim_end_matches(":all")]));
    assert!(tags.contains("\"Tags\": []"), "{tags}");
}
