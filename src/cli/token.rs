//! `registry token`: the access tokens of robots, in the store of the registry.

use std::path::PathBuf;
use std::time::SystemTime;

use sampan_config::{Config, GoDuration, Loaded, RepositoryPattern};
use sampan_engine::{AccessTokenId, Registry};
use serde_json::{Value, json};

use super::args::ReportFormat;
use super::terminal::{printable, say, warn};
use super::token_args::{CommonOptions, CreateOptions, Lifetime, TokenCommand};
use super::{Outcome, check, misunderstood};
use crate::app;
use crate::auth::{AuditEvent, Rights, TokenRecord, TokenSecret, rfc3339};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, command: TokenCommand) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
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

async fn create(drivers: &Drivers, options: CreateOptions) -> Outcome {
    let CreateOptions { name, may, on, except, on_behalf_of, expires, note, common } = options;
    let is_plain = |text: &str| !text.is_empty() && text.len() <= 128 && !text.contains(char::is_control);
    if !is_plain(&name) || name.contains(':') || name == "token" {
        let message = "NAME must have 1 to 128 bytes, no `:` and no control characters, and not be `token`";
        return Err(misunderstood(message.to_owned()).into());
    }
    if !note.is_empty() && !is_plain(&note) {
        return Err(misunderstood("--note must be one line of 128 bytes at most".to_owned()).into());
    }
    Rights::new(may.clone(), on.clone(), except.clone()).map_err(|error| misunderstood(error.to_string()))?;
    let loaded = check::find(drivers, common.config)?;
    check_lifetime(&loaded.config, expires)?;
    let (config, registry) = open_loaded(drivers, loaded).await?;
    let now = SystemTime::now();
    let texts = |patterns: Vec<RepositoryPattern>| patterns.iter().map(ToString::to_string).collect();
    let secret = TokenSecret::random();
    let record = TokenRecord {
        name,
        note,
        may: may.iter().map(|permission| permission.as_str().to_owned()).collect(),
        on: texts(on),
        except: texts(except),
        on_behalf_of,
        created: rfc3339(Some(now)),
        created_by: std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default(),
        expires: rfc3339(expires.end(now)),
        sha256: secret.hash(),
    };
    registry.create_access_token(secret.id(), serde_json::to_vec(&record)?.into()).await?;
    record_event(&config, "token created", secret.id(), Some(&record));
    reveal(&secret, &record, common.format);
    Ok(())
}

/// Records what was done, as the running registry does.
fn record_event(config: &Config, name: &'static str, id: AccessTokenId, record: Option<&TokenRecord>) {
    let Some(file) = config.audit.as_ref().and_then(|audit| audit.file.as_deref()) else { return };
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
    let event = AuditEvent::new(name).with("by", by).with("token", Some(id.to_string()));
    let event = event.with("name", record.map(|record| &record.name));
    let event = event.with("may", record.map(|record| record.may.join(",")));
    let event = event.with("on", record.map(|record| record.on.join(" ")));
    if let Err(error) = event.append_to(file) {
        warn(format!(
            "the token is {}, but audit.file {} was not written: {error}",
            name.trim_start_matches("token "),
            file.display()
        ));
    }
}

async fn rotate(drivers: &Drivers, id: AccessTokenId, overlap: Lifetime, common: CommonOptions) -> Outcome {
    let Lifetime::For(overlap) = overlap else {
        return Err(misunderstood(
            "--overlap must have an end: the old token is removed after it".to_owned(),
        )
        .into());
    };
    let (config, registry) = open(drivers, common.config).await?;
    let Some((old, ends)) = find(&registry, id).await? else { return Err(unknown(id)) };
    if ends.is_some() {
        return Err(format!("the token {id} was rotated already: rotate the token that replaced it").into());
    }
    let now = SystemTime::now();
    let expires = match (old.expires()?, parse_time(&old.created)) {
        (Some(expires), Some(created)) => {
            // As long as the old one was to live.
            Some(now + expires.duration_since(created).unwrap_or_default())
        }
        (expires, _) => expires,
    };
    let secret = TokenSecret::random();
    let record = TokenRecord {
        created: rfc3339(Some(now)),
        expires: rfc3339(expires),
        sha256: secret.hash(),
        note: if old.note.is_empty() { format!("replaces {id}") } else { old.note.clone() },
        ..old
    };
    // A rotation that breaks off here leaves a token whose secret was never shown, and the old one as it was.
    registry.create_access_token(secret.id(), serde_json::to_vec(&record)?.into()).await?;
    registry.end_access_token(id, now + overlap).await?;
    record_event(&config, "token rotated", id, None);
    record_event(&config, "token created", secret.id(), Some(&record));
    warn(format!("the old token {id} ends at {}", rfc3339(Some(now + overlap))));
    reveal(&secret, &record, common.format);
    Ok(())
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
        record.name
    ));
    say(secret.reveal());
}

