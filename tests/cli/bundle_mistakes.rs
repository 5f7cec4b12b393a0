//! Bundles made or named by mistake: nothing of another bundle is lost, and each error has a way out.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread;

use flate2::write::GzEncoder;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::bundles::Gap;
use super::support::{Ended, binary, end};
use crate::clients::support::tool;

/// The files beside the stores, with their content.
fn files(gap: &Gap) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(gap.path("")).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Runs a command after these words of a shell, which limit it.
fn under_limit(gap: &Gap, limit: &str, args: &[&str]) -> Ended {
    let ours = binary(&gap.path(""));
    let mut limited = tool("sh");
    limited.current_dir(gap.path(""));
    limited.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(ours.get_program());
    end(limited.args(args), "")
}

#[test]
fn an_export_leaves_the_parts_of_another_bundle() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    let other = ["export", "other", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"];
    let first = gap.path("b.tar.001");
    fs::rename(&first, gap.path("elsewhere")).unwrap();
    let before = files(&gap);
    let refused = gap.expect(1, &other).stderr;
    assert!(refused.contains("b.tar.002") && refused.contains("choose another name"), "{refused}");
    assert!(files(&gap) == before, "{:?}", files(&gap).keys());

    // The first bundle had more parts.
    for number in [2, 3] {
        fs::remove_file(gap.path(&format!("b.tar.00{number}"))).unwrap();
    }
    let refused = gap.expect(1, &other).stderr;
    assert!(refused.contains("b.tar.004") && refused.contains("choose another name"), "{refused}");
    fs::remove_file(gap.path("b.tar.004")).unwrap();
    let refused = gap.expect(1, &other).stderr;
    assert!(refused.contains("b.sums") && refused.contains("choose another name"), "{refused}");
    fs::remove_file(gap.path("b.sums")).unwrap();
    gap.expect(0, &other);
    gap.expect(0, &["bundle", "verify", "b.tar"]);
}

#[test]
fn a_damaged_layer_is_named_with_its_images_and_the_way_out() {
    let gap = Gap::new();
    let own = "own".repeat(1_500_000 / 3);
    let blob = gap.near.path(&Entry::Blob(Digest::sha256_of(own.as_bytes())));
    fs::write(&blob, "two".repeat(1_500_000 / 3)).unwrap();
    let export = ["export", "**", "-c", "near.yml", "-o", "b.tar", "--keep-going"];
    let failed = gap.expect(1, &export).stderr;
    for part in ["is damaged in the source", "team/app:1.0", "--exclude", "b.tar.partial"] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert!(!failed.contains("other:v2"), "{failed}");
    fs::remove_file(gap.path("b.tar.partial")).unwrap();
    let exclude = ["--exclude", "team/app:1.0", "--exclude", "team/app:latest"];
    gap.expect(0, &[&export[..], &exclude].concat());

    // Once the layer is whole again, the export continues.
    let failed = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "c.tar"]).stderr;
    assert!(failed.contains("`registry export --resume -o c.tar -c near.yml`"), "{failed}");
    fs::write(&blob, own).unwrap();
    gap.expect(0, &["export", "--resume", "-c", "near.yml", "-o", "c.tar"]);
    gap.expect(0, &["bundle", "verify", "c.tar"]);
}

/// Going on would end at the same byte.
#[test]
fn a_file_system_of_short_files_gets_parts() {
    let gap = Gap::new();
    // In blocks of 512 or 1024 bytes; the signal would end the process.
    let limited = |args: &[&str]| under_limit(&gap, "trap '' XFSZ; ulimit -f 2100", args);
    let export = ["export", "**", "-c", "near.yml", "-o", "b.tar"];
    for command in [&export[..], &["export", "--resume", "-c", "near.yml", "-o", "b.tar"]] {
        let failed = limited(command);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.stderr.contains("`--split fat32`"), "{failed:?}");
        assert!(failed.stderr.contains("remove b.tar.partial"), "{failed:?}");
        assert!(!failed.stderr.contains("--resume"), "{failed:?}");
    }
    fs::remove_file(gap.path("b.tar.partial")).unwrap();
    let failed = limited(&[&export[..], &["--split", "3MiB"]].concat());
    assert!(failed.stderr.contains("a shorter `--split`"), "{failed:?}");
    fs::remove_file(gap.path("b.tar.001.partial")).unwrap();
    let written = limited(&[&export[..], &["--split", "1MiB"]].concat());
    assert_eq!(written.code, Some(0), "{written:?}");
    gap.expect(0, &["bundle", "verify", "b.tar"]);
}

