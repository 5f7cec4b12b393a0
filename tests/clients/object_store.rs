//! The registry over a real object store, as the guide says.

use std::path::Path;

use super::support::{RegistryProcess, StoreServer, oci_layout, registry_command, run, tool};

#[test]
#[ignore = "needs ceph, skopeo and umoci, as root"]
fn the_sample_and_an_environment_make_a_registry_over_ceph() {
    let directory = tempfile::tempdir().unwrap();
    let ceph = StoreServer::ceph();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples/s3.yml");
    let mut command = registry_command(&sample);
    command.env("REGISTRY_STORAGE_S3_REGIONENDPOINT", ceph.text("regionendpoint"));
    command.env("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "true");
    command.env("REGISTRY_STORAGE_S3_REGION", ceph.text("region"));
    command.env("REGISTRY_STORAGE_S3_BUCKET", ceph.text("bucket"));
    command.env("AWS_ACCESS_KEY_ID", ceph.text("accesskey"));
    command.env("AWS_SECRET_ACCESS_KEY", ceph.text("secretkey"));
    // Of the test, not of the guide: ports are for the kernel to choose.
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    let registry = RegistryProcess::start(&mut command);

    let layout = oci_layout(directory.path(), "v1", 2);
    let image = format!("docker://{}/team/app:v1", registry.host());
    let skopeo = |from: &str, to: &str| {
        let flags = ["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
        run(tool("skopeo").args(flags).args([from, to]))
    };
    skopeo(&format!("oci:{}:v1", layout.display()), &image);
    skopeo(&image, &format!("dir:{}", directory.path().join("back").display()));
}
