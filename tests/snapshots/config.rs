//! `registry config show` of some samples.

use std::path::Path;

use super::check;
use crate::cli::support::{binary, end};

#[test]
fn config_show_prints_the_samples_as_recorded() {
    for sample in ["access", "filesystem", "token", "s3", "notifications", "collecting"] {
        let path = format!("config-samples/{sample}.yml");
        let ended = end(binary(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["config", "show", &path]), "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        check(&format!("config-{sample}.txt"), &ended.stdout);
    }
}
