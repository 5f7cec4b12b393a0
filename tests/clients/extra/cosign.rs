//! cosign, with a key pair and without a transparency log: bundles that refer to the image, and the tags of earlier versions.

use std::fs;

use crate::clients::support::{Guarded, fail, oci_layout, run, tool};

/// A registry with the signed-in user, an image in `layout`, and a pair of keys.
fn start() -> Guarded {
    let guarded = Guarded::start();
    guarded.log_in("cosign", "login --username USER --password-stdin HOST");
    oci_layout(&guarded.path(""), "v1", 1);
    run(&mut cosign(&guarded, "generate-key-pair"));
    guarded
}

fn cosign(guarded: &Guarded, arguments: &str) -> std::process::Command {
    let mut command = guarded.client("cosign");
    command.env("COSIGN_PASSWORD", "of the key").args(arguments.split_whitespace());
    command
}

/// Pushes the image to `repository`, and returns its name by digest.
fn push(guarded: &Guarded, repository: &str) -> String {
    let tagged = guarded.name(&format!("{repository}:v1"));
    guarded.run("crane", &format!("push layout {tagged}"));
    guarded.run("crane", &format!("digest --full-ref {tagged}"))
}

#[test]
#[ignore = "needs cosign, crane and umoci"]
fn cosign_signs_and_verifies_by_referrers_and_by_tag() {
    let guarded = start();
    for (form, bundle) in [("referrer", true), ("tag", false)] {
        let image = push(&guarded, form);
        let options = format!("--new-bundle-format={bundle}");
        let verify = format!("verify --key cosign.pub --insecure-ignore-tlog=true {options} {image}");
        let sign = format!(
            "sign --key cosign.key --use-signing-config=false --tlog-upload=false {options} --yes {image}"
        );
        fail(&mut cosign(&guarded, &verify));
        // The second signature stays beside the first.
        for _ in 0..2 {
            run(&mut cosign(&guarded, &sign));
            let verified = run(&mut cosign(&guarded, &verify));
            assert!(verified.contains(image.split_once('@').unwrap().1), "{verified}");
        }

        let tags = guarded.run("crane", &format!("ls {}", guarded.name(form)));
        assert_eq!(tags.contains(".sig"), form == "tag", "{tags}");
        let tree = run(&mut cosign(&guarded, &format!("tree {image}")));
        let place = if bundle { "via OCI referrer" } else { "Signatures for an image tag" };
        assert!(tree.contains(place), "{tree}");

        run(&mut cosign(&guarded, &format!("clean --type all --force {image}")));
        fail(&mut cosign(&guarded, &verify));
        assert_eq!(guarded.run("crane", &format!("ls {}", guarded.name(form))), "v1");
    }
}

#[test]
#[ignore = "needs cosign, crane, oras and umoci"]
fn cosign_attests_and_a_copy_keeps_its_signature() {
    let guarded = start();
    let image = push(&guarded, "app");
    fs::write(guarded.path("predicate.json"), r#"{"built": "by hand"}"#).unwrap();
    let attest = "attest --key cosign.key --use-signing-config=false --tlog-upload=false --type custom \
                  --predicate predicate.json --yes";
    run(&mut cosign(&guarded, &format!("{attest} {image}")));
    let verify = "verify-attestation --key cosign.pub --type custom --insecure-ignore-tlog=true";
    let verified = run(&mut cosign(&guarded, &format!("{verify} {image}")));
    assert!(verified.contains("payload"), "{verified}");

    // By another client: `cosign copy` leaves out what refers to an image, and `cosign load` pushes its manifest without its blob.
    let copy = guarded.name("copy:v1");
    guarded.run("oras", &format!("copy --recursive {image} {copy}"));
    let copied = guarded.run("crane", &format!("digest --full-ref {copy}"));
    assert_eq!(copied.split_once('@').unwrap().1, image.split_once('@').unwrap().1);
    run(&mut cosign(&guarded, &format!("{verify} {copied}")));
}

#[test]
#[ignore = "needs cosign, crane and umoci"]
fn signatures_of_both_forms_cross_an_air_gap() {
    let (near, far) = (start(), Guarded::start());
    far.log_in("cosign", "login --username USER --password-stdin HOST");
    fs::copy(near.path("cosign.pub"), far.path("cosign.pub")).unwrap();
    let forms = [("referrer", true), ("tag", false)].map(|(form, bundle)| {
        let (image, options) = (push(&near, form), format!("--new-bundle-format={bundle}"));
        let sign = "sign --key cosign.key --use-signing-config=false --tlog-upload=false --yes";
        run(&mut cosign(&near, &format!("{sign} {options} {image}")));
        (image, options)
    });
    let carried = near.path("images.tar");
    let registry = |side: &Guarded, command: &str| {
        let mut registry = tool(env!("CARGO_BIN_EXE_registry"));
        registry.current_dir(side.path("")).args(command.split(' ')).arg(&carried);
        run(&mut registry)
    };
    registry(&near, "export ** -c sampan.yml -o");
    registry(&far, "import -c sampan.yml");
    for (image, options) in forms {
        let there = image.replace(&near.host(), &far.host());
        let verify = format!("verify --key cosign.pub --insecure-ignore-tlog=true {options} {there}");
        let verified = run(&mut cosign(&far, &verify));
        assert!(verified.contains(image.split_once('@').unwrap().1), "{verified}");
    }
}