/// Those of a bundle in parts that fit into a mail are many.
#[test]
fn a_bundle_may_have_more_parts_than_the_usual_limit_of_files() {
    let gap = Gap::new();
    let layers: Vec<String> = (0..40).map(|number| format!("{number:02}").repeat(500_000)).collect();
    let image = gap.near.image("many", "many", &layers);
    gap.near.tag("many", "1", &image);
    let limited = |args: &[&str]| {
        let ended = under_limit(&gap, "ulimit -S -n 40", args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    };
    limited(&["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    assert!(gap.path("b.tar.040").exists());
    limited(&["bundle", "verify", "b.tar"]);
    limited(&["import", "b.tar", "-c", "far.yml"]);
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn a_damaged_file_is_named_once() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "whole.tar"]);
    let whole = fs::read(gap.path("whole.tar")).unwrap();
    let with = |file: &str, text: &[u8], by: &[u8]| {
        let mut bytes = whole.clone();
        let place = bytes.windows(text.len()).position(|bytes| bytes == text).unwrap();
        bytes[place..place + by.len()].copy_from_slice(by);
        fs::write(gap.path(file), bytes).unwrap();
    };
    with("plan.tar", b"\"version\":1", b"\"version\":0");
    with("newer.tar", b"\"version\":1", b"\"version\":7");
    with("layer.tar", b"ownownown", b"oWnownown");
    fs::write(gap.path("short.tar"), &whole[..whole.len() - 5000]).unwrap();
    let plan = whole.windows(11).position(|bytes| bytes == b"{\"version\":").unwrap();
    fs::write(gap.path("first.json"), &whole[plan..plan + 200]).unwrap();
    let mut zipped =
        GzEncoder::new(fs::File::create(gap.path("zip.gz")).unwrap(), flate2::Compression::fast());
    zipped.write_all(&whole[..whole.len() - 5000]).unwrap();
    zipped.finish().unwrap();
    let key = ["--verify-key", "key.pem"];
    fs::copy(super::bundles::key("ed25519.pub.pem"), gap.path("key.pem")).unwrap();
    let import = ["import", "-c", "far.yml"];
    for (code, file, commands) in [
        (
            4,
            "plan.tar",
            &[&["bundle", "verify"][..], &["bundle", "ls"], &["bundle", "diff", "whole.tar"], &import][..],
        ),
        (1, "newer.tar", &[&["bundle", "verify"], &["bundle", "ls"], &import]),
        (4, "layer.tar", &[&["bundle", "verify"], &import]),
        (4, "short.tar", &[&["bundle", "verify"], &import]),
        (4, "first.json", &[&["bundle", "ls"], &["export", "**", "-c", "near.yml", "--dry-run", "--have"]]),
        (4, "zip.gz", &[&import]),
        (4, "whole.tar", &[&[&import[..], &key].concat()]),
    ] {
        for command in commands {
            let failed = gap.expect(code, &[command, &[file][..]].concat()).stderr;
            assert!(failed.contains(&format!("{file}: ")), "{command:?}: {failed}");
            assert_eq!(failed.matches(file).count(), 1, "{command:?}: {failed}");
        }
    }
    let piped = end(binary(&gap.path("")).args(["import", "-", "-c", "far.yml"]), "rubbish");
    assert!(piped.stderr.contains("registry: standard input"), "{piped:?}");
}

#[test]
fn rules_and_selectors_that_match_nothing_are_named() {
    let gap = Gap::new();
    let export = ["export", "**", "-c", "near.yml", "-o", "b.tar", "--exclude", "*:1.*"];
    let warned = gap.expect(0, &export).stderr;
    assert!(warned.contains("`--exclude *:1.*` excludes nothing"), "{warned}");
    let typo = ["import", "b.tar", "-c", "far.yml", "--map", "elsewhere=mirror/other"];
    let refused = gap.expect(1, &typo).stderr;
    assert!(refused.contains("elsewhere=mirror/other") && !gap.path("far").exists(), "{refused}");
    let warned = gap.expect(0, &[&typo[..], &["--map", "other=mirror/other"]].concat()).stderr;
    assert!(warned.contains("elsewhere=mirror/other"), "{warned}");
    let absent = gap.expect(1, &["inventory", "-c", "far.yml", "elsewhere"]).stderr;
    assert!(absent.contains("nothing matches `elsewhere`"), "{absent}");
}

#[test]
fn an_export_whose_parts_were_moved_away_says_which_one_it_needs() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    fs::rename(gap.path("b.tar.001"), gap.path("elsewhere")).unwrap();
    fs::rename(gap.path("b.tar.003"), gap.path("b.tar.003.partial")).unwrap();
    let resume = ["export", "--resume", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"];
    let refused = gap.expect(1, &resume).stderr;
    assert!(refused.contains("b.tar.001 is missing") && refused.contains("--part"), "{refused}");
}

#[test]
fn an_export_that_goes_on_replaces_no_other_file() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    fs::rename(gap.path("b.tar"), gap.path("b.tar.partial")).unwrap();
    fs::write(gap.path("b.tar"), "another bundle").unwrap();
    let resume = ["export", "--resume", "-c", "near.yml", "-o", "b.tar"];
    let refused = gap.expect(1, &resume).stderr;
    assert!(refused.contains("b.tar exists") && refused.contains("b.tar.partial"), "{refused}");
    assert_eq!(fs::read(gap.path("b.tar")).unwrap(), b"another bundle");
    fs::remove_file(gap.path("b.tar")).unwrap();
    gap.expect(0, &resume);
    gap.expect(0, &["bundle", "verify", "b.tar"]);
}

