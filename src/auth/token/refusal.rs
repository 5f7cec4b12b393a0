//! `Refusal`: why a token was not believed, for the log. Clients hear `invalid_token` and no more.

use crate::auth::shown::Shown;

/// Why a token was not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("it is not three parts of base64url between dots")]
    NotCompact,
    #[error("its header cannot be read: {0}")]
    Header(String),
    #[error("its claims cannot be read: {0}")]
    Claims(String),
    #[error("its header asks for extensions (`crit`) that are not known here")]
    Critical,
    #[error("its algorithm {0} is not among auth.token.signingalgorithms")]
    Algorithm(Shown),
    #[error("its issuer {0} is not auth.token.issuer")]
    Issuer(Shown),
    #[error("it is for {0} and not for auth.token.service")]
    Audience(Shown),
    #[error("it has expired {0} seconds ago")]
    Expired(i64),
    #[error("it has no `exp`, so it would never expire")]
    NeverExpires,
    #[error("it is valid only in {0} seconds: compare the clocks of the token server and this machine")]
    NotYet(i64),
    #[error("its key {0} is not known")]
    UnknownKey(Shown),
    #[error("it does not say which key it was signed with: it has none of `x5c`, `jwk`, `kid`")]
    NoKey,
    #[error("its chain of certificates (`x5c`) does not lead to auth.token.rootcertbundle: {0}")]
    Chain(String),
    #[error("its signature is not by the key it names")]
    Signature,
    /// Not the token's fault.
    #[error("the keys of auth.token.jwks have not been fetched yet")]
    NoKeysYet,
}
