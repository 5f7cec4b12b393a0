//! `image.sh`: what it refuses before it asks docker for anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::clients::support::fail;

fn image(arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("image.sh").args(arguments);
    // It is refused before it is asked for.
    command.env("DOCKER", "/nowhere/docker");
    command
}

#[test]
fn a_binary_that_the_image_cannot_run_is_refused_with_the_remedy() {
    let amd64_or_arm64 = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    let image = |arguments: &[&str]| image(&[&["--platform", amd64_or_arm64], arguments].concat());
    let shared = fail(&mut image(&["--binary", env!("CARGO_BIN_EXE_registry")]));
    assert!(shared.contains("needs shared libraries") && shared.contains("+crt-static"), "{shared}");
    let text = fail(&mut image(&["--binary", "README.md"]));
    assert!(text.contains("README.md is no program"), "{text}");
    let missing = fail(&mut image(&["--binary", "nowhere"]));
    assert!(missing.contains("there is no file nowhere"), "{missing}");
    let option = fail(&mut image(&["--root"]));
    assert!(option.contains("there is no option --root"), "{option}");
}

#[test]
fn a_platform_that_cannot_be_built_is_refused_with_the_remedy() {
    let foreign = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let unknown = fail(&mut image(&["--platform", "linux/riscv64"]));
    assert!(unknown.contains("choose linux/amd64 or linux/arm64"), "{unknown}");
    let directory = tempfile::tempdir().unwrap();
    // What the script looks for, without a cross compiler.
    for program in ["bash", "dirname", "sed", "uname"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), directory.path().join(program)).unwrap();
    }
    let rustc = directory.path().join("rustc");
    fs::write(&rustc, format!("#!/bin/bash\necho {}\n", directory.path().display())).unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let build = || fail(image(&["--platform", &format!("linux/{foreign}")]).env("PATH", directory.path()));
    let target = build();
    assert!(target.contains("rustup target add "), "{target}");
    let name = target.split_whitespace().last().unwrap();
    fs::create_dir_all(directory.path().join("lib/rustlib").join(name)).unwrap();
    let compiler = build();
    assert!(compiler.contains("apt-get install gcc-") && compiler.contains("-linux-gnu"), "{compiler}");
}
