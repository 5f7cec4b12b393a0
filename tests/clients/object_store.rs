//! The registry over a real object store, as the guide describes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;

use super::support::{
    FlakyProxy, RegistryProcess, Sort, StoreServer, Wire, fail, oci_layout, random, registry,
    registry_command, run, tool, write_config,
};

#[test]
#[ignore = "needs ceph, skopeo and umoci, as root"]
fn the_sample_and_an_environment_make_a_registry_over_ceph() {
    let directory = tempfile::tempdir().unwrap();
    let ceph = StoreServer::ceph();
    let registry = with_sample(
        "s3.yml",
        &[
            ("REGISTRY_STORAGE_S3_REGIONENDPOINT", ceph.text("regionendpoint")),
            ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "true"),
            ("REGISTRY_STORAGE_S3_REGION", ceph.text("region")),
            ("REGISTRY_STORAGE_S3_BUCKET", ceph.text("bucket")),
            ("AWS_ACCESS_KEY_ID", ceph.text("accesskey")),
            ("AWS_SECRET_ACCESS_KEY", ceph.text("secretkey")),
        ],
    );

    let layout = oci_layout(directory.path(), "v1", 2);
    let image = format!("docker://{}/team/app:v1", registry.host());
    let skopeo = |from: &str, to: &str| {
        let flags = ["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
        run(tool("skopeo").args(flags).args([from, to]))
    };
    skopeo(&format!("oci:{}:v1", layout.display()), &image);
    skopeo(&image, &format!("dir:{}", directory.path().join("back").display()));
}

/// Starts the registry with a sample and an environment.
#[track_caller]
fn with_sample(name: &str, environment: &[(&str, &str)]) -> RegistryProcess {
    let sample: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples").join(name);
    let mut command = registry_command(&sample);
    command.envs(environment.iter().copied());
    // For the test only, not in the guide: the kernel chooses the port.
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    RegistryProcess::start(&mut command)
}

/// Pushes a small and a large blob, and pulls them from where the registry redirects clients.
#[track_caller]
fn push_and_pull(registry: &RegistryProcess) {
    for size in [1000, 17 << 20] {
        let content = random(size);
        let digest = Digest::sha256_of(&content);
        let location = registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
        assert_eq!(registry.wire().send("PATCH", &location, &[], &content).status, 202);
        let finished = registry.wire().send("PUT", &format!("{location}?digest={digest}"), &[], b"");
        assert_eq!(finished.status, 201, "{finished:?}");
        let mut pulled = registry.wire().send("GET", &format!("/v2/app/blobs/{digest}"), &[], b"");
        if pulled.status == 307 {
            let (host, path) = (host(pulled.header("location").unwrap()), pulled.location());
            pulled = Wire::connect(host).send("GET", &path, &[], b"");
        }
        assert!(pulled.status == 200 && pulled.body == content, "{}", pulled.status);
    }
}

fn host(url: &str) -> SocketAddr {
    url.split('/').nth(2).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs ceph, as root"]
fn the_samples_for_stores_that_speak_like_s3_work_over_ceph() {
    let ceph = StoreServer::ceph();
    for sample in ["ceph.yml", "garage.yml", "minio.yml", "r2.yml"] {
        push_and_pull(&with_sample(
            sample,
            &[
                ("REGISTRY_STORAGE_S3_REGIONENDPOINT", ceph.text("regionendpoint")),
                ("REGISTRY_STORAGE_S3_BUCKET", ceph.text("bucket")),
                ("REGISTRY_STORAGE_S3_ROOTDIRECTORY", &format!("sample-{sample}")),
                ("REGISTRY_STORAGE_S3_ACCESSKEY", ceph.text("accesskey")),
                ("REGISTRY_STORAGE_S3_SECRETKEY", ceph.text("secretkey")),
            ],
        ));
    }
}

#[test]
#[ignore = "needs azurite"]
fn the_sample_for_azure_works_over_azurite() {
    let azurite = StoreServer::start("azurite");
    push_and_pull(&with_sample(
        "azure.yml",
        &[
            ("REGISTRY_STORAGE_AZURE_SERVICEURL", azurite.text("serviceurl")),
            ("REGISTRY_STORAGE_AZURE_ACCOUNTNAME", azurite.text("accountname")),
            ("REGISTRY_STORAGE_AZURE_CONTAINER", azurite.text("container")),
            // There is no workload identity here.
            ("REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE", "shared_key"),
            ("REGISTRY_STORAGE_AZURE_ACCOUNTKEY", azurite.text("accountkey")),
        ],
    ));
}

#[test]
#[ignore = "needs moto"]
fn the_sample_for_google_works_over_a_shim() {
    let directory = tempfile::tempdir().unwrap();
    let shim = StoreServer::start("gcs");
    let key = write_config(directory.path(), "key.json", &shim.section["credentials"].to_string());
    push_and_pull(&with_sample(
        "gcs.yml",
        &[
            ("REGISTRY_STORAGE_GCS_BUCKET", shim.text("bucket")),
            ("REGISTRY_STORAGE_GCS_KEYFILE", key.to_str().unwrap()),
        ],
    ));
}

/// The signature covers the host name: a URL signed for one name does not hold for another.
#[test]
#[ignore = "needs ceph, as root"]
fn clients_are_sent_to_the_store_by_the_name_that_they_know() {
    let directory = tempfile::tempdir().unwrap();
    let ceph = StoreServer::ceph();
    let (inside, outside) = (host(ceph.text("regionendpoint")), FlakyProxy::to(ceph.text("regionendpoint")));
    let root = format!("outside-{:016x}", rand::random::<u64>());
    let config = ceph.config(&root, |section| {
        section["redirectendpoint"] = format!("http://{}", outside.address).into();
    });
    let config = config.replace("redirect: {disable: true}", "redirect: {disable: false}");
    let registry = registry(directory.path(), &config);
    push_and_pull(&registry);
    let seen = outside.take_seen();
    assert_eq!(seen.iter().map(|(sort, _)| *sort).collect::<Vec<_>>(), [Sort::Get, Sort::Get], "{seen:?}");

    let content = random(1000);
    let digest = Digest::sha256_of(&content);
    let location = registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    let finished = registry.wire().send("PUT", &format!("{location}?digest={digest}"), &[], &content);
    assert_eq!(finished.status, 201, "{finished:?}");
    for (method, range, status) in [("GET", "bytes=0-", 206), ("HEAD", "bytes=0-9", 206)] {
        let sent = registry.wire().send(method, &format!("/v2/app/blobs/{digest}"), &[], b"");
        assert_eq!((sent.status, host(sent.header("location").unwrap())), (307, outside.address), "{sent:?}");
        let follow =
            |host| Wire::connect(host).send(method, &sent.location(), &[("Range", range)], b"").status;
        assert_eq!(follow(outside.address), status, "{method}");
        assert_eq!(follow(inside), 403, "{method}");
    }
}

#[test]
#[ignore = "needs ceph and faketime, as root"]
fn a_clock_that_goes_wrong_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), "sampan.yml", &StoreServer::ceph().config("clock", |_| {}));
    for skew in ["-1h", "+1h"] {
        let mut command = tool("faketime");
        command.args(["-f", skew, env!("CARGO_BIN_EXE_registry"), "serve"]).arg(&config);
        let printed = fail(&mut command);
        assert!(printed.contains("RequestTimeTooSkewed") && printed.contains("set the clock"), "{printed}");
    }
}
