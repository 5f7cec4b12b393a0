//! Checks `auth`: required keys, and URLs.

use std::time::Duration;

use super::diagnostics::{Diagnostics, is_http_url};
use crate::{AuthConfig, KeySetPlace, TokenConfig};
use sampan_shown_url::ShownUrl;

impl Diagnostics<'_> {
    pub(super) fn auth(&mut self, auth: &AuthConfig) {
        if let AuthConfig::Token(token) = auth {
            self.token(token);
        }
    }

    fn token(&mut self, token: &TokenConfig) {
        if !is_http_url(&token.realm) && !token.autoredirect {
            let found = ShownUrl::new(&token.realm);
            let message = format!(
                "expected the URL of the token server, such as `https://auth.example.com/token`, found `{found}`"
            );
            self.mistake("auth.token.realm", message);
        }
        if token.autoredirect && !token.autoredirectpath.starts_with('/') {
            let message =
                format!("expected a path such as `/auth/token`, found `{}`", token.autoredirectpath);
            self.mistake("auth.token.autoredirectpath", message);
        }
        if token.rootcertbundle.is_none() && token.jwks.is_none() {
            let message = "has no key to check tokens with: give `rootcertbundle` or `jwks`";
            self.mistake("auth.token", message.to_owned());
        }
        let is_remote = matches!(token.jwks, Some(KeySetPlace::Url(_)));
        if is_remote && token.jwksrefresh < Duration::from_secs(10) {
            self.mistake("auth.token.jwksrefresh", "must be `10s` at least".to_owned());
        }
        if token.jwksca.is_some() && !is_remote {
            self.warning("auth.token.jwksca", "has no effect, since `jwks` is not a URL");
        }
        let is_symmetric = token.signingalgorithms.iter().any(|algorithm| algorithm.is_symmetric());
        if is_symmetric && !matches!(token.jwks, Some(KeySetPlace::File(_))) {
            self.warning(
                "auth.token.signingalgorithms",
                "has an HMAC algorithm (HS256, HS384, HS512), whose secret must be in a `jwks` file, and `jwks` names no \
                 file",
            );
        }
    }
}
