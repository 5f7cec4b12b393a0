//! `ImageConfig`: the part of an image's or chart's configuration that a summary shows.

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::TryStreamExt;
use sampan_driver::ByteRange;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Gap;
use crate::oci::descriptor::platform_text;
use crate::oci::{Descriptor, Digest};
use crate::{Error, Repository, Result};

/// The configuration of an image (OCI image-spec, `config.md`) or of a chart, whose configuration is its `Chart.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageConfig {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    config: Option<Runtime>,
    /// Of a chart.
    name: Option<String>,
    /// Of a chart.
    version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Runtime {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// The longest configuration to read, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

pub(super) const CREATED: &str = "org.opencontainers.image.created";
pub(super) const TITLE: &str = "org.opencontainers.image.title";
pub(super) const VERSION: &str = "org.opencontainers.image.version";

impl Repository {
    /// The content of a manifest's configuration, compared with its digest; or why there is none: it is missing, damaged, or
    /// longer than 1 MiB.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn config(&self, descriptor: &Descriptor) -> Result<std::result::Result<Vec<u8>, Gap>> {
        if descriptor.size > MAX_BYTES {
            return Ok(Err(Gap::ConfigTooLarge(descriptor.size)));
        }
        let (info, reader) = match self.blobs().read(&descriptor.digest, ByteRange::ALL).await {
            Ok(found) => found,
            Err(Error::BlobUnknown(..)) => return Ok(Err(Gap::ConfigMissing)),
            Err(Error::Corrupt(..)) => return Ok(Err(Gap::ConfigDamaged)),
            Err(error) => return Err(error),
        };
        // The descriptor is the client's word.
        if info.size_bytes > MAX_BYTES {
            return Ok(Err(Gap::ConfigTooLarge(info.size_bytes)));
        }
        let mut content = Vec::with_capacity(usize::try_from(info.size_bytes).unwrap_or(0));
        let mut chunks = reader.into_stream();
        while let Some(chunk) = chunks.try_next().await? {
            content.extend_from_slice(&chunk);
        }
        if Digest::of(info.canonical.algorithm(), &content) != info.canonical {
            return Ok(Err(Gap::ConfigDamaged));
        }
        Ok(Ok(content))
    }
}

impl ImageConfig {
    /// Reads the configuration of a manifest of the repository. Content that is missing, damaged, too long or no
    /// configuration is a gap.
    pub(super) async fn read(
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<std::result::Result<Self, Gap>> {
        Ok(repository.config(descriptor).await?.and_then(|content| Self::parse(&content)))
    }

    fn parse(content: &[u8]) -> std::result::Result<Self, Gap> {
        // serde accepts an array as the fields in their order.
        if content.trim_ascii_start().first() != Some(&b'{') {
            return Err(Gap::ConfigUnreadable("it does not begin with `{`".to_owned()));
        }
        serde_json::from_slice(content).map_err(|error| Gap::ConfigUnreadable(text(&error.to_string())))
    }

    pub(super) fn platform(&self) -> Option<String> {
        platform_text(self.os.as_deref()?, self.architecture.as_deref()?, self.variant.as_deref())
    }

    pub(super) fn created(&self) -> Option<SystemTime> {
        self.created.as_deref().and_then(time)
    }

    pub(super) fn title(&self) -> Option<String> {
        self.label(TITLE).or(self.name.as_deref()).and_then(given)
    }

    pub(super) fn version(&self) -> Option<String> {
        self.label(VERSION).or(self.version.as_deref()).and_then(given)
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = self.config.as_ref()?.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }
}

/// A time as RFC 3339 writes it.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

/// The text of a client, bounded; `None` for an empty one.
pub(super) fn given(given: &str) -> Option<String> {
    Some(text(given)).filter(|text| !text.is_empty())
}

/// The beginning of a text that a client controls: 256 bytes at most.
pub(super) fn text(text: &str) -> String {
    text[..text.floor_char_boundary(256)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_what_it_has() {
        for (json, platform, title, version, is_dated) in [
            (
                r#"{"os":"linux","architecture":"arm","variant":"v7"}"#,
                Some("linux/arm/v7"),
                None,
                None,
                false,
            ),
            (
                r#"{"os":"linux","architecture":"amd64","variant":null,"created":"2024-05-06T07:08:09.123Z",
                   "config":{"Labels":{"org.opencontainers.image.title":"App","org.opencontainers.image.version":"2"}}}"#,
                Some("linux/amd64"),
                Some("App"),
                Some("2"),
                true,
            ),
            (
                r#"{"name":"chart","version":"1.2.3","apiVersion":"v2"}"#,
                None,
                Some("chart"),
                Some("1.2.3"),
                false,
            ),
            (
                r#"{"os":"linux\u001b[2J","architecture":"amd64","created":"yesterday"}"#,
                None,
                None,
                None,
                false,
            ),
            (r#"{"config":null,"created":null,"name":""}"#, None, None, None, false),
            (r#"{"config":{"Labels":null}}"#, None, None, None, false),
        ] {
            let config = ImageConfig::parse(json.as_bytes()).unwrap();
            assert_eq!(config.platform().as_deref(), platform, "{json}");
            assert_eq!(config.title().as_deref(), title, "{json}");
            assert_eq!(config.version().as_deref(), version, "{json}");
            assert_eq!(config.created().is_some(), is_dated, "{json}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_unreadable_with_the_reason() {
        for json in ["", "[]", r#"["linux"]"#, "{", r#"{"os":1}"#, r#"{"config":{"Labels":["x"]}}"#] {
            let problem = ImageConfig::parse(json.as_bytes());
            assert!(matches!(&problem, Err(Gap::ConfigUnreadable(reason)) if !reason.is_empty()), "{json}");
        }
    }

    #[test]
    fn texts_are_bounded_and_no_letter_is_cut() {
        assert_eq!(text(&"é".repeat(1000)).len(), 256);
        assert_eq!(text(&format!("x{}", "é".repeat(1000))).len(), 255);
        let years = ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "1969-12-31T23:59:59Z"];
        assert!(years.iter().all(|year| time(year).is_some()));
    }
}
