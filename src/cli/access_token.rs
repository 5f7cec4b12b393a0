//! `registry access explain --token`: whom a token is for, what it grants, and whether the registry takes it.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sampan_config::{AuthConfig, Loaded};
use serde_json::Value;

use super::args::ReportFormat;
use super::check::{find, print_warnings};
use super::store;
use super::terminal::{printable, say, warn};
use crate::app;
use crate::auth::{ExaminedToken, is_of_access_token};
use crate::drivers::Drivers;

/// The longest file, in bytes: twice the longest token, in an answer of the token endpoint.
const MAX_BYTES: u64 = 512 << 10;

pub(super) fn explain_token(
    drivers: &Drivers,
    file: &Path,
    config: Option<PathBuf>,
    format: ReportFormat,
) -> Result<ExitCode, Box<dyn Error>> {
    let token = token_in(&read(file)?);
    let loaded = find(drivers, config)?;
    print_warnings(&loaded.warnings);
    let runtime = super::runtime::start()?;
    let examined = runtime.block_on(examine(drivers, &loaded, &token))?;
    match format {
        ReportFormat::Text => say(printable(&examined.to_string())),
        ReportFormat::Json => say(serde_json::to_string_pretty(&examined)?),
    }
    Ok(if examined.refusal.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(drivers: &Drivers, loaded: &Loaded, token: &str) -> Result<ExaminedToken, Box<dyn Error>> {
    let config = &loaded.config;
    // Only access tokens are in the store.
    let registry = match is_of_access_token(token) {
        true => {
            store::refuse_in_memory(loaded, "its access tokens are not known here")?;
            store::open_to_read(drivers, loaded).await?
        }
        false => app::no_store(config),
    };
    let Some(guard) = app::guard_for_command(config, registry).await? else {
        return Err(format!(
            "{} has no section `access`, so the registry issues and takes no such tokens",
            loaded.source
        )
        .into());
    };
    if !app::signing_key(config).is_some_and(|path| path.exists()) {
        warn("warning: access.tokens.signingkey has no file here, so no bearer token can be verified");
    }
    if let AuthConfig::Htpasswd(htpasswd) = &config.auth
        && !htpasswd.path.exists()
    {
        warn(format!(
            "warning: auth.htpasswd.path {} does not exist, so no user is known",
            htpasswd.path.display()
        ));
    }
    Ok(guard.examine(token).await)
}

/// Reads a file, or standard input for `-`.
fn read(file: &Path) -> Result<String, Box<dyn Error>> {
    let shown = file.display();
    let failed = |error| format!("cannot read the token in {shown}: {error}");
    let mut text = String::new();
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    source.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{shown} is longer than {} KiB, so it is no token", MAX_BYTES >> 10).into());
    }
    if text.trim().is_empty() {
        return Err(format!("there is no token in {shown}").into());
    }
    Ok(text)
}

/// The token in a text: alone, as a header has it, or as the token endpoint answers.
fn token_in(text: &str) -> String {
    let text = text.trim();
    let answer = serde_json::from_str::<Value>(text).ok();
    let answered = answer.as_ref().and_then(|answer| answer.get("token")?.as_str());
    let alone = text
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "))
        .map_or(text, |_| text[7..].trim());
    answered.unwrap_or(alone).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_alone_in_a_header_and_in_an_answer() {
        for text in ["a.b.c\n", "Bearer a.b.c", "bearer  a.b.c ", r#"{"token":"a.b.c","access_token":"x"}"#] {
            assert_eq!(token_in(text), "a.b.c", "{text}");
        }
        assert_eq!(token_in("ä"), "ä");
    }
}
