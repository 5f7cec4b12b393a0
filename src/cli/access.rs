//! `registry access`: checks, explains and imports the rules for who may do what.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sampan_config::{AccessRules, AuthConfig, Config, Diagnostic, Loaded, LoadedPolicy, load_policy_file};
use sampan_engine::oci::RepositoryName;
use serde::Serialize;

use super::access_args::{AccessCommand, RulesOptions};
use super::access_token::explain_token;
use super::args::ReportFormat;
use super::check::{find, print_warnings};
use super::terminal::{count, printable, say, warn};
use super::{misunderstood, token_names};
use crate::app;
use crate::auth::policy::zot::{self, Import};
use crate::auth::policy::{Policy, check};
use crate::auth::{Access, Action, Identity, Resource, htpasswd_file, rotate_signing_key};
use crate::drivers::Drivers;

/// The exit code of a success but for what is listed.
const EXCEPT_LISTED: u8 = 3;

pub(super) fn run(drivers: &Drivers, command: AccessCommand) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        AccessCommand::Check(options) => check_rules(&Rules::load(drivers, &options)?, options.format),
        AccessCommand::Explain { token: Some(token), options, .. } => {
            explain_token(drivers, &token, options.config.path(), options.format)
        }
        AccessCommand::Explain {
            who: Some(who),
            repository: Some(repository),
            action: Some(action),
            options,
            ..
        } => {
            let rules = Rules::load(drivers, &options)?;
            print_warnings(&rules.warnings);
            explain(drivers, rules, &who, repository, action, options.format)
        }
        AccessCommand::Explain { .. } => {
            Err(misunderstood("WHO REPOSITORY ACTION, or --token FILE".to_owned()).into())
        }
        AccessCommand::Import { zot } => import(&zot),
        AccessCommand::RotateKey { config } => rotate_key(&find(drivers, config.path())?.config),
    }
}

