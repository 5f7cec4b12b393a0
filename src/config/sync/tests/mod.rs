//! Jobs as they are read, and the messages of mistakes.

mod keys;
mod mistakes;

use crate::defaults::complete;
use crate::parse::parse;
use crate::root::ROOT;
use crate::section::Value;
use crate::{Config, Diagnostic, Environment, Origin, validate};

/// A configuration and what the checks say of it.
struct Checked {
    config: Config,
    mistakes: String,
    warnings: String,
}

/// Reads and checks a file as [`Config::load`] does, and gives the configuration in spite of contradictions.
fn checked(file: &str, variables: &[(&str, &str)]) -> Checked {
    let origin = |line, column| Origin::File { file: "config.yml".into(), line, column };
    let mut tree = parse(file, &origin).unwrap().root;
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let overlay = environment.apply(&mut tree, &ROOT);
    let completed = complete(&mut tree, &ROOT);
    let mut mistakes = [overlay.mistakes, completed.mistakes, validate::mistakes(&tree, &ROOT)].concat();
    let mut warnings = [overlay.warnings, completed.warnings].concat();
    let config = Config::read(&tree).unwrap_or_default();
    let (contradictions, oddities) = config.check(&tree);
    mistakes.extend(contradictions);
    warnings.extend(oddities);
    Checked { config, mistakes: lines(&mistakes), warnings: lines(&warnings) }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const PROXY: &str = "version: 0.1
storage: { inmemory: {}, delete: { enabled: true } }
proxy: { upstreams: [{ name: hub, url: 'https://docker.io' }, { name: quay, url: 'https://quay.io' }] }
";
