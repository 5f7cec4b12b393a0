//! `registry bundle serve`: a registry over bundles, without a configuration.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use sampan_config::{Environment, ListenAddress, Source};
use serde_json::json;

use super::serve::serve;
use super::transfer::Failed;
use crate::drivers::Drivers;

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The bundles: files, parts, or names without .001; the last one that has a tag counts
    #[arg(required = true, value_name = "BUNDLE")]
    files: Vec<PathBuf>,

    /// The address; one that other machines reach, such as :5000, lets them pull everything without a password
    #[arg(long, value_name = "HOST:PORT", default_value_t = ListenAddress::Tcp { host: Some("127.0.0.1".to_owned()), port: 5000 })]
    addr: ListenAddress,

    /// Hash all content before the start: exit code 4 if any is damaged. Else each blob is hashed when it is first pulled
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(drivers: &Drivers, args: ServeArgs) -> Result<ExitCode, Box<dyn Error>> {
    let name = |file: &PathBuf| {
        let not_text =
            || Failed(format!("{}: the name is no text in UTF-8: rename the file", file.display()));
        file.to_str().map(str::to_owned).ok_or_else(not_text)
    };
    let files = args.files.iter().map(name).collect::<Result<Vec<String>, Failed>>()?;
    // A configuration in JSON, which is YAML. The address alone decides which machines may pull.
    let config = json!({
        "version": 0.1,
        "storage": { "bundle": { "files": files, "verify": args.verify } },
        "http": { "addr": args.addr.to_string() },
        "auth": "none",
    });
    let source = Source::Text { name: "registry bundle serve".to_owned(), text: config.to_string() };
    // The variables of a configuration are those of another registry.
    serve(drivers, &source, Environment::default()).map_err(Failure)?;
    Ok(ExitCode::SUCCESS)
}

/// An error without the place in a configuration, which the user did not write.
#[derive(Debug)]
struct Failure(Box<dyn Error>);

impl Failure {
    /// The error of the bundles, or the whole error of something else.
    fn cause(&self) -> &(dyn Error + 'static) {
        let mut next = Some(&*self.0);
        while let Some(error) = next {
            if error.is::<sampan_bundle_store::Error>() {
                return error;
            }
            next = error.source();
        }
        &*self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause())
    }
}
