//! Opens the two stores of a migration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sampan_config::{Config, LogConfig, LogLevel};
use sampan_driver::{StorageDriver, StoreAccess};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::caches::CachePrefixes;

use super::{AppError, engine, store};
use crate::drivers::Drivers;
use crate::telemetry::logging;

/// The two stores of a migration, and their names for people.
pub struct MigrationStores {
    /// The store that is copied.
    pub source: Arc<dyn StorageDriver>,
    /// Its name, such as `filesystem /var/lib/registry`.
    pub from: String,
    /// The repositories of the source that are caches.
    pub caches: CachePrefixes,
    /// The store that is filled.
    pub target: Arc<dyn StorageDriver>,
    /// Its name.
    pub to: String,
}

/// How a migration uses its stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MigrationAccess {
    /// It only reads them.
    Read,
    /// It fills the target. The end also marks the source as moved, if that can be written to.
    Fill,
}

/// Opens the stores of two configurations.
///
/// # Errors
///
/// There is no store to copy; the configuration of the target is read-only; a store cannot be opened; both are of one directory.
pub async fn migration_stores(
    source: &Config,
    target: &Config,
    drivers: &Drivers,
    access: MigrationAccess,
) -> Result<MigrationStores, AppError> {
    logging::install(&LogConfig { level: LogLevel::Warn, ..source.log.clone() });
    let directory = |config: &Config| drivers.local_directory(&config.storage.driver);
    let (from_directory, to_directory) = (directory(source), directory(target));
    if let Some(directory) = &from_directory {
        store::require(directory)?;
    }
    if let (Some(from), Some(to)) = (&from_directory, &to_directory) {
        check_apart(from, to)?;
    }
    let fill = match access {
        MigrationAccess::Read => StoreAccess::ReadOnly,
        MigrationAccess::Fill => StoreAccess::ReadWrite,
    };
    if access != MigrationAccess::Read && target.storage.maintenance.readonly.enabled {
        return Err(AppError::ReadOnly);
    }
    let from_driver = drivers.build(&source.storage.driver, StoreAccess::ReadOnly).await?;
    let to_driver: Arc<dyn StorageDriver> = match &to_directory {
        // The first command that writes makes the directory.
        Some(directory) if access == MigrationAccess::Read && !directory.exists() => {
            Arc::new(InMemoryDriver::new())
        }
        _ => drivers.build(&target.storage.driver, fill).await?,
    };
    if let Some(directory) = to_directory.as_ref().filter(|directory| directory.exists()) {
        store::examine(directory, fill)?;
    }
    Ok(MigrationStores {
        source: from_driver,
        from: name(source, from_directory.as_deref()),
        caches: engine::caches(source),
        target: to_driver,
        to: name(target, to_directory.as_deref()),
    })
}

/// The parameters of a driver that tell its stores apart. None of them is a secret.
const IDENTIFYING: [&str; 6] =
    ["regionendpoint", "region", "accountname", "container", "bucket", "rootdirectory"];

/// The name of a store for people.
fn name(config: &Config, directory: Option<&Path>) -> String {
    let selected = &config.storage.driver;
    if let Some(directory) = directory {
        return format!("{} {}", selected.name(), existing(directory).display());
    }
    let parameters = IDENTIFYING.iter().filter_map(|key| Some((key, selected.params().at(key)?.as_text()?)));
    let parameters = parameters.map(|(key, value)| match key.contains("endpoint") {
        true => format!(" {key}={}", without_login(value)),
        false => format!(" {key}={value}"),
    });
    parameters.fold(selected.name().to_owned(), |name, parameter| name + &parameter)
}

/// A URL without user and password.
fn without_login(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

/// Fails if one of two directories is, or contains, the other.
fn check_apart(from: &Path, to: &Path) -> Result<(), AppError> {
    let (from, to) = (existing(from), existing(to));
    let message = match (from == to, to.starts_with(&from), from.starts_with(&to)) {
        (true, _, _) => format!("the source and the target are the same store, {}", from.display()),
        (_, true, _) => format!("the target {} lies inside the source {}", to.display(), from.display()),
        (_, _, true) => format!("the source {} lies inside the target {}", from.display(), to.display()),
        _ => return Ok(()),
    };
    Err(AppError::NoStore(format!("{message}: choose another directory for the target")))
}

/// The path without links; that of the part that exists, if the directory is missing.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_contain_each_other_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        for (from, to, expected) in [
            ("a", "a", Some("the same store")),
            ("a", "link", Some("the same store")),
            ("a", "link/new/one", Some("inside the source")),
            ("a/store", "a", Some("inside the target")),
            ("a", "ab", None),
            ("a", "new", None),
        ] {
            let result = check_apart(&root.join(from), &root.join(to));
            match expected {
                None => assert!(result.is_ok(), "{from} {to}"),
                Some(reason) => {
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains(reason), "{from} {to}: {error}");
                }
            }
        }
    }
}
