//! `ByteSize`: a number of bytes, as `4194304` or `4MiB`.

use std::str::FromStr;

use sampan_driver::parse_size;

use super::value_from_text;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_size(text)
            .map(Self)
            .ok_or_else(|| format!("expected a size such as 4MiB or a number of bytes, found `{text}`"))
    }
}

value_from_text!(ByteSize);
