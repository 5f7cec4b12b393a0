//! The four stages, one after the other: text and environment → merged tree → [`Config`] → checked.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::complete::complete;
use super::parse::parse;
use super::weaker::weaker;
use super::{
    Config, ConfigError, Environment, Finding, Node, Origin, Source, StorageConfig, check, choose, schema,
    shape, unserved,
};

/// A configuration that can be used, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What is odd without being wrong, for the log.
    pub warnings: Vec<Finding>,
    /// The merged tree with its origins, for [`show`](super::show).
    pub tree: Node,
    /// What was read.
    pub source: Source,
}

impl Config {
    /// Reads `source`, lays `environment` over it and checks the result.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or when it or a variable says something that is wrong, contradictory or not served by
    /// this version; each finding names the key and its file and line or variable.
    pub fn load(source: Source, environment: &Environment) -> Result<Loaded, ConfigError> {
        let (mut tree, mut warnings) = text_to_tree(&source)?;
        let file = tree.clone();
        let overlay = environment.apply(&mut tree, &schema::ROOT);
        warnings.extend(overlay.warnings);
        let weaker = weaker(&file, &tree);
        warnings.extend(weaker.warnings);
        let mut mistakes = overlay.mistakes;
        mistakes.extend(weaker.mistakes);
        let completed = complete(&mut tree, &schema::ROOT);
        warnings.extend(completed.warnings);
        mistakes.extend(completed.mistakes);

        mistakes.extend(shape::mistakes(&tree, &schema::ROOT));
        mistakes.extend(unserved::unserved(&tree));
        match tree_to_config(&tree) {
            Ok(config) => {
                let (contradictions, oddities) = check::check(&config, &tree);
                mistakes.extend(contradictions);
                warnings.extend(oddities);
                if mistakes.is_empty() {
                    return Ok(Loaded { config, warnings, tree, source });
                }
            }
            // What is missing or double is told beside the rest; what does not fit its type was told already.
            Err(findings) => {
                for finding in findings {
                    if !mistakes.iter().any(|known| known.path == finding.path) {
                        mistakes.push(finding);
                    }
                }
            }
        }
        Err(ConfigError::Invalid(mistakes))
    }
}

/// The built-in default, as a start without file and environment gives it.
impl Default for Config {
    #[expect(clippy::expect_used, reason = "the text is part of the program, and a test loads it")]
    fn default() -> Self {
        let loaded = Self::load(Source::BuiltIn, &Environment::default());
        loaded.expect("invariant: the built-in default is valid").config
    }
}

fn text_to_tree(source: &Source) -> Result<(Node, Vec<Finding>), ConfigError> {
    let (name, text) = source.read()?;
    let file: Arc<str> = name.into();
    let built_in = *source == Source::BuiltIn;
    let origin = |line, column| {
        if built_in { Origin::Default } else { Origin::File { file: file.clone(), line, column } }
    };
    let parsed = parse(&text, &origin).map_err(ConfigError::Invalid)?;
    let mut warnings = Vec::new();
    if let Some(rest) = &parsed.rest {
        warnings.push(Finding::new(rest, "", "a second document begins here; only the first is read"));
    }
    Ok((parsed.root, warnings))
}

fn tree_to_config(tree: &Node) -> Result<Config, Vec<Finding>> {
    let mut reader = Reader { tree, findings: Vec::new() };
    let config = reader.config();
    match config {
        Some(config) if reader.findings.is_empty() => Ok(config),
        _ => Err(reader.findings),
    }
}

/// Reads section after section, so that each can have its own mistake.
struct Reader<'a> {
    tree: &'a Node,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let version = self.section("version");
        let log = self.section("log");
        let storage = self.storage();
        let gc = self.section("gc");
        let auth = choose::auth(&self.value("auth")).map_err(|finding| self.findings.push(finding)).ok();
        let http = self.section("http");
        let notifications = self.section("notifications");
        let redis = self.section("redis");
        let health = self.section("health");
        let middleware = self.section("middleware");
        let proxy = self.section("proxy");
        let catalog = self.section("catalog");
        let tags = self.section("tags");
        let validation = self.section("validation");
        let policy = self.section("policy");
        Some(Config {
            version: version?,
            log: log?,
            storage: storage?,
            gc: gc?,
            auth: auth?,
            http: http?,
            notifications: notifications?,
            redis: redis?,
            health: health?,
            middleware: middleware?,
            proxy: proxy?,
            catalog: catalog?,
            tags: tags?,
            validation: validation?,
            policy: policy?,
        })
    }

    fn section<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        self.read(&self.value(key), key)
    }

    fn storage(&mut self) -> Option<StorageConfig> {
        let mut storage = self.value("storage");
        if storage.origin == Origin::Default {
            // Nobody wrote the section, so the place to tell is the file.
            storage.origin = self.tree.origin.clone();
        }
        match choose::driver(&storage, &schema::STORAGE) {
            Ok((driver, helpers)) => {
                let storage: StorageConfig = self.read(&helpers, "storage")?;
                Some(StorageConfig { driver, ..storage })
            }
            Err(findings) => {
                self.findings.extend(findings);
                None
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, node: &Node, key: &str) -> Option<T> {
        node.read().map_err(|error| self.findings.push(error.into_finding(key))).ok()
    }

    fn value(&self, key: &str) -> Node {
        self.tree.entry(key).map_or_else(|| Node::null(&self.tree.origin), |entry| entry.value.clone())
    }
}
