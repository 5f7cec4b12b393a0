//! `Basic` credentials (RFC 7617): a user and a password in a header.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;

/// Accepts padding or none, because clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user and a password as sent; they may be invalid UTF-8. No `Debug`, so that they cannot be logged.
pub(super) struct BasicCredentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl BasicCredentials {
    /// Parses the header; `None` for another scheme or malformed credentials.
    pub(super) fn parse(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = split_once(header.as_bytes(), b' ')?;
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let mut user = BASE64.decode(encoded.trim_ascii()).ok()?;
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        Some(Self { user, password })
    }
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == separator)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let header = HeaderValue::from_str(header).unwrap();
        BasicCredentials::parse(&header).map(|basic| (basic.user, basic.password))
    }

    #[test]
    fn the_first_colon_ends_the_user() {
        assert_eq!(parse("Basic YTpiOmM="), Some((b"a".to_vec(), b"b:c".to_vec())));
        assert_eq!(parse("basic  YTpiOmM "), Some((b"a".to_vec(), b"b:c".to_vec())));
        assert_eq!(parse("BASIC YTo="), Some((b"a".to_vec(), vec![])));
    }

    #[test]
    fn a_password_may_be_any_bytes() {
        assert_eq!(parse("Basic YTr//g=="), Some((b"a".to_vec(), vec![0xff, 0xfe])));
    }

    #[test]
    fn any_other_header_is_unreadable() {
        for header in ["", "Basic", "Basic YQ==", "Basic !!!", "Bearer YTpi", "YTpi"] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}
