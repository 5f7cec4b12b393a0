//! `Refusal`: why a token was refused, for the log. Clients see only `invalid_token`.

use crate::auth::logged_text::LoggedText;

/// Why a token was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(in crate::auth) enum Refusal {
    #[error("it is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("it is not three base64url parts separated by dots")]
    NotCompact,
    #[error("its header is malformed: {0}")]
    Header(String),
    #[error("its claims are malformed: {0}")]
    Claims(String),
    #[error("its header requires extensions (`crit`) that are not supported")]
    Critical,
    #[error("its algorithm {0} is not among auth.token.signingalgorithms")]
    Algorithm(LoggedText),
    #[error("its issuer {0} is not auth.token.issuer")]
    Issuer(LoggedText),
    #[error("it is for {0} and not for auth.token.service")]
    Audience(LoggedText),
    #[error("it expired {0} seconds ago")]
    Expired(i64),
    #[error("it has no `exp` and would never expire")]
    NeverExpires,
    #[error("it would live for another {0} seconds, and no token of this registry lives that long")]
    LivesTooLong(i64),
    #[error("it becomes valid in {0} seconds: compare the clocks of the token server and this machine")]
    NotYet(i64),
    #[error("its key {0} is unknown")]
    UnknownKey(LoggedText),
    #[error("it does not name its key: it has none of `x5c`, `jwk`, `kid`")]
    NoKey,
    #[error("its certificate chain (`x5c`) does not lead to auth.token.rootcertbundle: {0}")]
    Chain(String),
    #[error("its signature does not match the key it names")]
    Signature,
    #[error(
        "it was not issued by this registry: if it is of another replica, access.tokens.signingkey and access.tokens.service \
         must be the same for both"
    )]
    NotOurs,
    #[error("the credential that it was issued for was revoked or changed")]
    Revoked,
    /// Not the token's fault.
    #[error("the keys of auth.token.jwks have not been fetched yet")]
    NoKeysYet,
}
