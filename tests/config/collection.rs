//! The section `gc` and its old place, with which Distribution refuses the file.

use std::time::Duration;

use super::{MINIMAL, config, load, mistakes, warnings};

const NEW: &str = "version: 0.1\nstorage: inmemory\ngc: { enabled: true, grace: 12h, untagged: true }\n";
const OLD: &str =
    "version: 0.1\nstorage: { inmemory: {}, gc: { enabled: true, grace: 12h, untagged: true } }\n";

#[test]
fn the_section_is_at_the_top_where_distribution_ignores_it() {
    let gc = config(NEW, &[]).gc;
    assert!(gc.enabled && gc.untagged);
    assert_eq!(
        (gc.grace_period(), gc.interval),
        (Duration::from_secs(12 * 3600), Duration::from_secs(24 * 3600))
    );
    assert_eq!(warnings(NEW, &[]), "");
    let by_variables = config(
        MINIMAL,
        &[("REGISTRY_GC_ENABLED", "true"), ("REGISTRY_GC_GRACE", "12h"), ("REGISTRY_GC_UNTAGGED", "true")],
    );
    assert_eq!(by_variables.gc, gc);
    assert!(!config(MINIMAL, &[]).gc.enabled);
}

#[test]
fn the_old_place_means_the_same_and_causes_a_warning_with_the_new_one() {
    assert_eq!(config(OLD, &[]), config(NEW, &[]));
    assert_eq!(
        warnings(OLD, &[]),
        "config.yml:2:26: storage.gc: has moved: Distribution does not start with a file that has it here; write \
         `gc: { … }` at the top of the file"
    );
    let variables = [("REGISTRY_STORAGE_GC_ENABLED", "true"), ("REGISTRY_STORAGE_GC_UNTAGGED", "true")];
    let gc = config(MINIMAL, &variables).gc;
    assert!(gc.enabled && gc.untagged);
    assert_eq!(
        warnings(MINIMAL, &variables),
        "environment variable REGISTRY_STORAGE_GC_ENABLED: storage.gc: has moved: Distribution does not start with a file \
         that has it here; set `REGISTRY_GC_ENABLED`\n\
         environment variable REGISTRY_STORAGE_GC_UNTAGGED: storage.gc: has moved: Distribution does not start with a file \
         that has it here; set `REGISTRY_GC_UNTAGGED`"
    );
    let over_the_file = [("REGISTRY_STORAGE_GC_UNTAGGED", "false")];
    let gc = config(OLD, &over_the_file).gc;
    assert!(gc.enabled && !gc.untagged);
    assert_eq!(warnings(OLD, &over_the_file).lines().count(), 2);
}

#[test]
fn both_places_at_once_are_refused_with_both_named() {
    let both = "version: 0.1\nstorage: { inmemory: {}, gc: { enabled: true } }\ngc: { grace: 1h }\n";
    assert_eq!(
        mistakes(both, &[]),
        "config.yml:2:26: storage.gc: is the old place of `gc`, which is also at the top (config.yml:3:1); keep the one at \
         the top, since Distribution does not start with the other"
    );
    for (text, variable, places) in [
        (OLD, "REGISTRY_GC_ENABLED", ["config.yml:2:26", "environment variable REGISTRY_GC_ENABLED"]),
        (
            NEW,
            "REGISTRY_STORAGE_GC_ENABLED",
            ["environment variable REGISTRY_STORAGE_GC_ENABLED", "config.yml:3:1"],
        ),
    ] {
        let error = mistakes(text, &[(variable, "false")]);
        assert!(places.iter().all(|place| error.contains(place)), "{error}");
    }
}

#[test]
fn a_mistake_at_the_old_place_is_named_with_its_line() {
    for (gc, expected) in [
        ("{ grcae: 1h }", "config.yml:2:32: gc.grcae: unknown key; did you mean `grace`?"),
        ("nonsense", "config.yml:2:30: gc: expected a section of keys, found a single value"),
    ] {
        assert_eq!(
            mistakes(&format!("version: 0.1\nstorage: {{ inmemory: {{}}, gc: {gc} }}\n"), &[]),
            expected
        );
    }
    // An empty section has no meaning here, but Distribution would still refuse it.
    let empty = "version: 0.1\nstorage: { inmemory: {}, gc: }\n";
    assert!(warnings(empty, &[]).contains("config.yml:2:26: storage.gc: has moved"));
    assert!(load(&format!("{empty}gc: {{ enabled: true }}\n"), &[]).is_err());
}

#[test]
fn config_show_prints_the_section_at_the_top() {
    let shown = sampan::config::show(&load(OLD, &[]).unwrap());
    let top: Vec<&str> = shown.lines().filter(|line| !line.starts_with([' ', '#'])).collect();
    assert!(top.contains(&"gc:"), "{shown}");
    assert_eq!(shown.matches("gc:").count(), 1, "{shown}");
    assert!(shown.contains("  grace: 12h  # config.yml:2\n"), "{shown}");
}
