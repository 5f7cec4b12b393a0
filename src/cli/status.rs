//! `registry health` and `registry status`: query a running registry, also where no other client is
//! installed.

use std::time::Duration;

use sampan_config::{Config, ListenAddress, TlsConfig};
use serde_json::{Value, json};
use url::Url;

use super::args::ReportFormat;
use super::check;
use super::running_args::{HealthOptions, StatusOptions, TrustOptions};
use super::terminal::{count, say};
use super::{CommandResult, misunderstood};
use crate::drivers::Drivers;
use crate::http_client;

/// The timeout of a response: shorter than docker's for a health check.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn health(drivers: &Drivers, options: HealthOptions) -> CommandResult {
    let asked = match &options.url {
        Some(url) => StatusTarget::at(url.clone(), "/readyz", options.trust)?,
        None if options.trust.is_given() => return Err(needs_url().into()),
        None => StatusTarget::of_clients(&check::find(drivers, options.config.path())?.config)?,
    };
    let (status, text) = asked.get("readyz", Method::Get)?;
    match status {
        200 => {
            say(text.trim_end());
            Ok(())
        }
        _ => Err(format!("{}: {} ({status})", asked.shown(), text.trim_end()).into()),
    }
}

pub(super) fn status(drivers: &Drivers, options: StatusOptions) -> CommandResult {
    let asked = match &options.url {
        Some(url) => StatusTarget::at(url.clone(), "", options.trust)?,
        None if options.trust.is_given() => return Err(needs_url().into()),
        None => StatusTarget::of_operators(&check::find(drivers, options.config.path())?.config)?,
    };
    if options.collect_garbage {
        let (status, text) = asked.get("debug/gc", Method::Post)?;
        if status != 202 {
            let reason = serde_json::from_str::<Value>(&text).ok();
            let reason =
                reason.as_ref().and_then(|reason| reason["error"].as_str()).unwrap_or(text.trim_end());
            return Err(format!("garbage collection did not start: {reason}{}", elsewhere(status)).into());
        }
    }
    let (_, ready) = asked.get("readyz", Method::Get)?;
    let (_, health) = asked.get("debug/health", Method::Get)?;
    let (status, collection) = asked.get("debug/gc", Method::Get)?;
    if status != 200 {
        let (shown, reason) = (asked.shown(), collection.trim_end());
        return Err(format!("{shown}: {reason} ({status}){}", elsewhere(status)).into());
    }
    let (health, collection): (Value, Value) =
        (serde_json::from_str(&health)?, serde_json::from_str(&collection)?);
    match options.format {
        ReportFormat::Json => {
            let state = json!({ "ready": ready.trim_end(), "health": health, "collection": collection });
            say(serde_json::to_string_pretty(&state)?);
        }
        ReportFormat::Text => {
            say(format!("ready:      {}", ready.trim_end()));
            say(format!("health:     {}", health_line(&health)));
            say(format!("collection: {}", collection_line(&collection)));
            let runs = collection["last"].as_array().into_iter().flatten();
            if let Some(last) = runs.into_iter().find(|run| run["trigger"] != "dry_run") {
                say(format!("the last:   {}", run_line(last)));
            }
        }
    }
    Ok(())
}

/// The remedy where the debug listener's pages are not found: clients have another listener.
fn elsewhere(status: u16) -> &'static str {
    if status == 404 { ": this is not the debug listener; pass the address of http.debug.addr" } else { "" }
}

/// The registry on this machine may have any certificate: it has none for the address at which it is asked.
fn needs_url() -> clap::Error {
    misunderstood("--cacert and --insecure need --url".to_owned())
}

fn health_line(health: &Value) -> String {
    let failing: Vec<String> = health
        .as_object()
        .into_iter()
        .flatten()
        .map(|(check, reason)| format!("{check}: {}", reason.as_str().unwrap_or_default()))
        .collect();
    if failing.is_empty() { "no configured check fails".to_owned() } else { failing.join("; ") }
}

fn collection_line(state: &Value) -> String {
    let is = |key: &str| state[key].as_bool() == Some(true);
    if let Some(begun) = state["running"]["begun"].as_str() {
        return format!("running since {begun}");
    }
    match (is("read_only"), is("requested"), is("scheduled")) {
        (true, ..) => "none, because the registry is read-only".to_owned(),
        (_, true, _) => "about to start".to_owned(),
        (.., true) => "scheduled (gc)".to_owned(),
        (.., false) => "not scheduled (gc.enabled); `--collect-garbage` starts one".to_owned(),
    }
}

