//! `section!`: declares a section of the file: its struct, and the rows of its keys.
//!
//! ```text
//! section! {
//!     /// `http.debug.prometheus`.
//!     pub struct PrometheusConfig {
//!         /// Serves metrics at the debug listener.
//!         pub enabled: bool = "false",
//!         /// The number of repositories with counters of their own.
//!         pub repositories: usize = "0"; ours,
//!         key Key::of::<bool>("pool").idle(),
//!     }
//! }
//! ```
//!
//! The type of a field gives the kind of its key and whether it is a secret, the text after `=` is the default in YAML, and
//! what follows `;` are methods of [`Key`](super::key::Key). The doc comment is the row of `docs/configuration.md`. A `key` is a
//! row without a field: the registry knows it, and has no use for its value.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Disclosure, Kind};
use super::node::Content;
use super::{GoDuration, Node, NodeError, Secret};

/// A type of values of the file.
pub(crate) trait Value: Sized {
    /// The kind of node that the tree holds for it.
    const KIND: Kind;
    /// How to show it.
    const SHOWING: Disclosure;
    /// Whether its key must be there, since no value stands for an absent one.
    const IS_REQUIRED: bool;

    /// Reads it from a completed tree.
    ///
    /// # Errors
    ///
    /// If the value has another type, or lacks a key.
    fn read(node: &Node) -> Result<Self, NodeError>;

    /// The value of an absent key.
    fn absent() -> Option<Self>;
}

/// The keys of a section that is being read.
pub(crate) struct Fields<'a>(&'a Node);

impl<'a> Fields<'a> {
    pub(crate) fn of(section: &'a Node) -> Result<Self, NodeError> {
        match section.content {
            Content::Map(_) => Ok(Self(section)),
            _ => Err(NodeError::mismatch("a section of keys", section)),
        }
    }

    pub(crate) fn value<T: Value>(&self, key: &'static str) -> Result<T, NodeError> {
        match self.0.entry(key).filter(|entry| !entry.value.is_null()) {
            Some(entry) => T::read(&entry.value)
                .map_err(|error| error.located_above(&entry.value.origin, &self.0.origin).under_key(key)),
            None => T::absent().ok_or_else(|| NodeError::missing(key).located(&self.0.origin)),
        }
    }
}

/// Declares a section that is a map of its keys.
macro_rules! section {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $crate::section::keys! { $(#[$meta])* pub struct $name { $($body)* } }

        impl $crate::section::Value for $name {
            const KIND: $crate::key::Kind = $crate::key::Kind::Section(Self::KEYS);
            const SHOWING: $crate::key::Disclosure = $crate::key::Disclosure::Usual;
            const IS_REQUIRED: bool = false;

            fn read(node: &$crate::Node) -> Result<Self, $crate::NodeError> {
                Self::read_keys(node)
            }

            fn absent() -> Option<Self> {
                None
            }
        }
    };
}

/// Declares the struct and the keys of a section, and leaves it to the file to read the section as a whole. A field `besides`
/// the keys is read there, too.
macro_rules! keys {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( besides $(#[$other_meta:meta])* pub $other:ident : $other_type:ty, )?
            $( key $first:expr, )*
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident : $type:ty $(= $default:literal)? $(; $method:ident $( ( $($argument:expr),+ $(,)? ) )? )*,
                $( key $row:expr, )*
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$other_meta])* pub $other: $other_type, )?
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl $name {
            /// The rows of the section's keys.
            pub(crate) const KEYS: &'static [$crate::key::Key] = &[
                $( $first, )*
                $(
                    $crate::key::Key::of::<$type>(stringify!($field))
                        .meaning(concat!($($doc),*))
                        $( .or($default) )?
                        $( .$method($( $($argument),+ )?) )*,
                    $( $row, )*
                )*
            ];

            fn read_keys(node: &$crate::Node) -> Result<Self, $crate::NodeError> {
                let fields = $crate::section::Fields::of(node)?;
                Ok(Self {
                    $( $other: Default::default(), )?
                    $( $field: fields.value(stringify!($field))?, )*
                })
            }
        }
    };
}

/// Makes types that serde reads from one scalar into values.
macro_rules! leaf {
    ($type:ty, $showing:ident) => {
        impl $crate::section::Value for $type {
            const KIND: $crate::key::Kind = $crate::key::Kind::Leaf(|node| node.read::<$type>().map(drop));
            const SHOWING: $crate::key::Disclosure = $crate::key::Disclosure::$showing;
            const IS_REQUIRED: bool = true;

            fn read(node: &$crate::Node) -> Result<Self, $crate::NodeError> {
                node.read()
            }

            fn absent() -> Option<Self> {
                None
            }
        }
    };
    ($($type:ty),+ $(,)?) => { $( $crate::section::leaf!($type, Usual); )+ };
}

pub(crate) use {keys, leaf, section};

leaf!(String, PathBuf, bool, i64, u16, u32, u64, usize);

impl Value for Duration {
    const KIND: Kind = Kind::Duration;
    const SHOWING: Disclosure = Disclosure::Usual;
    const IS_REQUIRED: bool = true;

    fn read(node: &Node) -> Result<Self, NodeError> {
        node.read().map(|GoDuration(duration)| duration)
    }

    fn absent() -> Option<Self> {
        None
    }
}

impl Value for serde_json::Value {
    const KIND: Kind = Kind::Any;
    const SHOWING: Disclosure = Disclosure::Usual;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        node.read()
    }

    fn absent() -> Option<Self> {
        Some(Self::Null)
    }
}

impl<T: Value> Value for Option<T> {
    /// The presence of a section has a meaning.
    const KIND: Kind = match T::KIND {
        Kind::Section(keys) => Kind::Optional(keys),
        other => other,
    };
    const SHOWING: Disclosure = T::SHOWING;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        T::read(node).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const SHOWING: Disclosure = T::SHOWING;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        let Content::List(items) = &node.content else { return Err(NodeError::mismatch("a list", node)) };
        let mut values = Self::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.push(T::read(item).map_err(|error| error.located(&item.origin).under_index(index))?);
        }
        Ok(values)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);
    const SHOWING: Disclosure = T::SHOWING;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        let Content::Map(entries) = &node.content else { return Err(NodeError::mismatch("a map", node)) };
        let mut values = Self::new();
        // A key without a value counts as absent, as in Go.
        for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
            let value = T::read(&entry.value)
                .map_err(|error| error.located(&entry.value.origin).under_key(&entry.key))?;
            values.insert(entry.key.clone(), value);
        }
        Ok(values)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Value> Value for Secret<T> {
    const KIND: Kind = T::KIND;
    const SHOWING: Disclosure = Disclosure::Never;
    const IS_REQUIRED: bool = T::IS_REQUIRED;

    fn read(node: &Node) -> Result<Self, NodeError> {
        T::read(node).map(Self::new)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Self::new)
    }
}
