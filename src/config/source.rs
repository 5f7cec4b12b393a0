//! `Source`: the place of the configuration.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::environment::PATH_VARIABLE;
use super::{ConfigError, Environment};

/// The default paths in order; the second is the one of Distribution 2's image.
const STANDARD: [&str; 2] = ["/etc/distribution/config.yml", "/etc/docker/registry/config.yml"];

/// The longest configuration: a bundle that was named by mistake is not read to its end.
const MAX_BYTES: u64 = 16 << 20;

/// The configuration of a start without a file.
const BUILT_IN: &str = "\
version: 0.1
storage:
  filesystem: { rootdirectory: ./registry-data }
  delete: { enabled: true }
http: { addr: '127.0.0.1:5000' }
";

/// The place of the configuration, before the environment is laid over it.
#[derive(Clone, Eq, PartialEq)]
pub enum Source {
    /// A file named on the command line.
    Argument(PathBuf),
    /// A file named by `REGISTRY_CONFIGURATION_PATH`.
    Variable(PathBuf),
    /// A file at a standard place.
    Standard(PathBuf),
    /// No file: a store in `./registry-data`, served to this machine alone.
    BuiltIn,
    /// A text, for tests and examples.
    Text {
        /// The name in messages, in place of a path.
        name: String,
        /// The YAML.
        text: String,
    },
}

impl Source {
    /// Chooses the source: the argument, else the variable, else a standard place where there is a file, else the built-in.
    pub fn find(argument: Option<PathBuf>, environment: &Environment) -> Self {
        Self::find_among(argument, environment, Path::exists)
    }

    fn find_among(argument: Option<PathBuf>, environment: &Environment, exists: fn(&Path) -> bool) -> Self {
        if let Some(path) = argument {
            return Self::moved(&path, exists).unwrap_or(Self::Argument(path));
        }
        if let Some(path) = environment.value(PATH_VARIABLE).filter(|path| !path.is_empty()) {
            return Self::Variable(path.into());
        }
        STANDARD
            .iter()
            .map(Path::new)
            .find(|path| exists(path))
            .map_or(Self::BuiltIn, |path| Self::Standard(path.to_owned()))
    }

    /// The other standard place, for a guide that names the place of the other version.
    fn moved(named: &Path, exists: fn(&Path) -> bool) -> Option<Self> {
        let is_standard = STANDARD.iter().any(|standard| Path::new(standard) == named);
        let other = STANDARD.iter().map(Path::new).find(|path| exists(path));
        other.filter(|_| is_standard && !exists(named)).map(|path| Self::Standard(path.to_owned()))
    }

    /// The file, if there is one; a reload reads it again.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Argument(path) | Self::Variable(path) | Self::Standard(path) => Some(path),
            Self::BuiltIn | Self::Text { .. } => None,
        }
    }

    fn chosen_by(&self) -> &'static str {
        match self {
            Self::Argument(_) => "given on the command line",
            Self::Variable(_) => "given by REGISTRY_CONFIGURATION_PATH",
            Self::Standard(_) => "at its standard place",
            Self::BuiltIn => "built in",
            Self::Text { .. } => "given as text",
        }
    }

    /// The name for messages, and the text.
    pub(crate) fn read(&self) -> Result<(String, String), ConfigError> {
        let path = match self {
            Self::Argument(path) | Self::Variable(path) | Self::Standard(path) => path,
            Self::BuiltIn => return Ok(("built-in default".to_owned(), BUILT_IN.to_owned())),
            Self::Text { name, text } => return Ok((name.clone(), text.clone())),
        };
        let chosen_by = self.chosen_by();
        if path.is_dir() {
            return Err(ConfigError::Directory { path: path.clone(), chosen_by });
        }
        match read_text(path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(source) => Err(ConfigError::Unreadable { path: path.clone(), chosen_by, source }),
        }
    }
}

/// Reads a text of at most [`MAX_BYTES`].
fn read_text(path: &Path) -> io::Result<String> {
    let wrong =
        |problem: &str| io::Error::new(ErrorKind::InvalidData, format!("{problem}: is it the right file?"));
    let mut text = String::new();
    match File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > MAX_BYTES => Err(wrong("it is longer than 16 MiB")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(wrong("it is not UTF-8 text")),
        Err(error) => Err(error),
    }
}

/// For the log: `/etc/distribution/config.yml (at its standard place)`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => {
                f.write_str("built-in default: ./registry-data on 127.0.0.1:5000, deletion enabled")
            }
            Self::Text { name, .. } => f.write_str(name),
            Self::Argument(path) | Self::Variable(path) | Self::Standard(path) => {
                write!(f, "{} ({})", path.display(), self.chosen_by())
            }
        }
    }
}

/// As in the log, since a text may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_precedes_the_variable_which_precedes_the_standard_places() {
        let variable = [(PATH_VARIABLE.to_owned(), "/v.yml".to_owned())].into_iter().collect();
        let nothing = Environment::default();
        let everything = |_: &Path| true;
        let old_place = |path: &Path| path.starts_with("/etc/docker");
        let find = Source::find_among;
        assert_eq!(find(Some("/a.yml".into()), &variable, everything), Source::Argument("/a.yml".into()));
        assert_eq!(find(None, &variable, everything), Source::Variable("/v.yml".into()));
        assert_eq!(find(None, &nothing, everything), Source::Standard(STANDARD[0].into()));
        assert_eq!(find(None, &nothing, old_place), Source::Standard(STANDARD[1].into()));
        assert_eq!(find(None, &nothing, |_| false), Source::BuiltIn);
    }

    #[test]
    fn a_missing_file_at_one_standard_place_is_found_at_the_other() {
        let environment = Environment::default();
        let new_place = |path: &Path| path.starts_with("/etc/distribution");
        let find = |argument: &str| Source::find_among(Some(argument.into()), &environment, new_place);
        assert_eq!(find(STANDARD[1]), Source::Standard(STANDARD[0].into()));
        assert_eq!(find(STANDARD[0]), Source::Argument(STANDARD[0].into()));
        assert_eq!(find("/a.yml"), Source::Argument("/a.yml".into()));
    }
}
