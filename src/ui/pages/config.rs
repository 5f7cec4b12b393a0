//! The configuration of an image, as far as the page shows it.

use std::collections::BTreeMap;

use sampan_engine::oci::Descriptor;
use sampan_engine::{Error, Gap, Repository};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::language::Language;

/// A configuration as far as it is known.
#[derive(Debug)]
pub(crate) enum KnownConfig {
    /// An image's configuration.
    Image(Box<Config>),
    /// It is not in the repository.
    Missing,
    /// It is too long, not JSON, or something else.
    Unread,
}

/// The configuration of an image (OCI image-spec, `config.md`).
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Config {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) config: Execution,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) history: Vec<Step>,
}

/// How a container runs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Execution {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) user: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) exposed_ports: BTreeMap<String, IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) cmd: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) volumes: BTreeMap<String, IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) working_dir: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
}

/// A step of the build.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Step {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) created_by: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) comment: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) empty_layer: bool,
}

impl KnownConfig {
    /// Why there is no configuration, as a sentence.
    pub(crate) fn note(&self, t: Language) -> Option<String> {
        match self {
            Self::Image(_) => None,
            Self::Missing => Some(t.config_missing()),
            Self::Unread => Some(t.config_unread()),
        }
    }

    pub(crate) fn image(&self) -> Option<&Config> {
        match self {
            Self::Image(config) => Some(config),
            Self::Missing | Self::Unread => None,
        }
    }
}

impl Execution {
    /// How the container runs, each property with its name.
    pub(crate) fn properties(&self, t: Language) -> [(String, Option<String>); 6] {
        // As in a Dockerfile: the quotes show where an argument ends.
        let words =
            |words: &[String]| (!words.is_empty()).then(|| serde_json::to_string(words).ok()).flatten();
        let text = |text: &String| Some(text.clone()).filter(|it| !it.is_empty());
        let keys = |map: &BTreeMap<String, IgnoredAny>| {
            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
            Some(keys.join(", ")).filter(|it| !it.is_empty())
        };
        [
            (t.entrypoint(), words(&self.entrypoint)),
            (t.command(), words(&self.cmd)),
            (t.user(), text(&self.user)),
            (t.working_directory(), text(&self.working_dir)),
            (t.ports(), keys(&self.exposed_ports)),
            (t.volumes(), keys(&self.volumes)),
        ]
    }
}

/// Go writes what is absent as `null`.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the configuration of a manifest.
///
/// # Errors
///
/// Any error of the store but a missing blob.
pub(crate) async fn read(repository: &Repository, descriptor: &Descriptor) -> Result<KnownConfig, Error> {
    Ok(match repository.config(descriptor).await? {
        Ok(content) => {
            parse(&content).map_or(KnownConfig::Unread, |config| KnownConfig::Image(Box::new(config)))
        }
        Err(Gap::ConfigMissing) => KnownConfig::Missing,
        Err(_) => KnownConfig::Unread,
    })
}

fn parse(content: &[u8]) -> Option<Config> {
    // serde accepts an array as the fields in their order.
    let is_object = content.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(content).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_or_absent_is_empty() {
        for text in [
            "{}",
            r#"{"config":null,"history":null}"#,
            r#"{"config":{"Env":null,"ExposedPorts":null,"User":null}}"#,
        ] {
            let config = parse(text.as_bytes()).unwrap();
            assert!(config.config.env.is_empty() && config.history.is_empty(), "{text}");
        }
        for text in ["[]", "1", r#"{"config":5}"#, r#"{"history":{}}"#, "", "{"] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
