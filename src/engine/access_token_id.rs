//! `AccessTokenId`: identifies an access token.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The unique id of an access token: 80 random bits as 16 letters and digits of base32 (RFC 4648), in lower case.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccessTokenId([u8; Self::LEN]);

/// The digits of base32.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl AccessTokenId {
    /// The length of an id, in characters.
    pub const LEN: usize = 16;

    /// Creates a new id.
    pub fn random() -> Self {
        // The bytes between these have the version of the UUID, which is not random.
        let [a, b, c, d, e, f, _, _, _, g, h, i, j, ..] = Uuid::new_v4().into_bytes();
        let bits = [a, b, c, d, e, f, g, h, i, j]
            .into_iter()
            .fold(0_u128, |bits, byte| bits << 8 | u128::from(byte));
        Self(std::array::from_fn(|index| DIGITS[(bits >> (75 - 5 * index) & 31) as usize]))
    }
}

impl fmt::Display for AccessTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl FromStr for AccessTokenId {
    type Err = InvalidAccessTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidAccessTokenId> {
        let digits: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| InvalidAccessTokenId)?;
        match digits.iter().all(|digit| DIGITS.contains(digit)) {
            true => Ok(Self(digits)),
            false => Err(InvalidAccessTokenId),
        }
    }
}

/// An error: the text is not the id of an access token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an id of an access token has 16 characters, of a to z and 2 to 7")]
pub struct InvalidAccessTokenId;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_are_read_again() {
        let ids: HashSet<AccessTokenId> = (0..1000).map(|_| AccessTokenId::random()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.to_string().parse() == Ok(*id)));
        // Each digit occurs at each place.
        for place in 0..AccessTokenId::LEN {
            let digits: HashSet<u8> = ids.iter().map(|id| id.0[place]).collect();
            assert_eq!(digits.len(), 32, "place {place}");
        }
    }

    #[test]
    fn what_is_no_id_is_no_path() {
        for text in [
            "",
            "../../../../etc/x",
            "ABCDEFGHIJKLMNOP",
            "abcdefghijklmno",
            "abcdefghijklmno1",
            "abcdefghijklmnop/",
        ] {
            assert_eq!(text.parse::<AccessTokenId>(), Err(InvalidAccessTokenId), "{text}");
        }
    }
}
