//! `registry token`: the access tokens of robots, in the store of the registry.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sampan_config::{Config, Loaded};
use sampan_driver::ErrorKind;
use sampan_engine::{AccessTokenId, Registry};
use sampan_ui::shell_word;
use serde_json::{Value, json};

use super::args::ReportFormat;
use super::record::{record, system_user};
use super::terminal::{output_failure, printable, say, warn};
use super::token_args::{CommonOptions, CreateOptions, TokenCommand};
use super::{CommandResult, check, misunderstood, store, token_names};
use crate::auth::{
    CannotRotate, Lifetime, NewToken, StoredToken, TokenRecord, TokenSecret, remove_ended_tokens, rfc3339,
    token_event,
};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, command: TokenCommand) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        match command {
            TokenCommand::Create(options) => create(drivers, options).await,
            TokenCommand::List(common) => list(drivers, common).await,
            TokenCommand::Show { id, common } => show(drivers, id, common).await,
            TokenCommand::Rotate { id, overlap, common } => rotate(drivers, id, overlap, common).await,
            TokenCommand::Revoke { id, common } => revoke(drivers, id, common).await,
        }
    })
}

async fn create(drivers: &Drivers, options: CreateOptions) -> CommandResult {
    let CreateOptions { name, may, on, except, on_behalf_of, expires, note, common } = options;
    let created_by = system_user();
    let token = NewToken { name, note, may, on, except, on_behalf_of, created_by, lifetime: expires };
    let loaded = check::find(drivers, common.config)?;
    let longest = longest(&loaded)?;
    let token = token.check(longest).map_err(|error| misunderstood(error.to_string()))?;
    token_names::check(&loaded.config, token.record())?;
    // The first token may come before the first image.
    store::refuse_in_memory(&loaded, "it has no access tokens")?;
    let registry = store::open_to_write(drivers, &loaded).await?;
    let (secret, created) = token.create(&registry).await?;
    hand_out(&registry, &secret, &created, common.format).await?;
    record(&loaded.config, "the token is created", token_event("token created", secret.id(), Some(&created)));
    remove_ended_tokens(&registry, created.on_behalf_of.as_deref()).await;
    Ok(())
}

/// The longest lifetime of a token.
fn longest(loaded: &Loaded) -> Result<Duration, &'static str> {
    match &loaded.config.access {
        Some(access) => Ok(access.tokens.longest),
        None => {
            Err("the configuration has no section `access`, so no registry takes tokens: see docs/access.md")
        }
    }
}

async fn rotate(
    drivers: &Drivers,
    id: AccessTokenId,
    overlap: Lifetime,
    common: CommonOptions,
) -> CommandResult {
    let Lifetime::For(overlap) = overlap else {
        return Err(misunderstood(
            "--overlap must have an end: the old token ends after it, or before by itself".to_owned(),
        )
        .into());
    };
    let loaded = check::find(drivers, common.config)?;
    let longest = longest(&loaded)?;
    let registry = open_to_change(drivers, &loaded).await?;
    let Some(old) = find(&registry, id).await? else { return Err(unknown(id)) };
    let now = SystemTime::now();
    let (secret, new) = old.successor(now, longest)?;
    // A rotation that breaks off leaves the old token as it was.
    registry.create_access_token(secret.id(), serde_json::to_vec(&new)?.into()).await?;
    hand_out(&registry, &secret, &new, common.format).await?;
    record(&loaded.config, "the token is created", token_event("token created", secret.id(), Some(&new)));
    if let Err(error) = registry.end_access_token(id, now + overlap).await {
        return Err(take_back(&registry, &loaded.config, secret.id(), id, error).await.into());
    }
    let ends = old.ends.map_or(now + overlap, |ends| ends.min(now + overlap));
    record(&loaded.config, "the token is rotated", token_event("token rotated", id, None));
    warn(format!("the old token {id} ends at {}", rfc3339(Some(ends))));
    remove_ended_tokens(&registry, new.on_behalf_of.as_deref()).await;
    Ok(())
}

/// Revokes the new token of a rotation that could not end the old one, and returns the message.
async fn take_back(
    registry: &Registry,
    config: &Config,
    new: AccessTokenId,
    old: AccessTokenId,
    error: sampan_engine::Error,
) -> String {
    let cause = match &error {
        // Another rotation was faster.
        sampan_engine::Error::Driver(error) if error.kind() == ErrorKind::AlreadyExists => {
            CannotRotate::Rotated(old).to_string()
        }
        _ => format!(
            "the old token {old} could not be ended: {error}; `registry token show {old}` says whether it ends"
        ),
    };
    match registry.remove_access_token(new).await {
        Ok(_) => {
            record(config, "the token is revoked", token_event("token revoked", new, None));
            format!("{cause}; the new token {new} is revoked again")
        }
        Err(error) => {
            format!("{cause}; revoke the new token too, with `registry token revoke {new}`: {error}")
        }
    }
}

