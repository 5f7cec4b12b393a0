//! `auth.silly`: for development; accepts any credentials.

use async_trait::async_trait;

use super::access::Access;
use super::challenge::{Challenge, InvalidParameter};
use super::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant};

/// Accepts any non-empty `Authorization` header as the user `silly`, and challenges other requests for a
/// bearer token.
#[derive(Clone, Debug)]
pub struct Silly {
    challenge: Challenge,
}

impl Silly {
    /// Creates a controller whose challenges name `realm` and `service`.
    ///
    /// # Errors
    ///
    /// One of them has a control character.
    pub fn new(realm: &str, service: &str) -> Result<Self, InvalidParameter> {
        let challenge = Challenge::new("Bearer").with("realm", realm)?.with("service", service)?;
        Ok(Self { challenge })
    }

    fn challenge(&self, wanted: &[Access]) -> Denied {
        let mut challenge = self.challenge.clone();
        if !wanted.is_empty() {
            let scope: Vec<String> = wanted.iter().map(Access::to_string).collect();
            // A repository name has no control characters, so adding the scope cannot fail.
            if let Ok(with_scope) = challenge.clone().with("scope", &scope.join(" ")) {
                challenge = with_scope;
            }
        }
        Denied::Challenge { challenges: vec![challenge.into_header()], reason: ChallengeReason::Missing }
    }
}

#[async_trait]
impl AccessController for Silly {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        match credentials.authorization {
            Some(header) if !header.is_empty() => Ok(Grant::to("silly")),
            _ => Err(self.challenge(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn ask(authorization: Option<&'static str>, wanted: &[Access]) -> Result<Grant, Denied> {
        let header = authorization.map(HeaderValue::from_static);
        let credentials = Credentials { authorization: header.as_ref(), ..Credentials::default() };
        Silly::new("silly-realm", "silly-service").unwrap().authorize(&credentials, wanted).await
    }

    fn header(denied: Denied) -> String {
        let Denied::Challenge { challenges, reason: ChallengeReason::Missing } = denied else {
            panic!("not a challenge: {denied:?}");
        };
        challenges[0].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn any_credentials_pass_as_silly() {
        assert_eq!(ask(Some("nonsense"), &[]).await.unwrap().user.as_deref(), Some("silly"));
    }

    #[tokio::test]
    async fn an_empty_header_is_challenged() {
        assert_eq!(
            header(ask(Some(""), &[]).await.unwrap_err()),
            r#"Bearer realm="silly-realm",service="silly-service""#
        );
    }

    #[tokio::test]
    async fn a_challenge_lists_the_wanted_scopes() {
        let name: sampan_engine::oci::RepositoryName = "foo/bar".parse().unwrap();
        let wanted = [Access::pull(name.clone()), Access::push(name), Access::catalog()];
        assert_eq!(
            header(ask(None, &wanted).await.unwrap_err()),
            concat!(
                r#"Bearer realm="silly-realm",service="silly-service","#,
                r#"scope="repository:foo/bar:pull repository:foo/bar:push registry:catalog:*""#
            )
        );
    }
}
