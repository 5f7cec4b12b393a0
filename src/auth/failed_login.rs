//! The warning of a failed login.

use std::net::IpAddr;

use sampan_engine::AccessTokenId;

use super::controller::client_text;
use super::logged_text::LoggedText;
use super::token_secret::TokenSecret;

/// Logs a failed login with a password, or with the secret of `token`. A secret that was sent as the user name is not shown.
pub(super) fn warn_of_failed_login(client: Option<IpAddr>, user: &[u8], token: Option<AccessTokenId>) {
    let (shown, client) = (LoggedText::new(&String::from_utf8_lossy(user)), client_text(client));
    let means = match (token, TokenSecret::parse(user)) {
        (_, Some(_)) => {
            ": the secret of an access token was sent as the user name; it is the password, and the user is the name of the token, \
             or `token`"
        }
        (Some(_), None) => " with an access token",
        (None, None) => "",
    };
    let token = token.map(|id| id.to_string());
    tracing::warn!(user = %shown.as_str(), client, token, "failed login{means}");
}
