//! The configurations that users come from: those of Distribution's images, and that of its guide.

/// The common part of both images, with the additions of each to `storage` and `http`.
macro_rules! image_config {
    ($storage:literal, $http:literal) => {
        concat!(
            "\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
",
            $storage,
            "\
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
",
            $http,
            "\
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"
        )
    };
}

/// The image of Distribution's own repository.
pub(crate) const UPSTREAM: &str = image_config!(
    "  maintenance:
    uploadpurging:
      enabled: false
  tag:
    concurrencylimit: 8
",
    "  headers:
    X-Content-Type-Options: [nosniff]
"
);

/// Docker's official image `registry:3`.
pub(crate) const LIBRARY: &str = image_config!("  tag:\n    concurrencylimit: 5\n", "");

/// The file of the deployment guide, which lacks a version and an address.
pub(crate) const GUIDE: &str = "\
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
  maintenance:
    readonly:
      enabled: false
";