/// Prints the secret, and revokes a token whose secret cannot be printed: it is of no use.
async fn hand_out(
    registry: &Registry,
    secret: &TokenSecret,
    record: &TokenRecord,
    format: ReportFormat,
) -> CommandResult {
    reveal(secret, record, format);
    let Some(failure) = output_failure() else { return Ok(()) };
    let id = secret.id();
    Err(match registry.remove_access_token(id).await {
        Ok(_) => format!("the secret cannot be printed ({failure}), so the new token {id} is revoked again"),
        Err(error) => format!("the secret cannot be printed ({failure}): revoke the new token {id}; {error}"),
    }
    .into())
}

/// Prints the secret alone on standard output, and what to do with it beside it.
fn reveal(secret: &TokenSecret, record: &TokenRecord, format: ReportFormat) {
    if format == ReportFormat::Json {
        let token = json!({ "id": secret.id().to_string(), "name": record.name, "secret": secret.reveal(), "expires": record.expires });
        say(token.to_string());
        return;
    }
    warn(format!(
        "created the token {} of {}, which ends at {}; its secret is shown once; log in with\n  docker login -u {} REGISTRY",
        secret.id(),
        record.name,
        record.expires,
        shell_word(&record.name)
    ));
    say(secret.reveal());
}

async fn list(drivers: &Drivers, common: CommonOptions) -> CommandResult {
    let registry = open_to_read(drivers, common.config).await?;
    let mut tokens = Vec::new();
    for id in registry.access_tokens().await? {
        match find(&registry, id).await {
            Ok(Some(token)) => tokens.push(token),
            // It was revoked meanwhile.
            Ok(None) => {}
            Err(error) => warn(error),
        }
    }
    if common.format == ReportFormat::Json {
        let mut list = Vec::new();
        for token in &tokens {
            list.push(described(&registry, token).await?);
        }
        say(Value::Array(list).to_string());
        return Ok(());
    }
    for token in tokens {
        let state = if token.has_ended() { "ended" } else { "ends" };
        let StoredToken { id, record, ends, .. } = token;
        let (may, on) = (record.may.join(","), record.on.join(" "));
        let fields = [id.to_string(), record.name, may, on, format!("{state} {}", rfc3339(ends))];
        say(fields.map(|field| printable(&field)).join("\t"));
    }
    Ok(())
}

/// Reads a token; the error names it and the remedy.
async fn find(registry: &Registry, id: AccessTokenId) -> Result<Option<StoredToken>, String> {
    let found = StoredToken::find(registry, id).await;
    found.map_err(|error| {
        format!("the token {id} does not count: {error}; `registry token revoke {id}` removes it")
    })
}

async fn show(drivers: &Drivers, id: AccessTokenId, common: CommonOptions) -> CommandResult {
    let registry = open_to_read(drivers, common.config).await?;
    let Some(token) = find(&registry, id).await? else { return Err(unknown(id)) };
    let described = described(&registry, &token).await?;
    if common.format == ReportFormat::Json {
        say(described.to_string());
        return Ok(());
    }
    for (key, value) in described.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        say(printable(&format!("{key}: {text}")));
    }
    Ok(())
}

async fn revoke(drivers: &Drivers, id: AccessTokenId, common: CommonOptions) -> CommandResult {
    let loaded = check::find(drivers, common.config)?;
    let registry = open_to_change(drivers, &loaded).await?;
    match registry.remove_access_token(id).await? {
        true => {
            record(&loaded.config, "the token is revoked", token_event("token revoked", id, None));
            let message = format!(
                "revoked the token {id}; every registry over the store refuses it within ten seconds"
            );
            match common.format {
                ReportFormat::Text => say(message),
                ReportFormat::Json => say(json!({ "revoked": id.to_string() }).to_string()),
            }
            Ok(())
        }
        false => Err(unknown(id)),
    }
}

/// A token as it is shown: all but the hash of its secret.
async fn described(registry: &Registry, token: &StoredToken) -> Result<Value, Box<dyn std::error::Error>> {
    let StoredToken { id, record, ends, .. } = token;
    let used = registry.access_token_use(*id).await?;
    Ok(json!({
        "id": id.to_string(),
        "name": record.name,
        "note": record.note,
        "may": record.may,
        "on": record.on,
        "except": record.except,
        "for": record.on_behalf_of,
        "created": record.created,
        "createdBy": record.created_by,
        "ends": rfc3339(*ends),
        "lastUse": used.map(|used| rfc3339(Some(used))),
    }))
}

fn unknown(id: AccessTokenId) -> Box<dyn std::error::Error> {
    format!("there is no token {id}: `registry token list` shows those that there are").into()
}

async fn open_to_read(
    drivers: &Drivers,
    config: Option<PathBuf>,
) -> Result<Registry, Box<dyn std::error::Error>> {
    let loaded = check::find(drivers, config)?;
    store::refuse_in_memory(&loaded, "it has no access tokens")?;
    store::open_to_read(drivers, &loaded).await
}

async fn open_to_change(drivers: &Drivers, loaded: &Loaded) -> Result<Registry, Box<dyn std::error::Error>> {
    store::refuse_in_memory(loaded, "it has no access tokens")?;
    store::open_to_change(drivers, loaded).await
}
