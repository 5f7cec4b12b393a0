//! `Checked`: a configuration in a test, and what the checks say of it.

use crate::defaults::complete;
use crate::parse::parse;
use crate::root::ROOT;
use crate::section::Value;
use crate::{Config, ConfigError, Diagnostic, Environment, Node, Origin, Source, validate};

/// A configuration and what the checks say of it.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) mistakes: String,
    pub(crate) warnings: String,
}

/// Reads and checks a file as [`Config::load`] does, and gives the configuration in spite of contradictions.
pub(crate) fn checked(file: &str, variables: &[(&str, &str)]) -> Checked {
    let stages = stages(file, variables);
    let mut mistakes = stages.mistakes;
    let mut warnings = stages.warnings;
    let config = Config::read(&stages.tree).ok();
    if let Some(config) = &config {
        let (contradictions, oddities) = config.check(&stages.tree);
        mistakes.extend(contradictions);
        warnings.extend(oddities);
    }
    let config = config.unwrap_or_default();
    Checked { config, mistakes: lines(&mistakes), warnings: lines(&warnings) }
}

/// A file before the checks across keys.
pub(crate) struct Stages {
    pub(crate) tree: Node,
    pub(crate) mistakes: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
}

pub(crate) fn stages(file: &str, variables: &[(&str, &str)]) -> Stages {
    let origin = |line, column| Origin::File { file: "config.yml".into(), line, column };
    let mut tree = parse(file, &origin).unwrap().root;
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let overlay = environment.apply(&mut tree, &ROOT);
    let completed = complete(&mut tree, &ROOT);
    let mistakes = [overlay.mistakes, completed.mistakes, validate::mistakes(&tree, &ROOT)].concat();
    Stages { tree, mistakes, warnings: [overlay.warnings, completed.warnings].concat() }
}

pub(crate) fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The messages of [`Config::load`] for a file that it refuses; empty for a file that it accepts.
#[derive(Default)]
pub(crate) struct Refused {
    pub(crate) mistakes: String,
    pub(crate) warnings: String,
}

pub(crate) fn load(text: &str) -> Refused {
    let source = Source::Text { name: "config.yml".to_owned(), text: text.to_owned() };
    match Config::load(source, &Environment::default()) {
        Ok(_) => Refused::default(),
        Err(ConfigError::Invalid { mistakes, warnings }) => {
            Refused { mistakes: lines(&mistakes), warnings: lines(&warnings) }
        }
        Err(other) => panic!("{other}"),
    }
}
