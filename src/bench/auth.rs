//! The `Authorization` header: a password, or a token fetched with it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method};
use serde::Deserialize;
use url::Url;

use crate::client::{Answer, BenchRequest, Connection};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::options::{Credentials, Target};

/// The header for these scopes, as the registry's challenge demands.
pub(crate) async fn authorize(
    endpoint: &Arc<Endpoint>,
    target: &Target,
    scopes: &[String],
) -> Result<Option<HeaderValue>> {
    let mut connection = Connection::open(endpoint.clone(), None).await?;
    let path = format!("{}/v2/", endpoint.prefix);
    let answer = connection.ask(BenchRequest::new(Method::GET, &path)).await?;
    let basic = || target.credentials.as_ref().map(basic).transpose();
    match answer.status {
        200 => basic(),
        401 => match challenge(&answer) {
            Some(Challenge::Bearer { realm, service }) => {
                token(target, &realm, service.as_deref(), scopes).await.map(Some)
            }
            Some(Challenge::Basic) => {
                let refused =
                    |reason: &str| Error::Access { host: endpoint.host.clone(), reason: reason.to_owned() };
                let Some(header) = basic()? else { return Err(refused("give --user and a password")) };
                let mut connection = Connection::open(endpoint.clone(), Some(header.clone())).await?;
                match connection.ask(BenchRequest::new(Method::GET, &path)).await?.status {
                    401 => Err(refused("the user or the password is wrong")),
                    _ => Ok(Some(header)),
                }
            }
            None => Err(answer.refusal(format!("GET {}{path}", endpoint.host))),
        },
        404 => Err(Error::Answer {
            request: format!("GET {}{path}", endpoint.host),
            status: 404,
            detail: "there is no registry at this address".to_owned(),
        }),
        _ => Err(answer.refusal(format!("GET {}{path}", endpoint.host))),
    }
}

fn basic(credentials: &Credentials) -> Result<HeaderValue> {
    let text = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
    secret(&format!("Basic {text}"))
}

fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::Options("the token cannot be sent as a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Debug, PartialEq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

fn challenge(answer: &Answer) -> Option<Challenge> {
    answer
        .headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| parse_challenge(value.to_str().ok()?))
        .next()
}

fn parse_challenge(text: &str) -> Option<Challenge> {
    let (scheme, parameters) = text.trim().split_once(' ')?;
    let parameter = |name: &str| {
        let start = parameters.to_ascii_lowercase().find(&format!("{name}=\""))? + name.len() + 2;
        parameters[start..].split('"').next().map(str::to_owned)
    };
    if scheme.eq_ignore_ascii_case("basic") {
        Some(Challenge::Basic)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") })
    } else {
        None
    }
}

async fn token(
    target: &Target,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
) -> Result<HeaderValue> {
    let wrong = |reason: String| Error::Url { url: realm.to_owned(), reason };
    let mut url = Url::parse(realm).map_err(|error| wrong(error.to_string()))?;
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    for scope in scopes {
        url.query_pairs_mut().append_pair("scope", scope);
    }
    let endpoint = Arc::new(Endpoint::resolve(&url, &target.tls)?);
    let authorization = target.credentials.as_ref().map(basic).transpose()?;
    let host = endpoint.host.clone();
    let mut connection = Connection::open(endpoint, authorization).await?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let answer = connection.ask_for_content(BenchRequest::new(Method::GET, path)).await?;
    match answer.status {
        200 => {}
        401 => {
            let reason = match target.credentials {
                None => "give --user and a password",
                Some(_) => "the user or the password is wrong",
            };
            return Err(Error::Access { host, reason: reason.to_owned() });
        }
        _ => return Err(answer.refusal(format!("GET {host}{}", url.path()))),
    }
    #[derive(Deserialize)]
    struct Granted {
        token: Option<String>,
        access_token: Option<String>,
    }
    let granted: Option<Granted> = serde_json::from_slice(&answer.body).ok();
    let token = granted.and_then(|granted| granted.token.or(granted.access_token)).ok_or_else(|| {
        Error::Nonsense {
            request: format!("GET {host}{}", url.path()),
            problem: "the answer has no token in it".to_owned(),
        }
    })?;
    secret(&format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(parse_challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(
            parse_challenge("Bearer realm=\"https://auth/token\",service=\"a b\",scope=\"x\""),
            Some(Challenge::Bearer {
                realm: "https://auth/token".to_owned(),
                service: Some("a b".to_owned())
            })
        );
        assert_eq!(parse_challenge("Bearer service=\"a\""), None);
        assert_eq!(parse_challenge("Negotiate abc"), None);
    }
}
