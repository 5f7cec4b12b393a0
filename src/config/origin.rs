//! `Origin`: the source of a value.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The source of a value of the configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Origin {
    /// A place in a configuration file; lines and columns count from one.
    File {
        /// The file, by the name that the user gave.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable, by its name.
    Environment(Arc<str>),
    /// A built-in default.
    #[default]
    Default,
}

impl Origin {
    /// A short form, such as for the comments of `config show`: the file without its directory.
    pub fn note(&self) -> String {
        match self {
            Self::File { file, line, .. } => {
                let name = Path::new(&**file)
                    .file_name()
                    .map_or(file.to_string(), |name| name.to_string_lossy().into_owned());
                format!("{name}:{line}")
            }
            Self::Environment(name) => name.to_string(),
            Self::Default => "default".to_owned(),
        }
    }

    /// The line, if there is one, for messages that name two places of the same file.
    pub(crate) fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line),
            Self::Environment(_) | Self::Default => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("built-in default"),
        }
    }
}
/// The origin of a value that is the same from elsewhere: it makes no difference in comparisons.
#[derive(Clone, Debug, Default)]
pub struct ValueOrigin(pub Origin);

impl PartialEq for ValueOrigin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Deref for ValueOrigin {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.0
    }
}
