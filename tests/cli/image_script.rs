//! `image.sh`: what it refuses before it asks docker for anything.

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
    let shared = fail(&mut image(&["--binary", env!("CARGO_BIN_EXE_registry")]));
    assert!(shared.contains("needs shared libraries") && shared.contains("+crt-static"), "{shared}");
    let text = fail(&mut image(&["--binary", "README.md"]));
    assert!(text.contains("README.md is no program"), "{text}");
    let missing = fail(&mut image(&["--binary", "nowhere"]));
    assert!(missing.contains("there is no file nowhere"), "{missing}");
    let option = fail(&mut image(&["--root"]));
    assert!(option.contains("there is no option --root"), "{option}");
}
