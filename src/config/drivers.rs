//! The parameters of the drivers in this tree, so that variables find them. Each driver checks its own.

use super::key::{Key, Kind};

/// The driver whose stores are read-only.
pub(crate) const BUNDLE_NAME: &str = "bundle";

/// The sections of the drivers.
pub(crate) const KNOWN: &[Key] = &[
    Key::new("filesystem", Kind::Parameters(FILESYSTEM)),
    Key::new("inmemory", Kind::Parameters(INMEMORY)),
    Key::new(BUNDLE_NAME, Kind::Parameters(BUNDLE)),
    Key::new("s3", Kind::Parameters(S3)),
    Key::new("s3aws", Kind::Parameters(S3)),
    Key::new("azure", Kind::Parameters(AZURE)),
    Key::new("gcs", Kind::Parameters(GCS)),
];

/// The parameters of the driver `name` that variables can set; empty for a driver that this crate does not know.
pub fn driver_parameters(name: &str) -> Vec<&'static str> {
    let driver = KNOWN.iter().find(|key| key.yaml == name);
    driver.map(|key| key.kind.keys().iter().map(|key| key.yaml).collect()).unwrap_or_default()
}

const fn parameter(name: &'static str) -> Key {
    Key::new(name, Kind::Any)
}

const FILESYSTEM: &[Key] = &[
    parameter("rootdirectory")
        .meaning("The data directory, the same as Distribution's.")
        .default_meaning("`/var/lib/registry`"),
    parameter("maxthreads")
        .meaning("How many file operations run at once; at least 25.")
        .default_meaning("`100`"),
];
const INMEMORY: &[Key] = &[parameter("maxsize")
    .ours()
    .meaning("The most that is kept, as a size, with what each file takes besides its content; beyond it uploads fail as on a full disk.")];
const BUNDLE: &[Key] = &[
    parameter("files").meaning(
        "A list of bundles, see [Across an air gap](air-gap.md); the last that has a tag counts. The registry is read-only. \
         Distribution has no such driver.",
    ),
    parameter("verify")
        .meaning("Hashes all content before the start; else each blob is hashed when it is first pulled.")
        .default_meaning("`false`"),
];
const S3: &[Key] = &[
    parameter("accesskey"),
    parameter("secretkey"),
    parameter("region"),
    parameter("regionendpoint"),
    parameter("redirectendpoint"),
    parameter("forcepathstyle"),
    parameter("bucket"),
    parameter("encrypt"),
    parameter("keyid"),
    parameter("secure"),
    parameter("skipverify"),
    parameter("v4auth"),
    parameter("chunksize"),
    parameter("multipartcopychunksize"),
    parameter("multipartcopymaxconcurrency"),
    parameter("multipartcopythresholdsize"),
    parameter("rootdirectory"),
    parameter("storageclass"),
    parameter("useragent"),
    parameter("objectacl"),
    parameter("usedualstack"),
    parameter("accelerate"),
    parameter("usefipsendpoint"),
    parameter("loglevel"),
    parameter("cafile").ours(),
    parameter("redirectexpiry").ours(),
    parameter("uploadbuffer").ours(),
];
const AZURE: &[Key] = &[
    parameter("accountname"),
    parameter("accountkey"),
    parameter("container"),
    parameter("connectionstring"),
    parameter("realm"),
    parameter("serviceurl"),
    parameter("rootdirectory"),
    Key::new("credentials", Kind::Parameters(AZURE_CREDENTIALS)),
    parameter("max_retries"),
    parameter("retry_delay"),
    parameter("skipverify"),
    parameter("cafile").ours(),
    parameter("redirectexpiry").ours(),
    parameter("uploadbuffer").ours(),
];
const AZURE_CREDENTIALS: &[Key] =
    &[parameter("type"), parameter("clientid"), parameter("tenantid"), parameter("secret")];
const GCS: &[Key] = &[
    parameter("bucket"),
    parameter("keyfile"),
    // The fields of Google's key file, whose names hold underscores.
    Key::of::<std::collections::BTreeMap<String, String>>("credentials"),
    parameter("rootdirectory"),
    parameter("chunksize"),
    parameter("maxconcurrency"),
    parameter("useragent"),
    parameter("cafile").ours(),
    parameter("redirectexpiry").ours(),
    parameter("uploadbuffer").ours(),
];
