//! `InMemoryConfig`: the section `inmemory` of the configuration file.

use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::{BuildError, ByteSize, DriverConfig, StorageDriver, StoreAccess};
use serde::Deserialize;

use crate::InMemoryDriver;

/// The section `inmemory`; an empty one is a store without a limit.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(from = "Option<Section>")]
pub struct InMemoryConfig {
    /// The most bytes of content, and of paths and what else each file takes; the store refuses more like a full disk.
    pub maxsize: Option<ByteSize>,
}

#[async_trait]
impl DriverConfig for InMemoryConfig {
    const NAME: &'static str = "inmemory";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.check(StoreAccess::ReadWrite)?;
        Ok(Arc::new(match self.maxsize {
            None => InMemoryDriver::new(),
            Some(ByteSize(limit_bytes)) => InMemoryDriver::with_limit(limit_bytes),
        }))
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        match self.maxsize {
            Some(ByteSize(0)) => Err(BuildError::new(
                "storage.inmemory.maxsize is 0, so the store could hold nothing; remove the key for a store without a limit",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// The accepted forms: a mapping, or nothing (`inmemory:`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    maxsize: Option<ByteSize>,
}

impl From<Option<Section>> for InMemoryConfig {
    fn from(section: Option<Section>) -> Self {
        Self { maxsize: section.and_then(|section| section.maxsize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<InMemoryConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn nothing_null_and_a_size_are_accepted() {
        assert_eq!(parse("{}").unwrap(), InMemoryConfig::default());
        assert_eq!(parse("null").unwrap(), InMemoryConfig::default());
        assert_eq!(parse(r#"{"maxsize": null}"#).unwrap(), InMemoryConfig::default());
        assert_eq!(parse(r#"{"maxsize": "1MiB"}"#).unwrap().maxsize, Some(ByteSize(1 << 20)));
        assert_eq!(parse(r#"{"maxsize": 7}"#).unwrap().maxsize, Some(ByteSize(7)));
    }

    #[test]
    fn a_mistyped_key_is_named() {
        let error = parse(r#"{"maxsise": 1}"#).unwrap_err().to_string();
        assert!(error.contains("maxsise") && error.contains("maxsize"), "{error}");
    }

    #[tokio::test]
    async fn a_size_of_zero_is_refused() {
        let error = parse(r#"{"maxsize": 0}"#).unwrap().build().await.unwrap_err();
        assert!(error.to_string().contains("storage.inmemory.maxsize"), "{error}");
    }
}