async fn list(drivers: &Drivers, common: CommonOptions) -> Outcome {
    let (_, registry) = open(drivers, common.config).await?;
    let mut tokens = Vec::new();
    for id in registry.access_tokens().await? {
        match find(&registry, id).await {
            Ok(Some(token)) => tokens.push((id, token)),
            // It was revoked meanwhile.
            Ok(None) => {}
            Err(error) => warn(format!("the token {id} does not count: {error}")),
        }
    }
    if common.format == ReportFormat::Json {
        let mut list = Vec::new();
        for (id, (record, ends)) in &tokens {
            list.push(described(&registry, *id, record, *ends).await?);
        }
        say(Value::Array(list).to_string());
        return Ok(());
    }
    for (id, (record, ends)) in tokens {
        let ends = effective_end(&record, ends)?;
        let state = if ends.is_some_and(|ends| ends <= SystemTime::now()) { "ended" } else { "ends" };
        let (may, on) = (record.may.join(","), record.on.join(" "));
        let fields = [id.to_string(), record.name, may, on, format!("{state} {}", rfc3339(ends))];
        say(fields.map(|field| printable(&field)).join("\t"));
    }
    Ok(())
}

async fn show(drivers: &Drivers, id: AccessTokenId, common: CommonOptions) -> Outcome {
    let (_, registry) = open(drivers, common.config).await?;
    let Some((record, ends)) = find(&registry, id).await? else { return Err(unknown(id)) };
    let described = described(&registry, id, &record, ends).await?;
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

async fn revoke(drivers: &Drivers, id: AccessTokenId, common: CommonOptions) -> Outcome {
    let (config, registry) = open(drivers, common.config).await?;
    match registry.remove_access_token(id).await? {
        true => {
            record_event(&config, "token revoked", id, None);
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

/// What is shown of a token: all but the hash of its secret.
async fn described(
    registry: &Registry,
    id: AccessTokenId,
    record: &TokenRecord,
    ends: Option<SystemTime>,
) -> Result<Value, Box<dyn std::error::Error>> {
    let used = registry.access_token_use(id).await?;
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
        "ends": rfc3339(effective_end(record, ends)?),
        "lastUse": used.map(|used| rfc3339(Some(used))),
    }))
}

fn effective_end(
    record: &TokenRecord,
    ends: Option<SystemTime>,
) -> Result<Option<SystemTime>, Box<dyn std::error::Error>> {
    Ok([record.expires()?, ends].into_iter().flatten().min())
}

type Token = (TokenRecord, Option<SystemTime>);

async fn find(registry: &Registry, id: AccessTokenId) -> Result<Option<Token>, Box<dyn std::error::Error>> {
    let Some(files) = registry.access_token(id).await? else { return Ok(None) };
    let record = TokenRecord::parse(&files.record)?;
    record.expires()?;
    Ok(Some((record, files.ends)))
}

fn unknown(id: AccessTokenId) -> Box<dyn std::error::Error> {
    format!("there is no token {id}: `registry token list` shows those that there are").into()
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let format = time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, &format).ok().map(SystemTime::from)
}

fn check_lifetime(config: &Config, expires: Lifetime) -> Outcome {
    let Some(access) = &config.access else {
        return Err(
            "the configuration has no section `access`, so no registry takes tokens: see docs/access.md"
                .into(),
        );
    };
    let longest = access.tokens.longest;
    let is_too_long = match expires {
        _ if longest.is_zero() => false,
        Lifetime::Never => true,
        Lifetime::For(duration) => duration > longest,
    };
    match is_too_long {
        true => {
            let longest = GoDuration(longest);
            let message =
                format!("--expires {expires} is longer than access.tokens.longest, which is {longest}");
            Err(misunderstood(message).into())
        }
        false => Ok(()),
    }
}

async fn open(
    drivers: &Drivers,
    config: Option<PathBuf>,
) -> Result<(Config, Registry), Box<dyn std::error::Error>> {
    open_loaded(drivers, check::find(drivers, config)?).await
}

async fn open_loaded(
    drivers: &Drivers,
    loaded: Loaded,
) -> Result<(Config, Registry), Box<dyn std::error::Error>> {
    if loaded.config.storage.driver.name() == "inmemory" {
        return Err(
            "the in-memory store belongs to the running registry alone, so it has no access tokens".into()
        );
    }
    let registry = app::import_store(&loaded.config, drivers).await;
    let registry = registry.map_err(|error| check::beside(&loaded.source, error.into()))?;
    Ok((loaded.config, registry))
}
