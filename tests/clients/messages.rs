//! The messages that clients print of a refusal, as in the table of docs/operating.md: some show the `message` of an error's
//! body, some only the status.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::support::{
    Containerd, Dockerd, RegistryProcess, copy, fail, filesystem_config, oci_layout, registry, run, tool,
};

/// The action of a user that the registry refuses.
#[derive(Clone, Copy, Debug)]
enum Act {
    Push,
    Pull,
    Delete,
}

/// A row of the table: its name, the refused action, and the registry that refuses it.
type Row = (&'static str, Act, fn(&str) -> String);

const ROWS: [Row; 4] = [
    ("a push in read-only mode", Act::Push, |config| {
        config.replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:")
    }),
    ("a deletion that is not enabled", Act::Delete, |config| {
        config.replace("delete: {enabled: true}", "delete: {enabled: false}")
    }),
    ("a push below `health.diskspace.floor`", Act::Push, |config| {
        format!("{config}health: {{diskspace: {{enabled: true, floor: 900TiB}}}}\n")
    }),
    ("a pull while the store is away", Act::Pull, |config| config.to_owned()),
];

/// A store with an image, for registries that refuse actions on it.
struct Image {
    directory: tempfile::TempDir,
    layout: PathBuf,
}

impl Image {
    #[track_caller]
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = oci_layout(directory.path(), "v1", 1);
        let image = Self { directory, layout };
        let writable = registry(image.directory.path(), &image.config());
        copy(&image.source(), &format!("docker://{}/app:v1", writable.host()), false);
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn source(&self) -> String {
        format!("oci:{}:v1", self.layout.display())
    }

    fn config(&self) -> String {
        filesystem_config(&self.path("data"))
    }

    /// Makes a client do the action of each row; `command` returns nothing for what the client cannot do.
    #[track_caller]
    fn check(&self, client: &str, command: impl Fn(Act, &RegistryProcess) -> Option<Command>) {
        for (row, act, change) in ROWS {
            let served = registry(self.directory.path(), &change(&self.config()));
            let expected = expected(row, client);
            let Some(mut command) = command(act, &served) else {
                assert_eq!(expected, "—", "{client}, {row}");
                continue;
            };
            let away = matches!(act, Act::Pull);
            if away {
                fs::rename(self.path("data"), self.path("away")).unwrap();
            }
            let printed = fail(&mut command);
            if away {
                fs::rename(self.path("away"), self.path("data")).unwrap();
            }
            assert!(printed.contains(&expected), "{client}, {row}: {printed}");
        }
    }
}

/// The table's cell for a row and a client, without the marks of code.
#[track_caller]
fn expected(row: &str, client: &str) -> String {
    let page = fs::read_to_string("docs/operating.md").unwrap();
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let (_, table) = page.split_once("## What clients print").expect("the section of the table");
    let mut lines = table.lines().filter(|line| line.starts_with('|')).map(cells);
    let column = lines.next().unwrap().iter().position(|cell| cell == client);
    let line = lines.find(|cells| cells[1] == row).unwrap_or_else(|| panic!("no row `{row}`"));
    line[column.unwrap_or_else(|| panic!("no column `{client}`"))].trim_matches('`').to_owned()
}

#[test]
#[ignore = "needs docker, skopeo and umoci, as root"]
fn docker_prints_what_the_table_says() {
    let image = Image::new();
    let docker = Dockerd::start();
    docker.build("new", &[b"a layer"]);
    image.check("docker", |act, served| {
        let name = |repository: &str| format!("{}/{repository}:v1", served.host());
        let mut command = docker.docker();
        match act {
            Act::Push => {
                docker.run(&["tag", "new", &name("new")]);
                command.args(["push", &name("new")]);
            }
            Act::Pull => {
                command.args(["pull", &name("app")]);
            }
            Act::Delete => return None,
        }
        Some(command)
    });
}

#[test]
#[ignore = "needs skopeo and umoci"]
fn skopeo_prints_what_the_table_says() {
    let image = Image::new();
    image.check("skopeo", |act, served| {
        let name = |repository: &str| format!("docker://{}/{repository}:v1", served.host());
        let mut command = tool("skopeo");
        match act {
            Act::Push => command.args(["copy", "--dest-tls-verify=false", &image.source(), &name("new")]),
            Act::Pull => command.args(["inspect", "--tls-verify=false", &name("app")]),
            Act::Delete => command.args(["delete", "--tls-verify=false", &name("app")]),
        };
        Some(command)
    });
}

#[test]
#[ignore = "needs crane, skopeo and umoci"]
fn crane_prints_what_the_table_says() {
    let image = Image::new();
    image.check("crane", |act, served| {
        let name = |repository: &str| format!("{}/{repository}:v1", served.host());
        let mut command = tool("crane");
        match act {
            Act::Push => command.arg("push").arg(&image.layout).arg(name("new")),
            Act::Pull => command.args(["manifest", &name("app")]),
            Act::Delete => command.args(["delete", &name("app")]),
        };
        command.arg("--insecure");
        Some(command)
    });
}

#[test]
#[ignore = "needs containerd, skopeo and umoci, as root"]
fn ctr_prints_what_the_table_says() {
    let image = Image::new();
    let containerd = Containerd::start(&image.path("containerd"));
    let archive = image.path("archive.tar");
    copy(&image.source(), &format!("oci-archive:{}:local/app:v1", archive.display()), false);
    run(containerd.ctr().args(["images", "import", "--snapshotter", "native"]).arg(&archive));
    image.check("ctr", |act, served| {
        let name = |repository: &str| format!("{}/{repository}:v1", served.host());
        let mut command = containerd.ctr();
        command.arg("images");
        match act {
            Act::Push => {
                run(containerd.ctr().args(["images", "tag", "local/app:v1", &name("new")]));
                command.args(["push", "--plain-http", &name("new")]);
            }
            Act::Pull => {
                command.args(["pull", "--plain-http", &name("app")]);
            }
            Act::Delete => return None,
        }
        Some(command)
    });
}
