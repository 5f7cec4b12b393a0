//! `Drivers`: maps a storage section's name to its driver, in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sampan_bundle_store::BundleConfig;
use sampan_config::{
    Config, ConfigError, Diagnostic, Environment, Loaded, Node, Origin, Selected, Source, hint,
};
use sampan_driver::{BuildError, DriverConfig, StorageDriver, StoreAccess};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_driver_inmemory::InMemoryConfig;
use sampan_driver_object_store::{AzureConfig, GcsConfig, S3AwsConfig, S3Config};
use sampan_engine::oci::RepositoryName;

/// The storage drivers of a binary.
///
/// A custom binary with a further driver passes `Drivers::builtin().with::<MyConfig>()` to `cli::main`.
#[derive(Clone, Default)]
pub struct Drivers {
    recipes: BTreeMap<&'static str, Recipe>,
    aliases: BTreeMap<&'static str, &'static str>,
}

/// Parses a section. Building is a second step, so that a configuration can be checked without opening a
/// store.
type Recipe = fn(&Selected) -> Result<Box<dyn Prepared>, Diagnostic>;

impl Drivers {
    /// The built-in drivers.
    pub fn builtin() -> Self {
        Self::default()
            .with::<AzureConfig>()
            .with::<BundleConfig>()
            .with::<FilesystemConfig>()
            .with::<GcsConfig>()
            .with::<InMemoryConfig>()
            .with::<S3AwsConfig>()
            .with::<S3Config>()
    }

    /// Adds a driver, replacing one with the same name.
    #[must_use]
    pub fn with<C: DriverConfig>(mut self) -> Self {
        self.recipes.insert(C::NAME, prepare::<C>);
        self
    }

    /// Adds `alias` as another name for the driver `name`.
    #[must_use]
    pub fn with_alias(mut self, alias: &'static str, name: &'static str) -> Self {
        self.aliases.insert(alias, name);
        self
    }

    /// The names that a configuration may use, including aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.recipes.keys().chain(self.aliases.keys()).copied()
    }

    /// Loads a configuration whose storage section belongs to one of these drivers.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; also when no driver has the section's name, or the driver rejects its parameters.
    pub fn load(&self, source: Source, environment: &Environment) -> Result<Loaded, ConfigError> {
        Config::load_with(source, environment, &|selected| self.mistakes(selected))
    }

    /// All errors in a section, without opening anything.
    pub fn mistakes(&self, selected: &Selected) -> Vec<Diagnostic> {
        let mut selected = selected.clone();
        let mut found = Vec::new();
        loop {
            let diagnostic = match self.prepare(&selected) {
                Ok(_) | Err(DriverSetupError::Build { .. }) => return found,
                Err(DriverSetupError::Unknown(diagnostic) | DriverSetupError::Parameters(diagnostic)) => {
                    diagnostic
                }
            };
            // Without this parameter, the driver may report the next error.
            let is_about_one = selected.remove_parameter(&diagnostic.path);
            found.push(diagnostic);
            if !is_about_one {
                return found;
            }
        }
    }

    /// Opens the store of a section.
    ///
    /// # Errors
    ///
    /// No driver has the section's name, the driver rejects its parameters, or the store is not usable.
    pub async fn build(
        &self,
        selected: &Selected,
        access: StoreAccess,
    ) -> Result<Arc<dyn StorageDriver>, DriverSetupError> {
        let built = self.prepare(selected)?.build(access).await;
        built.map_err(|source| DriverSetupError::unusable(selected, source))
    }

    /// Checks whether the store of a section could be opened, as far as possible without creating or writing
    /// anything. May block.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn check(&self, selected: &Selected, access: StoreAccess) -> Result<(), DriverSetupError> {
        let checked = self.prepare(selected)?.check(access);
        checked.map_err(|source| DriverSetupError::unusable(selected, source))
    }

    /// The local directory of a section's content, if it is local.
    pub fn local_directory(&self, selected: &Selected) -> Option<PathBuf> {
        let is_ours = selected.name() == FilesystemConfig::NAME && self.recipes.contains_key(selected.name());
        let config = is_ours.then(|| Node::read::<FilesystemConfig>(selected.params()))?;
        config.ok().map(|config| config.rootdirectory)
    }

    /// The repositories that are not whole in the bundles of a section; none if it names no bundles.
    ///
    /// # Errors
    ///
    /// When a bundle cannot be opened.
    pub async fn incomplete_repositories(
        &self,
        selected: &Selected,
    ) -> Result<BTreeSet<RepositoryName>, DriverSetupError> {
        let name = self.aliases.get(selected.name()).copied().unwrap_or(selected.name());
        let is_ours = name == BundleConfig::NAME && self.recipes.contains_key(name);
        let config = is_ours.then(|| Node::read::<BundleConfig>(selected.params()));
        let Some(Ok(config)) = config else { return Ok(BTreeSet::new()) };
        let found = config.incomplete_repositories().await;
        found.map_err(|source| DriverSetupError::unusable(selected, source))
    }

    fn prepare(&self, selected: &Selected) -> Result<Box<dyn Prepared>, DriverSetupError> {
        let name = self.aliases.get(selected.name()).copied().unwrap_or(selected.name());
        match self.recipes.get(name) {
            Some(recipe) => recipe(selected).map_err(DriverSetupError::Parameters),
            None => Err(DriverSetupError::Unknown(self.unknown(selected))),
        }
    }

    fn unknown(&self, selected: &Selected) -> Diagnostic {
        let names: Vec<&str> = self.names().collect();
        Diagnostic {
            origin: selected.origin().clone(),
            path: format!("storage.{}", selected.name()),
            message: format!(
                "this binary has no storage driver of that name{}",
                hint(selected.name(), names.iter().copied())
            ),
        }
    }
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// A driver that could not be created from its section.
#[derive(Debug, thiserror::Error)]
pub enum DriverSetupError {
    /// No driver has this name.
    #[error("{0}")]
    Unknown(Diagnostic),
    /// The driver rejects a parameter.
    #[error("{0}")]
    Parameters(Diagnostic),
    /// The driver could not open its store.
    #[error("{origin}: storage.{name}: the store is not usable")]
    Build {
        /// The driver.
        name: String,
        /// The section's location.
        origin: Origin,
        /// The driver's error.
        source: BuildError,
    },
}

impl DriverSetupError {
    fn unusable(selected: &Selected, source: BuildError) -> Self {
        Self::Build { name: selected.name().to_owned(), origin: selected.origin().clone(), source }
    }
}

/// A parsed section.
#[async_trait]
trait Prepared: Send {
    async fn build(self: Box<Self>, access: StoreAccess) -> Result<Arc<dyn StorageDriver>, BuildError>;

    fn check(&self, access: StoreAccess) -> Result<(), BuildError>;
}

struct Section<C>(C);

#[async_trait]
impl<C: DriverConfig> Prepared for Section<C> {
    async fn build(self: Box<Self>, access: StoreAccess) -> Result<Arc<dyn StorageDriver>, BuildError> {
        match access {
            StoreAccess::ReadWrite => self.0.build().await,
            StoreAccess::ReadOnly => self.0.build_read_only().await,
        }
    }

    fn check(&self, access: StoreAccess) -> Result<(), BuildError> {
        self.0.check(access)
    }
}

fn prepare<C: DriverConfig>(selected: &Selected) -> Result<Box<dyn Prepared>, Diagnostic> {
    match Node::read::<C>(selected.params()) {
        Ok(config) => Ok(Box::new(Section(config))),
        Err(error) => Err(error.into_diagnostic(&format!("storage.{}", selected.name()))),
    }
}