/// Puts a new key before those that sign tokens.
fn rotate_key(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    if config.access.is_none() {
        return Err("the configuration has no section `access`, so no key signs tokens".into());
    }
    let Some(path) = app::signing_key(config) else {
        return Err(
            "access.tokens.signingkey is not set, and the key in memory is new with each start".into()
        );
    };
    rotate_signing_key(&path)?;
    say(format!(
        "put a new key first in {0}; send SIGHUP to each registry that uses it, and remove the old ones from the file when their \
         tokens have expired",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The rules to examine.
struct Rules {
    rules: AccessRules,
    /// The oddities of the policy file.
    warnings: Vec<Diagnostic>,
    /// All users, if the password file alone has them.
    users: Option<HashSet<String>>,
    /// The configuration, unless a policy file alone was named.
    loaded: Option<Loaded>,
}

impl Rules {
    fn load(drivers: &Drivers, options: &RulesOptions) -> Result<Self, Box<dyn Error>> {
        if let Some(file) = &options.file {
            let LoadedPolicy { rules, warnings, .. } = load_policy_file(file)?;
            return Ok(Self { rules, warnings, users: None, loaded: None });
        }
        let loaded = find(drivers, options.config.path())?;
        print_warnings(&loaded.warnings);
        let Some(access) = &loaded.config.access else {
            let problem = "has no section `access`, so every user that logs in may do everything";
            return Err(format!("{} {problem}", loaded.source).into());
        };
        let users = users(&loaded.config);
        let (rules, warnings) = match &access.file {
            None => (access.rules_here(), Vec::new()),
            Some(file) => {
                let LoadedPolicy { rules, warnings, .. } = load_policy_file(file)?;
                (rules, warnings)
            }
        };
        Ok(Self { rules, warnings, users, loaded: Some(loaded) })
    }

    /// Whether the password file has all users, and not this one.
    fn lacks(&self, user: &str) -> bool {
        self.users.as_ref().is_some_and(|users| !users.contains(user))
    }

    /// The client whose name the password file lacks: the robot of an access token, or a user without an entry.
    fn stranger(&self, drivers: &Drivers, who: &str) -> Identity {
        let name = who.strip_prefix("user:").unwrap_or(who);
        let loaded = self.loaded.as_ref().filter(|_| name == who);
        let robot = loaded.map(|loaded| token_names::robot(drivers, loaded, name));
        let robot = robot.unwrap_or(Ok(None)).unwrap_or_else(|error| {
            warn(format!("warning: whether a token has this name is not known: {error}"));
            None
        });
        let (user, identity) = match robot {
            None => (Some(name.to_owned()), Identity::User(name.to_owned())),
            Some(robot) => (robot.on_behalf_of.clone(), Identity::Robot(Arc::new(robot))),
        };
        if let Some(user) = user
            && self.lacks(&user)
        {
            warn(printable(&format!("warning: `{user}` is not in the password file and cannot log in")));
        }
        identity
    }
}

/// The users of the password file; `None` if there is no such file, or if certificates name others.
fn users(config: &Config) -> Option<HashSet<String>> {
    let AuthConfig::Htpasswd(htpasswd) = &config.auth else { return None };
    if config.access.as_ref().is_some_and(|access| access.certificates.is_some()) {
        return None;
    }
    match htpasswd_file::list(&htpasswd.path) {
        Ok(users) => Some(users.into_iter().map(|user| user.name).collect()),
        Err(error) => {
            warn(format!("warning: {error}, so names are not compared with it"));
            None
        }
    }
}

/// What `check` says.
#[derive(Serialize)]
struct Report {
    rules: usize,
    groups: usize,
    remarks: Vec<RuleWarning>,
}

#[derive(Serialize)]
struct RuleWarning {
    place: String,
    message: String,
}

fn check_rules(rules: &Rules, format: ReportFormat) -> Result<ExitCode, Box<dyn Error>> {
    // Rules that are too large together are a mistake of them all.
    Policy::new(rules.rules.clone())?;
    let found = check(&rules.rules, rules.users.as_ref());
    let remarks = rules.warnings.iter().chain(&found).map(|remark| {
        let path = if remark.path.is_empty() { String::new() } else { format!("{}: ", remark.path) };
        RuleWarning { place: remark.origin.to_string(), message: format!("{path}{}", remark.message) }
    });
    let report = Report {
        rules: rules.rules.rules.len(),
        groups: rules.rules.groups.iter().count(),
        remarks: remarks.collect(),
    };
    match format {
        ReportFormat::Json => say(serde_json::to_string_pretty(&report)?),
        ReportFormat::Text => {
            for remark in &report.remarks {
                say(printable(&format!("{}: {}", remark.place, remark.message)));
            }
            let number = |number: usize, one| count(number as u64, one);
            let (rules, groups) = (number(report.rules, "rule"), number(report.groups, "group"));
            say(format!("{rules}, {groups}, no mistake, {}", number(report.remarks.len(), "remark")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(
    drivers: &Drivers,
    rules: Rules,
    who: &str,
    repository: RepositoryName,
    action: Action,
    format: ReportFormat,
) -> Result<ExitCode, Box<dyn Error>> {
    let name = who.strip_prefix("user:").unwrap_or(who);
    let identity = match who {
        "anonymous" | "everyone" => Identity::Anonymous,
        "users" => {
            let problem = "`users` is every user: name a user, such as `user:alice`".to_owned();
            return Err(misunderstood(problem).into());
        }
        _ if who.starts_with("group:") => {
            let problem = format!("`{who}` is a group: name one of its users");
            return Err(misunderstood(printable(&problem)).into());
        }
        _ if rules.lacks(name) => rules.stranger(drivers, who),
        _ => Identity::User(name.to_owned()),
    };
    let access = Access { resource: Resource::Repository(repository), action };
    let explanation = Policy::new(rules.rules)?.explain(&identity, &access);
    match format {
        ReportFormat::Text => say(printable(&explanation.to_string())),
        ReportFormat::Json => say(serde_json::to_string_pretty(&explanation)?),
    }
    Ok(if explanation.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn import(zot: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let shown = zot.display();
    let text = fs::read_to_string(zot).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let Import { rules, left_out, wider } =
        zot::import(&text).map_err(|error| FileError { file: shown.to_string(), error })?;
    // Rules that cannot be used must not be printed.
    Policy::new(rules.clone())?;
    say(printable(&format!("# From the configuration of zot in {shown}.").replace('\n', " ")));
    for (title, notes) in
        [("Left out, so that the rules give less than there", &left_out), ("Wider than there", &wider)]
    {
        if notes.is_empty() {
            continue;
        }
        say(format!("# {title}:"));
        for note in notes {
            let line = printable(note).replace('\n', " ");
            say(format!("#   {line}"));
            warn(format!("{}: {line}", title.to_lowercase()));
        }
    }
    say(rules.to_policy_file().trim_end());
    Ok(if left_out.is_empty() && wider.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXCEPT_LISTED)
    })
}

/// An error of an import, with the file.
#[derive(Debug, thiserror::Error)]
#[error("{file}")]
struct FileError {
    file: String,
    #[source]
    error: zot::ZotError,
}
