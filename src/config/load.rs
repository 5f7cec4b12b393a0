//! The four stages, one after the other: text and environment → merged tree → [`Config`] → checked.

use std::cell::LazyCell;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::defaults::complete;
use super::parse::parse;
use super::weaker::weaker;
use super::{
    AuthConfig, Config, ConfigError, Diagnostic, Environment, Node, Origin, Selected, Source, StorageConfig,
    check, schema, selection, slips, unsupported, validate,
};

/// A configuration that can be used, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What is odd without being wrong, for the log.
    pub warnings: Vec<Diagnostic>,
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
    /// this version; each diagnostic names the key and its file and line or variable.
    pub fn load(source: Source, environment: &Environment) -> Result<Loaded, ConfigError> {
        Self::load_with(source, environment, &|_| Vec::new())
    }

    /// Like [`load`](Self::load); `driver` finds the mistakes in the parameters of the driver, which only it knows.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(
        source: Source,
        environment: &Environment,
        driver: &dyn Fn(&Selected) -> Vec<Diagnostic>,
    ) -> Result<Loaded, ConfigError> {
        let Text { root: mut tree, mut warnings, mut mistakes } = text_to_tree(&source)?;
        let file = tree.clone();
        let overlay = environment.apply(&mut tree, &schema::ROOT);
        warnings.extend(overlay.warnings);
        let weaker = weaker(&file, &tree);
        warnings.extend(weaker.warnings);
        mistakes.extend(overlay.mistakes);
        mistakes.extend(weaker.mistakes);
        let completed = complete(&mut tree, &schema::ROOT);
        warnings.extend(completed.warnings);
        mistakes.extend(completed.mistakes);

        mistakes.extend(slips::quotes(&tree));
        mistakes.extend(validate::mistakes(&tree, &schema::ROOT));
        mistakes.extend(unsupported::unserved(&tree));
        let known: Vec<String> = mistakes.iter().map(|mistake| mistake.path.clone()).collect();
        let sound = without(&tree, &known);
        let Read { config, selected, diagnostics } = tree_to_config(&sound);
        let (contradictions, oddities) = check::check(&config, &sound);
        let mut hidden = known;
        hidden.extend(diagnostics.iter().map(|diagnostic| diagnostic.path.clone()));
        mistakes.extend(diagnostics.into_iter().filter(|found| !is_below(&hidden, found)));
        // What follows from a mistake that is reported already is none of its own.
        mistakes.extend(contradictions.into_iter().filter(|found| !is_beside(&hidden, found)));
        mistakes.extend(selected.iter().flat_map(driver));
        warnings.extend(oddities.into_iter().filter(|found| !is_beside(&hidden, found)));
        match mistakes.is_empty() {
            true => Ok(Loaded { config, warnings, tree, source }),
            false => Err(ConfigError::Invalid { mistakes, warnings }),
        }
    }
}

/// The tree without what is at these paths, made whole again, so that the rest of it can be judged.
fn without(tree: &Node, paths: &[String]) -> Node {
    let mut sound = tree.clone();
    if !paths.is_empty() {
        paths.iter().for_each(|path| sound.remove_at(path));
        complete(&mut sound, &schema::ROOT);
    }
    sound
}

