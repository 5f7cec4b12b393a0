//! From the storage section to the driver.

use sampan::config::{Selected, driver_parameters};
use sampan::drivers::{DriverSetupError, Drivers};
use sampan_driver::StoreAccess;

use super::config;

fn selected(storage: &str) -> Selected {
    config(&format!("version: 0.1\nstorage:\n  {storage}\n"), &[]).storage.driver
}

fn refusal(storage: &str) -> String {
    let mistakes = Drivers::builtin().mistakes(&selected(storage));
    assert!(!mistakes.is_empty(), "{storage} was accepted");
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_built_in_drivers_are_built() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::builtin();
    let root = directory.path().join("data");
    for (storage, name) in [
        (format!("filesystem: {{ rootdirectory: '{}' }}", root.display()), "filesystem"),
        ("inmemory:".to_owned(), "inmemory"),
        ("inmemory: { maxsize: 1GiB }".to_owned(), "inmemory"),
    ] {
        let driver = drivers.build(&selected(&storage), StoreAccess::ReadWrite).await.unwrap();
        assert_eq!(driver.name(), name);
    }
    assert!(root.is_dir());
}

#[test]
fn checking_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let section = format!("filesystem: {{ rootdirectory: '{}' }}", root.display());
    assert_eq!(Drivers::builtin().mistakes(&selected(&section)), []);
    assert!(!root.exists());
}

#[test]
fn an_unknown_driver_is_refused_with_a_list_of_the_known_ones() {
    assert_eq!(
        refusal("filesytem: {}"),
        "config.yml:3:3: storage.filesytem: this binary has no storage driver of that name; did you mean `filesystem`?"
    );
    assert_eq!(
        refusal("swift: { container: c }"),
        "config.yml:3:3: storage.swift: this binary has no storage driver of that name; \
         known here: azure, bundle, filesystem, gcs, inmemory, s3, s3aws"
    );
}

#[test]
fn a_mistake_in_the_parameters_is_named_with_its_line() {
    assert_eq!(
        refusal("filesystem: { rotdirectory: /x }"),
        "config.yml:3:17: storage.filesystem.rotdirectory: unknown key; did you mean `rootdirectory`?"
    );
    let error = refusal("filesystem:\n    maxthreads: many");
    assert!(error.starts_with("config.yml:4:17: storage.filesystem.maxthreads: "), "{error}");
    let all = refusal("filesystem: { rotdirectory: /x, maxthreads: many, colour: red }");
    let keys = ["rotdirectory: unknown", "maxthreads: ", "colour: unknown"];
    assert!(all.lines().count() == 3 && keys.iter().all(|key| all.contains(key)), "{all}");
}

/// A variable for a parameter outside the table would count as a misspelling.
#[test]
fn variables_know_the_parameters_of_each_driver() {
    for name in Drivers::builtin().names() {
        let refused = refusal(&format!("{name}: {{ qqqqqqqqqq: x }}"));
        // Another line may say that a key is missing.
        let refused = refused.lines().find(|line| line.contains("qqqqqqqqqq")).unwrap();
        let (_, fields) = refused.split_once("known here: ").unwrap_or_default();
        let mut fields: Vec<&str> = match refused.split_once("did you mean `") {
            // A driver with one parameter suggests it.
            Some((_, only)) => vec![only.trim_end_matches("`?")],
            None => fields.split(", ").filter(|field| !field.is_empty()).collect(),
        };
        let mut parameters = driver_parameters(name);
        fields.sort_unstable();
        parameters.sort_unstable();
        assert_eq!(
            parameters, fields,
            "the keys of {name} in src/config/drivers.rs are not the fields that its DriverConfig reads"
        );
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_named_with_its_section_and_cause() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let section = format!("filesystem: {{ rootdirectory: '{}' }}", file.path().display());
    let error = Drivers::builtin().build(&selected(&section), StoreAccess::ReadWrite).await.unwrap_err();
    assert_eq!(error.to_string(), "config.yml:3:3: storage.filesystem: the store is not usable");
    let DriverSetupError::Build { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains(&file.path().display().to_string()), "{source}");
}

/// A check of a networked store reads the section and sends no request.
#[test]
fn an_invalid_section_is_refused_without_a_request_to_the_store() {
    let check = |storage: &str| Drivers::builtin().check(&selected(storage), StoreAccess::ReadWrite);
    let Err(DriverSetupError::Build { source, .. }) = check("s3: { region: r }") else { panic!("accepted") };
    assert_eq!(source.to_string(), "storage.s3.bucket is missing");
    let closed = "s3: { region: r, bucket: b, forcepathstyle: true, regionendpoint: 'http://127.0.0.1:9', accesskey: a, secretkey: b }";
    check(closed).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(check("inmemory: { maxsize: 0 }").is_err());
}

#[tokio::test]
async fn an_alias_is_another_name_for_a_driver() {
    let drivers = Drivers::builtin().with_alias("memory", "inmemory");
    assert_eq!(
        drivers.build(&selected("memory: {}"), StoreAccess::ReadWrite).await.unwrap().name(),
        "inmemory"
    );
    assert_eq!(
        drivers.names().collect::<Vec<_>>(),
        ["azure", "bundle", "filesystem", "gcs", "inmemory", "s3", "s3aws", "memory"]
    );
}
