//! Resolved upstreams, and the messages of mistakes.

mod mistakes;
mod oddities;
mod outside;
mod properties;
mod resolution;

use crate::defaults::complete;
use crate::parse::parse;
use crate::root::ROOT;
use crate::section::Value;
use crate::{Config, Diagnostic, Environment, Node, Origin, ProxyConfig, validate};

/// A configuration and what the checks say of it.
struct Checked {
    config: Config,
    mistakes: String,
    warnings: String,
}

impl Checked {
    fn proxy(&self) -> &ProxyConfig {
        self.config.proxy.as_ref().unwrap()
    }
}

/// Reads and checks a file as [`Config::load`] does, and gives the configuration in spite of contradictions.
fn checked(file: &str, variables: &[(&str, &str)]) -> Checked {
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
struct Stages {
    tree: Node,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

fn stages(file: &str, variables: &[(&str, &str)]) -> Stages {
    let origin = |line, column| Origin::File { file: "config.yml".into(), line, column };
    let mut tree = parse(file, &origin).unwrap().root;
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let overlay = environment.apply(&mut tree, &ROOT);
    let completed = complete(&mut tree, &ROOT);
    let mistakes = [overlay.mistakes, completed.mistakes, validate::mistakes(&tree, &ROOT)].concat();
    Stages { tree, mistakes, warnings: [overlay.warnings, completed.warnings].concat() }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The third line of a file is the section `proxy`, in flow style.
fn file(proxy: &str) -> String {
    format!("version: 0.1\nstorage: inmemory\nproxy: {{ {proxy} }}\n")
}
