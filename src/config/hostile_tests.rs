//! Files and variables of known keys with values of every kind: loading them ends without a panic, and `config show` prints
//! a file with the same meaning.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::key::{Key, Kind};
use super::parse::parse;
use super::root::ROOT;
use super::{Config, Environment, GoDuration, Origin, Source, environment, show};

/// Values that fit some keys, and some that fit none.
const VALUES: &[&str] = &[
    "~",
    "''",
    "true",
    "'true'",
    "5",
    "-1",
    "0x1F",
    "010",
    "1_000",
    ".5",
    "1h30m",
    "4MiB",
    ":5000",
    "/path",
    "[]",
    "{}",
    "[a, b]",
    "[[a]]",
    "{a: b}",
    "[{a: b}]",
    "'x y'",
    "\"tab\\tbreak\\nbell\\a\\N\"",
    "'https://u:p@h/?q'",
    "'(*'",
    "02:00-05:00",
    "none",
    "all",
    "é漢",
    "'“quoted”'",
    "!!str 7",
    "'- a'",
    "'#'",
    "\"\\uFEFF\"",
];

/// A value for a key of `kind`, in YAML's flow style.
fn value(kind: Kind, default: Option<&'static str>) -> BoxedStrategy<String> {
    let fitting = match kind {
        Kind::Leaf(_) | Kind::Duration | Kind::Any => {
            let fitting: Vec<_> =
                VALUES.iter().copied().chain(default).filter(|value| fits(value, &kind)).collect();
            select(if fitting.is_empty() { VALUES.to_vec() } else { fitting }).prop_map(str::to_owned).boxed()
        }
        Kind::Section(keys) | Kind::Optional(keys) | Kind::Parameters(keys) => section(keys.iter().collect()),
        Kind::Choice(_) => section(kind.keys()),
        Kind::List(item) => prop::collection::vec(value(*item, None), 0..3)
            .prop_map(|items| format!("[{}]", items.join(", ")))
            .boxed(),
        Kind::Map(item) => {
            value(*item, None).prop_map(|value| format!("{{A-b: {value}, 'c d': {value}}}")).boxed()
        }
    };
    prop_oneof![40 => fitting, 1 => select(VALUES).prop_map(str::to_owned)].boxed()
}

fn fits(value: &str, kind: &Kind) -> bool {
    let Ok(parsed) = parse(value, &|_, _| Origin::Default) else { return false };
    match kind {
        Kind::Leaf(reads) => reads(&parsed.root).is_ok(),
        Kind::Duration => parsed.root.read::<GoDuration>().is_ok(),
        _ => true,
    }
}

fn section(keys: Vec<&'static Key>) -> BoxedStrategy<String> {
    let keys: Vec<_> = keys.into_iter().filter(|key| !key.yaml.is_empty()).collect();
    let most = keys.len().min(4);
    subsequence(keys, 0..=most)
        .prop_flat_map(|keys| {
            keys.into_iter()
                .map(|key| value(key.kind, key.default).prop_map(|value| format!("{}: {value}", key.yaml)))
                .collect::<Vec<_>>()
        })
        .prop_map(|entries| format!("{{{}}}", entries.join(", ")))
        .boxed()
}

/// The keys without which no file is valid are added by the test.
fn others() -> Vec<&'static Key> {
    ROOT.keys().into_iter().filter(|key| !matches!(key.yaml, "version" | "storage")).collect()
}

/// Variables of some keys.
fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    let mut paths = Vec::new();
    collect(&ROOT, "", &mut paths);
    let variable = (select(paths), select(VALUES))
        .prop_map(|(path, value)| (environment::variable(&path), value.trim_matches('\'').to_owned()));
    prop::collection::vec(variable, 0..3)
}

fn collect(kind: &Kind, path: &str, paths: &mut Vec<String>) {
    for key in kind.keys() {
        let path = super::diagnostic::child(path, key.yaml);
        paths.push(path.clone());
        match key.kind {
            Kind::List(item) => collect(item, &format!("{path}[0]"), paths),
            kind => collect(&kind, &path, paths),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_config_show_prints_has_the_same_meaning(file in section(others()), variables in variables()) {
        let load = |text: String, environment: &Environment| {
            Config::load(Source::Text { name: "config.yml".to_owned(), text }, environment)
        };
        let sound = format!("{{version: 0.1, storage: inmemory, {}", &file[1..]);
        for text in [file, sound] {
            let Ok(loaded) = load(text, &variables.iter().cloned().collect()) else { continue };
            let shown = show(&loaded);
            // Secrets are not shown.
            if shown.contains("***") || shown.contains("without user info") {
                continue;
            }
            let again = load(shown.clone(), &Environment::default());
            let again = again.unwrap_or_else(|error| panic!("{error}\n{shown}"));
            prop_assert_eq!(&again.config, &loaded.config, "{}", shown);
        }
    }
}

#[test]
fn the_order_of_keys_is_no_difference() {
    let tree = |text| parse(text, &|_, _| Origin::Default).unwrap().root;
    assert!(tree("{region: ~, loglevel: off}") == tree("loglevel: off\nregion: ~"));
    assert!(tree("{region: ~, loglevel: off}") != tree("{region: ~, loglevel: on}"));
    assert!(tree("[a, b]") != tree("[b, a]"), "the order of a list means something");
}
