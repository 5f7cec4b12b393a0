//! Functions that take any bytes, and panic when the registry breaks a rule for them.
//!
//! libFuzzer calls them with bytes of its own making (`tests/fuzz/README.md`); the ordinary tests with those of
//! `tests/fuzz/corpus`. What fuzzing finds goes there, with its fix.

mod access_rules;
mod bundle;
mod config;
mod content_range;
mod conversation;
mod foreign;
mod htpasswd;
mod image_list;
mod layout;
mod manifest;
mod names;
mod plan;
mod range;
mod route;
mod service;
mod store_xml;
mod token;
mod token_request;
mod upload_note;

/// A target: its name, which is that of its folder in the corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("access_rules", access_rules::run),
    ("bundle", bundle::run),
    ("config", config::run),
    ("content_range", content_range::run),
    ("conversation", conversation::run),
    ("foreign", foreign::run),
    ("htpasswd", htpasswd::run),
    ("image_list", image_list::run),
    ("layout", layout::run),
    ("manifest", manifest::run),
    ("names", names::run),
    ("plan", plan::run),
    ("range", range::run),
    ("route", route::run),
    ("store_xml", store_xml::run),
    ("token", token::run),
    ("token_request", token_request::run),
    ("upload_note", upload_note::run),
];

/// Runs a target by its name.
///
/// # Panics
///
/// If the bytes break a rule, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, run) = target.unwrap_or_else(|| panic!("there is no target `{name}`"));
    run(data);
}

/// The bytes as text, if they are UTF-8 without a line break.
fn line(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| !text.contains(['\r', '\n']))
}
