//! The checks of one entry of `repositories`.

use super::SyncRepository;
use super::check::Context;
use crate::findings::Findings;
use crate::values::{MAX_REPOSITORY_NAME, name_problem};

/// Replaces the open parts of a pattern. No name and no pattern has this character, so only `*`, `?` and `**` match it.
const ANYTHING: &str = "\u{1}";

impl SyncRepository {
    pub(super) fn check(&self, context: &Context<'_>, found: &mut Findings<'_>) {
        let path = context.path;
        self.check_from(context, found);
        let problem = self.to.as_ref().and_then(|to| self.problem_of_to(to, context, found));
        if let Some(problem) = problem {
            found.mistake(&format!("{path}.to"), problem);
        }
        self.check_prune(context, found);
        if self.tags.newest == Some(0) {
            found
                .mistake(&format!("{path}.tags.newest"), "must be 1 at least; leave it out for all versions");
        }
        for (index, platform) in self.platforms.iter().enumerate().filter(|(_, text)| !is_platform(text)) {
            let message = format!(
                "expected `os/architecture` or `os/architecture/variant` in lower case, such as `linux/arm64`, found `{}`",
                platform.escape_debug()
            );
            found.mistake(&format!("{path}.platforms[{index}]"), message);
        }
    }

    fn check_from(&self, context: &Context<'_>, found: &mut Findings<'_>) {
        let path = format!("{}.from", context.path);
        let from = self.from.as_str();
        if self.from.names_user() {
            found.mistake(
                &path,
                "`${user}` has no meaning here, since a job has no user: write a pattern without it",
            );
            return;
        }
        if let Some(problem) = name_problem(from).filter(|_| self.from.is_exact()) {
            found.mistake(&path, format!("`{from}` is no repository name: {problem}"));
            return;
        }
        let Some(upstream) = context.upstream else { return };
        let name = &upstream.config.name;
        if !self.from.is_exact() {
            if upstream.config.is_docker_hub() {
                let message = format!(
                    "is a pattern, and Docker Hub (`{name}`) has no list of its repositories: name each, as `library/debian`"
                );
                found.mistake(&path, message);
            }
            return;
        }
        let there = upstream.config.name_there(from);
        if !upstream.config.repositories.allows(&there) {
            let rules = format!("{}.repositories", upstream.path);
            let message = format!(
                "`{rules}` ({}) does not allow `{there}`: change these rules, or leave the repository out",
                found.place(&rules)
            );
            found.mistake(&path, message);
        }
    }

    /// The problem of the place here.
    fn problem_of_to(&self, to: &str, context: &Context<'_>, found: &Findings<'_>) -> Option<String> {
        // With a pattern, a slash and a component follow.
        let longest = if self.from.is_exact() { MAX_REPOSITORY_NAME } else { MAX_REPOSITORY_NAME - 2 };
        if to.len() > longest {
            return Some(format!("has {} characters, and may have {longest}", to.len()));
        }
        if let Some(problem) = name_problem(to) {
            return Some(format!("`{}` is no repository name: {problem}", to.escape_debug()));
        }
        let names = self.names_here(to);
        for upstream in context.upstreams {
            let Some(prefix) = &upstream.config.prefix else {
                return Some(
                    "is not possible with `proxy.remoteurl`, of which the whole registry is a cache: remove it, or make the \
                     registry an entry of `proxy.upstreams`"
                        .to_owned(),
                );
            };
            let is_below =
                |name: &String| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
            if names.iter().any(is_below) {
                let place = found.place(&format!("{}.prefix", upstream.path));
                return Some(format!(
                    "`{to}` is within the cache of `{}`, whose prefix is `{prefix}` ({place}): choose another place, or remove \
                     `to` for the cache",
                    upstream.config.name
                ));
            }
        }
        let proxy = context.config.proxy.as_ref()?;
        let default = proxy.default.as_ref()?;
        let is_local = |name: &String| proxy.local.iter().any(|pattern| pattern.is_match(name));
        if names.iter().all(is_local) {
            return None;
        }
        let pattern = match to.split_once('/') {
            Some((first, _)) => format!("{first}/**"),
            None if self.from.is_exact() => to.to_owned(),
            None => format!("{to}/**"),
        };
        Some(format!(
            "clients that ask for it get what `{default}` has, the upstream in `proxy.default`: add `{pattern}` to `proxy.local`"
        ))
    }

    /// The names of the repositories here, with [`ANYTHING`] in place of what the pattern leaves open.
    fn names_here(&self, to: &str) -> Vec<String> {
        if self.from.is_exact() {
            return vec![to.to_owned()];
        }
        let fixed = self.from.fixed();
        let several = format!("{ANYTHING}/{ANYTHING}");
        let mut names = Vec::new();
        for glob in self.from.globs("") {
            let rest = glob.strip_prefix(fixed).unwrap_or(&glob).trim_start_matches('/');
            for any in [ANYTHING, &several] {
                let components = rest.split('/').map(|component| match component {
                    "**" => any.to_owned(),
                    _ => component.replace(['*', '?'], ANYTHING),
                });
                names.push(format!("{to}/{}", components.collect::<Vec<_>>().join("/")));
            }
        }
        names
    }

    fn check_prune(&self, context: &Context<'_>, found: &mut Findings<'_>) {
        if !self.prune {
            return;
        }
        let path = format!("{}.prune", context.path);
        if self.to.is_some() {
            if !context.config.storage.delete.enabled {
                found.mistake(&path, "removes tags, which needs `storage.delete.enabled: true`");
            }
            return;
        }
        let message = match context.upstream {
            Some(upstream) if upstream.config.prefix.is_none() => {
                "needs `to`: the cache of `proxy.remoteurl` keeps its tags; in an entry of `proxy.upstreams`, `tags.deleted` says \
                 otherwise"
                    .to_owned()
            }
            Some(upstream) => format!(
                "needs `to`: in the cache, `{}.tags.deleted` says what happens to tags that the upstream has no more",
                upstream.path
            ),
            None => "needs `to`: in the cache, `tags.deleted` of the upstream says what happens to tags that it has no more"
                .to_owned(),
        };
        found.mistake(&path, message);
    }
}

/// Whether a text is `os/architecture[/variant]`.
fn is_platform(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_part = |part: &str| !part.is_empty() && part.chars().all(is_plain);
    (2..=3).contains(&text.split('/').count()) && text.split('/').all(is_part)
}