#[test]
fn options_without_sense_are_refused() {
    let gap = Gap::new();
    for option in [
        &["--latest", "0"][..],
        &["--jobs", "0"],
        &["--created", "yesterday"],
        &["--created", "2026-13-01T00:00:00Z"],
    ] {
        gap.expect(2, &[&["export", "**", "-c", "near.yml", "-o", "b.tar"], option].concat());
    }
    gap.expect(2, &["import", "b.tar", "-c", "far.yml", "--jobs", "0"]);
    let copy = ["copy", "**", "--from", "near.yml", "--to", "far.yml"];
    for (option, needed) in [
        (&["--from-user", "alice"][..], "--from-user needs --from URL"),
        (&["--to-user", "alice"], "--to-user needs --to URL"),
        (&["--cacert", "ca.crt"], "--cacert needs --from URL or --to URL"),
        (&["--insecure"], "--insecure needs --from URL or --to URL"),
        (&["--plain-http"], "--plain-http needs --from URL or --to URL"),
    ] {
        let refused = gap.expect(2, &[&copy[..], option].concat()).stderr;
        assert!(refused.contains(needed), "{refused}");
    }
    let half = ["copy", "**", "--from", "near.yml", "--to", "localhost:1", "--from-user", "alice"];
    assert!(gap.expect(2, &half).stderr.contains("--from-user needs --from URL"));
    for piped in ["import -", "export --list /dev/stdin -o c.tar", "export ** --have /dev/stdin -o c.tar"] {
        let registry = if piped.starts_with("import") { "--to" } else { "--from" };
        let args: Vec<&str> = piped.split(' ').chain([registry, "localhost:1", "--user", "alice"]).collect();
        let refused = gap.expect(2, &args).stderr;
        assert!(refused.contains("pass --password-file"), "{refused}");
    }
    gap.expect(2, &["copy", "**", "--from", "near.yml", "--to", "far.yml", "--jobs", "0"]);
    gap.expect(2, &["copy", "**", "--from", "near.yml", "--to", "far.yml", "--latest", "0"]);
    let nowhere = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "nowhere/b.tar"]).stderr;
    assert!(nowhere.contains("nowhere") && !nowhere.contains("--resume"), "{nowhere}");
}

#[test]
fn a_bundle_whose_name_ends_with_a_number_is_whole() {
    let gap = Gap::new();
    let (first, second) = ("b.20261130", "b.20261201");
    gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", first]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", second, "--have", first]);
    for name in [first, second] {
        gap.expect(0, &["bundle", "ls", name]);
        gap.expect(0, &["bundle", "verify", name]);
        gap.expect(0, &["import", name, "-c", "far.yml"]);
    }
    assert_eq!(gap.images("far"), gap.images("near"));

    // Parts beside them are still parts, also where the first one is missing.
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "split", "--split", "1MiB"]);
    let parts = (1..=4).map(|number| (format!("split.00{number}"), format!("b.00{number}")));
    parts.for_each(|(from, to)| fs::rename(gap.path(&from), gap.path(&to)).unwrap());
    gap.expect(0, &["bundle", "verify", "b"]);
    gap.expect(0, &["bundle", "verify", "b.003"]);
    gap.expect(0, &["bundle", "verify", first]);
    fs::remove_file(gap.path("b.001")).unwrap();
    let missing = gap.expect(4, &["bundle", "verify", "b.003"]).stderr;
    assert!(missing.contains("b.001 is missing"), "{missing}");
}

#[test]
fn an_export_that_ended_before_its_checksums_goes_on() {
    let gap = Gap::new();
    let split = ["-c", "near.yml", "-o", "b.tar", "--split", "1MiB"];
    gap.expect(0, &[&["export", "**"], &split[..]].concat());
    let before = files(&gap);
    let resume = [&["export", "--resume"], &split[..]].concat();
    fs::remove_file(gap.path("b.sums")).unwrap();
    gap.expect(0, &resume);
    assert!(files(&gap) == before, "{:?}", files(&gap).keys());

    let last = gap.path("b.tar.004");
    let content = fs::read(&last).unwrap();
    fs::write(&last, &content[..content.len() - 1]).unwrap();
    let refused = gap.expect(4, &resume).stderr;
    assert!(refused.contains("its parts have another length"), "{refused}");
}