/// Whether a section lacks something that a mistake in it may have been meant for.
fn is_below(mistakes: &[String], found: &Diagnostic) -> bool {
    mistakes
        .iter()
        .any(|path| path.strip_prefix(&*found.path).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Whether a diagnostic is about something in a section with a mistake.
fn is_beside(mistakes: &[String], found: &Diagnostic) -> bool {
    let section = found.path.rsplit_once('.').map_or("", |(section, _)| section);
    mistakes.iter().any(|path| {
        let same = path.rsplit_once('.').map_or("", |(section, _)| section) == section && !section.is_empty();
        let around = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        same || around(path, &found.path) || around(&found.path, path)
    })
}

/// The built-in default, as a start without file and environment gives it.
impl Default for Config {
    #[expect(clippy::expect_used, reason = "the text is part of the program, and a test loads it")]
    fn default() -> Self {
        let loaded = Self::load(Source::BuiltIn, &Environment::default());
        loaded.expect("invariant: the built-in default is valid").config
    }
}

/// What the text of a file comes to.
struct Text {
    root: Node,
    warnings: Vec<Diagnostic>,
    mistakes: Vec<Diagnostic>,
}

fn text_to_tree(source: &Source) -> Result<Text, ConfigError> {
    let (name, text) = source.read()?;
    let file: Arc<str> = name.into();
    let built_in = *source == Source::BuiltIn;
    let origin = |line, column| {
        if built_in { Origin::Default } else { Origin::File { file: file.clone(), line, column } }
    };
    let invalid = |mistakes| ConfigError::Invalid { mistakes, warnings: Vec::new() };
    let slips = slips::slips(&text, &origin);
    let mistakes = slips.mistakes;
    let parsed = match parse(&slips.mended, &origin) {
        Ok(parsed) => parsed,
        // What is left behind the slips may be due to how they were mended.
        Err(_) if !mistakes.is_empty() => return Err(invalid(mistakes)),
        Err(diagnostics) => return Err(invalid(diagnostics)),
    };
    if let Some(text) = parsed.root.as_text() {
        let shown: String = text.chars().take(40).collect();
        let message = format!(
            "the file is a single text (`{shown}{}`) and not a list of `key: value` lines: were its line breaks lost when it \
             was pasted?",
            if shown.len() < text.len() { "…" } else { "" }
        );
        return Err(invalid(vec![Diagnostic::new(&parsed.root.origin, "", message)]));
    }
    let mut warnings = Vec::new();
    if let Some(rest) = &parsed.rest {
        warnings.push(Diagnostic::new(rest, "", "a second document begins here; only the first is read"));
    }
    Ok(Text { root: parsed.root, warnings, mistakes })
}

/// What a tree comes to; where a section cannot be read, its default stands in for it.
struct Read {
    config: Config,
    selected: Option<Selected>,
    diagnostics: Vec<Diagnostic>,
}

fn tree_to_config(tree: &Node) -> Read {
    let mut reader = Reader { tree, diagnostics: Vec::new(), selected: None };
    let config = reader.config();
    Read { config, selected: reader.selected, diagnostics: reader.diagnostics }
}

/// Reads section after section, so that each can have its own mistake.
struct Reader<'a> {
    tree: &'a Node,
    diagnostics: Vec<Diagnostic>,
    selected: Option<Selected>,
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let default = LazyCell::new(Config::default);
        let auth =
            selection::auth(&self.value("auth")).map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok();
        Config {
            version: self.section("version").unwrap_or_else(|| default.version),
            log: self.section("log").unwrap_or_else(|| default.log.clone()),
            storage: self.storage().unwrap_or_else(|| default.storage.clone()),
            gc: self.section("gc").unwrap_or_else(|| default.gc.clone()),
            auth: auth.unwrap_or(AuthConfig::None),
            http: self.section("http").unwrap_or_else(|| default.http.clone()),
            notifications: self.section("notifications").unwrap_or_default(),
            redis: self.section("redis").unwrap_or_default(),
            health: self.section("health").unwrap_or_default(),
            middleware: self.section("middleware").unwrap_or_default(),
            proxy: self.section("proxy").unwrap_or_default(),
            catalog: self.section("catalog").unwrap_or_else(|| default.catalog.clone()),
            tags: self.section("tags").unwrap_or_else(|| default.tags.clone()),
            validation: self.section("validation").unwrap_or_else(|| default.validation.clone()),
            policy: self.section("policy").unwrap_or_else(|| default.policy.clone()),
        }
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
        match selection::driver(&storage, &schema::STORAGE) {
            Ok((driver, helpers)) => {
                self.selected = Some(driver.clone());
                let storage: StorageConfig = self.read(&helpers, "storage")?;
                Some(StorageConfig { driver, ..storage })
            }
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                None
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, node: &Node, key: &str) -> Option<T> {
        node.read().map_err(|error| self.diagnostics.push(error.into_diagnostic(key))).ok()
    }

    fn value(&self, key: &str) -> Node {
        self.tree.entry(key).map_or_else(|| Node::null(&self.tree.origin), |entry| entry.value.clone())
    }
}
