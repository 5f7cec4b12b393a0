//! The four stages in order: text and environment → merged tree → [`Config`] → checked.

use std::sync::Arc;

use super::defaults::complete;
use super::parse::parse;
use super::root::ROOT;
use super::section::Value;
use super::storage::STORAGE;
use super::unserved::unserved;
use super::weaker::weaker;
use super::{
    Config, ConfigError, Diagnostic, Environment, Node, Origin, Selected, Source, selection, slips, validate,
};

/// A valid configuration and its sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Oddities for the log.
    pub warnings: Vec<Diagnostic>,
    /// The merged tree with its origins, for [`show`](super::show).
    pub tree: Node,
    /// The source that was read.
    pub source: Source,
}

impl Config {
    /// Reads `source`, lays `environment` over it and checks the result.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or if the file or a variable has a setting that is wrong, contradictory or unsupported.
    /// Each diagnostic names the key and its file and line or variable.
    pub fn load(source: Source, environment: &Environment) -> Result<Loaded, ConfigError> {
        Self::load_with(source, environment, &|_| Vec::new())
    }

    /// Like [`load`](Self::load); `driver` checks the parameters of the driver, which only the driver knows.
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
        let overlay = environment.apply(&mut tree, &ROOT);
        warnings.extend(overlay.warnings);
        let weaker = weaker(&file, &tree);
        warnings.extend(weaker.warnings);
        mistakes.extend(overlay.mistakes);
        mistakes.extend(weaker.mistakes);
        let completed = complete(&mut tree, &ROOT);
        warnings.extend(completed.warnings);
        mistakes.extend(completed.mistakes);

        mistakes.extend(slips::quotes(&tree));
        mistakes.extend(validate::mistakes(&tree, &ROOT));
        mistakes.extend(unserved(&tree, &ROOT));
        let known: Vec<String> = mistakes.iter().map(|mistake| mistake.path.clone()).collect();
        let sound = without(&tree, &known);
        let (config, diagnostics) = read(&sound);
        let (contradictions, oddities) = config.check(&sound);
        let mut hidden = known;
        hidden.extend(diagnostics.iter().map(|diagnostic| diagnostic.path.clone()));
        mistakes.extend(diagnostics.into_iter().filter(|found| !is_below(&hidden, found)));
        // A contradiction that follows from a reported mistake is not reported again.
        mistakes.extend(contradictions.into_iter().filter(|found| !is_beside(&hidden, found)));
        let selected =
            sound.entry("storage").and_then(|entry| selection::driver(&entry.value, &STORAGE).ok());
        mistakes.extend(selected.iter().flat_map(|(selected, _)| driver(selected)));
        // What a section seems to lack may be what the mistake in it took away.
        let is_doubtful = |found: &Diagnostic| is_beside(&hidden, found) || is_above(&hidden, found);
        warnings.extend(oddities.into_iter().filter(|found| !is_doubtful(found)));
        match mistakes.is_empty() {
            true => Ok(Loaded { config, warnings, tree, source }),
            false => Err(ConfigError::Invalid { mistakes, warnings }),
        }
    }
}

/// The tree without the values at these paths, completed again, so that the rest can be checked.
fn without(tree: &Node, paths: &[String]) -> Node {
    let mut sound = tree.clone();
    if !paths.is_empty() {
        paths.iter().for_each(|path| sound.remove_at(path));
        complete(&mut sound, &ROOT);
    }
    sound
}

/// Whether a section lacks a key that a mistake in it may have meant.
fn is_below(mistakes: &[String], found: &Diagnostic) -> bool {
    mistakes
        .iter()
        .any(|path| path.strip_prefix(&*found.path).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Whether a diagnostic concerns a section that has a mistake anywhere below it.
fn is_above(mistakes: &[String], found: &Diagnostic) -> bool {
    let Some((section, _)) = found.path.rsplit_once('.') else { return false };
    mistakes.iter().any(|path| path.strip_prefix(section).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Whether a diagnostic concerns a section with a mistake, or what it needs from another section with one.
fn is_beside(mistakes: &[String], found: &Diagnostic) -> bool {
    let section = found.path.rsplit_once('.').map_or("", |(section, _)| section);
    mistakes.iter().any(|path| {
        let same = path.rsplit_once('.').map_or("", |(section, _)| section) == section && !section.is_empty();
        let around = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        // A job names an upstream of `proxy`, and needs rights of `storage`; a list with a mistake in it is not there.
        let needed =
            around("sync", &found.path) && ["proxy", "storage"].iter().any(|outer| around(outer, path));
        same || needed || around(path, &found.path) || around(&found.path, path)
    })
}

/// The built-in default: the configuration of a start without a file and variables.
impl Default for Config {
    #[expect(clippy::expect_used, reason = "the text is part of the program, and a test loads it")]
    fn default() -> Self {
        let loaded = Self::load(Source::BuiltIn, &Environment::default());
        loaded.expect("invariant: the built-in default is valid").config
    }
}

/// A parsed text and its diagnostics.
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
    let parsed = match parse(&slips.repaired, &origin) {
        Ok(parsed) => parsed,
        // An error after repaired slips may come from the repair itself.
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

/// Reads the tree. The built-in default replaces a section that cannot be read, so that each reports its own mistake.
fn read(tree: &Node) -> (Config, Vec<Diagnostic>) {
    let mut tree = tree.clone();
    let mut found = Vec::new();
    loop {
        let diagnostic = match Config::read(&tree) {
            Ok(config) => return (config, found),
            Err(error) => error.into_diagnostic(""),
        };
        let section = diagnostic.path.split(['.', '[']).next().unwrap_or_default().to_owned();
        // The file as a whole is no map, which is reported elsewhere.
        if section.is_empty() {
            return (Config::default(), found);
        }
        found.push(diagnostic);
        tree.remove(&section);
        tree.make_map().extend(built_in().remove(&section));
    }
}

/// The tree of the built-in default.
fn built_in() -> Node {
    let mut root =
        text_to_tree(&Source::BuiltIn).map_or_else(|_| Node::null(&Origin::Default), |text| text.root);
    complete(&mut root, &ROOT);
    root
}
