//! The files that `drivers/README.md` prints for a driver in a repository of its own are those of this tree.

use std::fs;

use super::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The block of code after the line that names `file`.
fn printed(file: &str) -> String {
    let page = read("drivers/README.md");
    let (_, after) =
        page.split_once(&format!("\n`{file}`, whole:\n")).unwrap_or_else(|| panic!("{file} is not printed"));
    let (_, block) = after.split_once("```").unwrap();
    let (_, block) = block.split_once('\n').unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Lines without comments and empty ones.
fn code(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).collect()
}

/// The lines of a section of a Cargo.toml.
fn section<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn the_line_of_tests_is_that_of_a_test_of_this_tree() {
    let printed = printed("tests/conformance.rs");
    let test = read("conformance/tests/redb_driver/main.rs");
    assert_eq!(code(&printed), code(&test)[1..], "the first line of the test declares the driver");
    assert_eq!(code(&test)[0], "mod my_driver;");
}

#[test]
fn the_binary_is_this_one_with_one_more_driver() {
    let printed = printed("src/main.rs");
    let ours = read("src/main.rs").replace("builtin()", "builtin().with::<my_driver::MyConfig>()");
    assert_eq!(code(&printed), code(&ours));
}

#[test]
fn the_manifest_has_the_versions_and_profiles_of_this_tree() {
    let (printed, ours) = (printed("Cargo.toml"), read("Cargo.toml"));
    for profile in [
        "profile.dev.package",
        "profile.release",
        "profile.release.package",
        "profile.dist",
        "profile.dist.package",
    ] {
        // The store of our example is not that of a reader.
        let ours = section(&ours, profile).into_iter().filter(|line| !line.starts_with("redb "));
        assert_eq!(section(&printed, profile), ours.collect::<Vec<_>>(), "{profile}");
    }
    let version = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let workspace = section(&ours, "workspace.dependencies");
    let mut versions = 0;
    for line in section(&printed, "dependencies").into_iter().chain(section(&printed, "dev-dependencies")) {
        let name = line.split(' ').next().unwrap();
        if let Some((_, path)) = line.split_once("path = \"../sampan") {
            let path = path.split('"').next().unwrap().trim_start_matches('/');
            let manifest = read(&root().join(path).join("Cargo.toml").display().to_string());
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in {path:?}");
            continue;
        }
        let here = workspace.iter().find(|here| here.starts_with(&format!("{name} = ")));
        assert_eq!(
            version(line),
            version(here.unwrap_or_else(|| panic!("{name} is not used here"))),
            "{name}"
        );
        versions += 1;
    }
    assert!(versions > 5, "only {versions} versions were compared");
}
