//! `Platform`: `os/architecture[/variant]`.

use std::fmt;
use std::str::FromStr;

use sampan_engine::oci::descriptor;

/// A platform for which images are selected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Platform {
    os: String,
    architecture: String,
    /// `None` means any.
    variant: Option<String>,
}

/// An error: the text is not a platform.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid platform {0:?}: it must be os/architecture or os/architecture/variant, such as linux/arm64")]
pub struct InvalidPlatform(String);

impl Platform {
    /// `linux/amd64`, which most images have.
    pub fn linux_amd64() -> Self {
        Self { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
    }

    /// Whether an image for `platform` is selected.
    pub fn has(&self, platform: &descriptor::Platform) -> bool {
        let variant = platform.rest.get("variant").and_then(|variant| variant.as_str()).unwrap_or_default();
        self.os == platform.os
            && self.architecture == platform.architecture
            && self.variant.as_deref().is_none_or(|wanted| wanted == variant)
    }

    /// The platform of a manifest's descriptor, as text.
    pub(crate) fn show(platform: &descriptor::Platform) -> String {
        let variant = platform.rest.get("variant").and_then(|variant| variant.as_str());
        match variant.filter(|variant| !variant.is_empty()) {
            Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
            None => format!("{}/{}", platform.os, platform.architecture),
        }
    }
}

/// Platforms as a message names them.
pub(crate) fn shown_platforms(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let invalid = || InvalidPlatform(text.to_owned());
        if parts.iter().any(|part| part.is_empty()) {
            return Err(invalid());
        }
        match parts[..] {
            [os, architecture] => {
                Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: None })
            }
            [os, architecture, variant] => Ok(Self {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: Some(variant.to_owned()),
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_without_variant_has_all_variants() {
        let platform = |json: &str| serde_json::from_str::<descriptor::Platform>(json).unwrap();
        let v7 = platform(r#"{"os":"linux","architecture":"arm","variant":"v7"}"#);
        for (text, expected) in
            [("linux/arm", true), ("linux/arm/v7", true), ("linux/arm/v6", false), ("windows/arm", false)]
        {
            assert_eq!(text.parse::<Platform>().unwrap().has(&v7), expected, "{text}");
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!(Platform::show(&v7), "linux/arm/v7");
        for bad in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