fn run_line(run: &Value) -> String {
    let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let begun = text("begun");
    match text("outcome").as_str() {
        "finished" => {
            let report = &run["report"];
            format!(
                "started {begun}, {} deleted, {} within the grace period, in {:.1} s",
                count(number(&report["blobs"]["count"]), "blob"),
                count(number(&report["young"]["count"]), "blob"),
                run["duration_secs"].as_f64().unwrap_or_default()
            )
        }
        "failed" => format!("started {begun}, failed: {}", text("error")),
        outcome => format!("started {begun}, {outcome}: {}", text("reason")),
    }
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Get,
    Post,
}

/// A registry to query.
struct StatusTarget {
    base: Url,
    socket: Option<std::path::PathBuf>,
    is_own: bool,
    trust: TrustOptions,
}

impl StatusTarget {
    /// The registry at `url`, which may end with `page`.
    fn at(mut url: Url, page: &str, trust: TrustOptions) -> Result<Self, Box<dyn std::error::Error>> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "{url} is not the URL of a registry: expected one such as http://localhost:5000"
            )
            .into());
        }
        if let Some(above) = url.path().strip_suffix(page).map(str::to_owned).filter(|_| !page.is_empty()) {
            url.set_path(&above);
        }
        Ok(Self { base: url, socket: None, is_own: false, trust })
    }

    /// The clients' listener; if it requires client certificates, the debug listener.
    fn of_clients(config: &Config) -> Result<Self, Box<dyn std::error::Error>> {
        let http = &config.http;
        let asks_for_certificates = http.tls.as_ref().is_some_and(|tls| !tls.clientcas.is_empty());
        if asks_for_certificates && http.debug.as_ref().is_some_and(|debug| debug.addr.is_some()) {
            return Self::of_operators(config);
        }
        if http.tls.as_ref().is_some_and(TlsConfig::requires_certificates) {
            return Err(
                "the registry requires client certificates, so only its debug listener can be asked: set \
                        http.debug.addr, such as 127.0.0.1:5001"
                    .into(),
            );
        }
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        let asked = Self::own(scheme, &http.addr, "http.addr")?;
        Ok(Self {
            base: asked.base.join(&format!("{}/", http.prefix.as_str().trim_end_matches('/')))?,
            ..asked
        })
    }

    /// The debug listener.
    fn of_operators(config: &Config) -> Result<Self, Box<dyn std::error::Error>> {
        let debug = config.http.debug.as_ref().and_then(|debug| debug.addr.as_ref());
        let address = debug.ok_or(
            "http.debug.addr is not set, but only the debug listener reports the state: set it, such as 127.0.0.1:5001, or pass `--url`",
        )?;
        Self::own("http", address, "http.debug.addr")
    }

    fn own(scheme: &str, address: &ListenAddress, key: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let (host, port, socket) = match address {
            ListenAddress::Unix(path) => ("localhost".to_owned(), None, Some(path.clone())),
            ListenAddress::Tcp { port: 0, .. } => {
                return Err(format!("{key} leaves the port to the system: pass `--url`").into());
            }
            ListenAddress::Tcp { host, port } => (own_host(host.as_deref()), Some(*port), None),
        };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        Ok(Self {
            base: Url::parse(&format!("{scheme}://{host}{port}/"))?,
            socket,
            is_own: true,
            trust: TrustOptions::default(),
        })
    }

    fn get(&self, page: &str, method: Method) -> Result<(u16, String), Box<dyn std::error::Error>> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{page}", url.path().trim_end_matches('/')));
        let client = match self.is_own {
            true => http_client::local_client(TIMEOUT, self.socket.as_deref())?,
            false if self.trust.insecure => http_client::insecure_client(TIMEOUT)?,
            false => http_client::client(TIMEOUT, self.trust.cacert.as_deref())?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            let request = match method {
                Method::Get => client.get(url),
                Method::Post => client.post(url),
            };
            let response = request.send().await?;
            let status = response.status().as_u16();
            let text = response.text().await?;
            // Remove control characters, because a terminal will show the text.
            let text = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
            Ok::<_, reqwest::Error>((status, text))
        });
        answer.map_err(|error| {
            let remedy = match http_client::is_unknown_issuer(&error) {
                true => "; or name its authority with `--cacert`",
                false => "",
            };
            format!("{} does not respond: {}{remedy}", self.shown(), http_client::explain(error)).into()
        })
    }

    fn shown(&self) -> String {
        match &self.socket {
            Some(path) => path.display().to_string(),
            None => sampan_shown_url::ShownUrl::from(&self.base).to_string(),
        }
    }
}

/// The host under which this machine reaches its listen address.
fn own_host(host: Option<&str>) -> String {
    match host.map(|host| (host, host.parse::<std::net::IpAddr>())) {
        None => "127.0.0.1".to_owned(),
        Some((_, Ok(address))) if address.is_unspecified() => "127.0.0.1".to_owned(),
        Some((host, Ok(std::net::IpAddr::V6(_)))) => format!("[{host}]"),
        Some((host, _)) => host.to_owned(),
    }
}
