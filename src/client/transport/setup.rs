//! Builds the HTTP clients of a transport.

use std::sync::Arc;

use reqwest::{Client, Identity};

use super::guard::{Guard, GuardedResolver};
use crate::http_client::{self, HttpClientError};
use crate::options::{ClientOptions, TlsOptions, Verification};

/// The client for the registry, and the one for servers that it names. Blocks to read certificates.
pub(super) fn clients(
    options: &ClientOptions,
    guard: Arc<Guard>,
) -> Result<(Client, Client), HttpClientError> {
    let authorities = options.tls.authorities.as_deref().map(http_client::certificates).transpose()?;
    let builder = || {
        let mut builder = http_client::builder().connect_timeout(options.timeouts.connect);
        if let Some(authorities) = &authorities {
            builder = builder.tls_certs_merge(authorities.iter().cloned());
        }
        match options.tls.verification {
            Verification::Full => builder,
            Verification::None => builder.tls_danger_accept_invalid_certs(true),
        }
    };
    let identity = identity(&options.tls)?;
    let direct = http_client::build(|| match &identity {
        Some(identity) => builder().identity(identity.clone()),
        None => builder(),
    })?;
    let resolver = Arc::new(GuardedResolver(guard));
    let guarded = http_client::build(|| builder().dns_resolver(resolver.clone()))?;
    Ok((direct, guarded))
}

fn identity(tls: &TlsOptions) -> Result<Option<Identity>, HttpClientError> {
    let Some(path) = &tls.client_certificate else { return Ok(None) };
    let mut pem = http_client::read(path)?;
    if let Some(key) = &tls.client_key {
        pem.push(b'\n');
        pem.extend(http_client::read(key)?);
    }
    let identity = Identity::from_pem(&pem);
    identity.map(Some).map_err(|source| HttpClientError::Identity { path: path.clone(), source })
}
