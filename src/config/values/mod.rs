//! Small types for values of the file: durations, sizes, addresses, paths, patterns.
//!
//! Each is one `FromStr` whose error addresses the author of the value. Enumerations are in the file of their section.

mod address;
mod duration;
mod network;
mod page_size;
mod pattern;
mod registry_host;
mod registry_url;
mod repository_path;
mod repository_pattern;
mod url;
mod version_range;
mod window;

pub use address::{ListenAddress, PathPrefix};
pub use duration::GoDuration;
pub use network::ProxyNetwork;
pub use page_size::PageSize;
pub use pattern::Pattern;
pub use registry_host::RegistryHost;
pub use registry_url::RegistryUrl;
pub(crate) use registry_url::is_docker_hub;
pub use repository_path::RepositoryPath;
pub(crate) use repository_path::{MAX_REPOSITORY_NAME, name_problem};
pub use repository_pattern::RepositoryPattern;
pub use sampan_driver::ByteSize;
pub use url::ExternalUrl;
pub use version_range::VersionRange;
pub use window::DailyWindow;

/// Implements `Deserialize` from text through `FromStr`, for types that are one scalar.
macro_rules! deserialize_from_text {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

/// Makes a type that is one scalar into a value of the file, through `FromStr`.
macro_rules! value_from_text {
    ($($type:ty),+ $(,)?) => {
        $crate::values::deserialize_from_text!($($type),+);
        $crate::section::leaf!($($type),+);
    };
}

crate::section::leaf!(ByteSize);

/// Declares an enumeration whose values are words, read in any letter case.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),+ }

        impl $name {
            /// The values, in the order of their words.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The words, as they are written in the file.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for this value.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $( if text.eq_ignore_ascii_case($word) { return Ok(Self::$variant); } )+
                Err(format!("expected one of {}, found `{text}`", Self::WORDS.join(", ")))
            }
        }

        $crate::values::value_from_text!($name);
    };
}

pub(crate) use {deserialize_from_text, value_from_text, words};
