//! Keeps the names of tokens and users apart: the rules and the record know both by their names.

use std::error::Error;
use std::io;

use sampan_config::{AuthConfig, Config, Loaded};

use super::terminal::{printable, warn};
use crate::app::{self, AppError};
use crate::auth::htpasswd_file::{self, EditError};
use crate::auth::{Robot, StoredToken, TokenRecord};
use crate::drivers::Drivers;

/// Refuses a new token with the name of a user of the password file, and warns of one for a user that the file lacks.
///
/// # Errors
///
/// The name is that of a user.
pub(super) fn check(config: &Config, token: &TokenRecord) -> Result<(), Box<dyn Error>> {
    let AuthConfig::Htpasswd(htpasswd) = &config.auth else { return Ok(()) };
    let file = htpasswd.path.display();
    let users = match htpasswd_file::list(&htpasswd.path) {
        Ok(users) => users,
        Err(EditError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            warn(format!("warning: whether {file} has a user of this name is not known: {error}"));
            return Ok(());
        }
    };
    let has_user = |name: &str| users.iter().any(|user| user.name == name);
    if has_user(&token.name) {
        let name = printable(&token.name);
        return Err(
            format!("{name} is the name of a user in {file}: choose another name for the token").into()
        );
    }
    // With certificates, users need no entry.
    let has_certificates = config.access.as_ref().is_some_and(|access| access.certificates.is_some());
    if let Some(user) = &token.on_behalf_of
        && !has_certificates
        && !has_user(user)
    {
        let user = printable(user);
        warn(format!(
            "warning: {file} has no user {user}, and the token is refused until it has: `registry user add {user}`"
        ));
    }
    Ok(())
}

/// Refuses a new user with the name of a token of the store, if the configuration has one to look at. A store that cannot be
/// read is warned of.
///
/// # Errors
///
/// The name is that of a token.
pub(super) fn check_user(drivers: &Drivers, loaded: &Loaded, user: &str) -> Result<(), Box<dyn Error>> {
    let AuthConfig::Htpasswd(htpasswd) = &loaded.config.auth else { return Ok(()) };
    let is_known =
        htpasswd_file::list(&htpasswd.path).is_ok_and(|users| users.iter().any(|it| it.name == user));
    let has_store = loaded.config.access.is_some() && loaded.config.storage.driver.name() != "inmemory";
    if is_known || !has_store {
        return Ok(());
    }
    let runtime = super::runtime::start()?;
    match runtime.block_on(token_named(drivers, loaded, user)) {
        Ok(None) => Ok(()),
        Ok(Some(token)) => {
            let user = printable(user);
            Err(format!("{user} is the name of the token {}: choose another name for the user", token.id)
                .into())
        }
        Err(error) => {
            warn(format!("warning: whether a token has this name is not known: {error}"));
            Ok(())
        }
    }
}

/// The robot of a token with this name that has not ended; none if no other process sees the store.
///
/// # Errors
///
/// The store or the record of the token cannot be read.
pub(super) fn robot(drivers: &Drivers, loaded: &Loaded, name: &str) -> Result<Option<Robot>, Box<dyn Error>> {
    if loaded.config.storage.driver.name() == "inmemory" {
        return Ok(None);
    }
    let runtime = super::runtime::start()?;
    let Some(StoredToken { id, record, .. }) = runtime.block_on(token_named(drivers, loaded, name))? else {
        return Ok(None);
    };
    Ok(Some(Robot { id, rights: record.rights()?, name: record.name, on_behalf_of: record.on_behalf_of }))
}

/// A token with this name that has not ended.
async fn token_named(
    drivers: &Drivers,
    loaded: &Loaded,
    name: &str,
) -> Result<Option<StoredToken>, Box<dyn Error>> {
    let registry = match app::export_store(&loaded.config, drivers).await {
        Ok(registry) => registry,
        // Nothing was pushed yet.
        Err(AppError::NoStore(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for id in registry.access_tokens().await? {
        // A damaged one does not count.
        if let Ok(Some(token)) = StoredToken::find(&registry, id).await
            && token.record.name == name
            && !token.has_ended()
        {
            return Ok(Some(token));
        }
    }
    Ok(None)
}