#[test]
fn finished_parts_have_checksums_when_an_export_breaks_off() {
    let gap = Gap::new();
    let own = "own".repeat(1_500_000 / 3);
    let blob = gap.near.path(&Entry::Blob(Digest::sha256_of(own.as_bytes())));
    fs::write(&blob, "two".repeat(1_500_000 / 3)).unwrap();
    let failed = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]).stderr;
    assert!(failed.contains("remove the parts of b.tar and b.sums"), "{failed}");
    let sums = fs::read_to_string(gap.path("b.sums")).unwrap();
    let found = files(&gap);
    let parts: Vec<_> = found.iter().filter(|(name, _)| name.starts_with("b.tar.00")).collect();
    let whole = parts.iter().filter(|(name, _)| !name.ends_with(".partial"));
    let expected: String =
        whole.map(|(name, content)| format!("{}  {name}\n", Digest::sha256_of(content).hex())).collect();
    assert!(expected.lines().count() > 0 && sums == expected, "{sums}");
}

#[test]
fn a_named_pipe_is_read_once_or_refused() {
    let gap = Gap::new();
    gap.expect(0, &["inventory", "-c", "near.yml", "-o", "have.txt"]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    let pipe = gap.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for args in [
        &["import", "pipe", "-c", "far.yml"][..],
        &["bundle", "verify", "pipe"],
        &["import", "pipe", "b.tar", "-c", "far.yml"],
    ] {
        let ended = end(binary(&gap.path("")).args(args), "");
        assert!(ended.code == Some(4) || ended.code == Some(1), "{args:?}: {ended:?}");
    }
    let inventory = fs::read(gap.path("have.txt")).unwrap();
    let plan = {
        let mut archive = tar::Archive::new(fs::File::open(gap.path("b.tar")).unwrap());
        let mut entries = archive.entries().unwrap().map(Result::unwrap);
        let mut plan = entries.find(|entry| entry.path_bytes() == &b"bundle.json"[..]).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut plan, &mut content).unwrap();
        content
    };
    let export = ["export", "**", "-c", "near.yml", "--dry-run", "--have", "pipe"];
    for (content, args) in [(inventory, &export[..]), (plan, &["bundle", "ls", "pipe"])] {
        let pipe = pipe.clone();
        // Opening it waits for the reader.
        let writer = thread::spawn(move || fs::write(pipe, content));
        gap.expect(0, args);
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn an_inventory_may_begin_with_a_byte_order_mark() {
    let gap = Gap::new();
    let inventory = gap.expect(0, &["inventory", "team/app", "-c", "near.yml"]).stdout;
    fs::write(gap.path("have.txt"), format!("\u{feff}{inventory}")).unwrap();
    let shown = gap.expect(0, &["export", "**", "-c", "near.yml", "--dry-run", "--have", "have.txt"]).stdout;
    assert!(shown.contains("1 image of 1 repository") && shown.contains("that the far side has"), "{shown}");
}

#[test]
fn a_selection_of_a_compressed_bundle_is_refused_at_once() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(gap.path("b.tar")).unwrap()).unwrap();
    fs::write(gap.path("b.tar.gz"), gzip.finish().unwrap()).unwrap();
    let refused = gap.expect(2, &["import", "b.tar.gz", "-c", "far.yml", "--only", "other"]).stderr;
    assert!(refused.contains("--only needs an uncompressed bundle"), "{refused}");
    assert!(!gap.path("far").exists());
    gap.expect(0, &["import", "b.tar.gz", "-c", "far.yml"]);
}

#[test]
fn no_number_of_threads_is_too_large() {
    let gap = Gap::new();
    let many = ["--jobs", "100000000"];
    gap.expect(0, &[&["export", "**", "-c", "near.yml", "-o", "b.tar"], &many[..]].concat());
    gap.expect(0, &[&["bundle", "verify", "b.tar"], &many[..]].concat());
    gap.expect(0, &[&["import", "b.tar", "-c", "far.yml"], &many[..]].concat());
    gap.expect(0, &[&["copy", "**", "--from", "near.yml", "--to", "far.yml"], &many[..]].concat());
}

#[test]
fn a_dry_run_to_standard_output_shows_the_plan_beside_it() {
    let gap = Gap::new();
    let shown = gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "-", "--dry-run"]);
    assert!(shown.stdout.is_empty() && shown.stderr.contains("2 images of 2 repositories"), "{shown:?}");
    let quiet = gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "-", "--dry-run", "-q"]);
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}
