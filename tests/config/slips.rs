//! Typing slips, and YAML's reading of them.

use super::{MINIMAL, config, mistakes};

#[test]
fn typing_slips_are_named() {
    const KEY: &str = "version: 0.1\nstorage:\n  filesystem:\n";
    for (text, expected) in [
        (
            format!("{KEY}    rootdirectory:/data\n"),
            "config.yml:4:5: `rootdirectory` has no space after its colon; write `rootdirectory: /data`",
        ),
        (
            format!("{KEY}    rootdirectory：/data\n    maxthreads: 100\n"),
            "config.yml:4:5: `rootdirectory` has a full-width colon (：) after it; write `rootdirectory: /data`",
        ),
        (
            "version: 0.1\nstorage：\n  inmemory: {}\n".to_owned(),
            "config.yml:2:1: `storage` has a full-width colon (：) after it; write `storage:`",
        ),
        (
            format!("{KEY}\u{3000}\u{3000}rootdirectory: /data\n"),
            "config.yml:4:1: the line begins with U+3000, a full-width space: indent by spaces",
        ),
        (
            format!("{KEY}   \u{a0}rootdirectory: /data\n"),
            "config.yml:4:4: the line begins with U+00A0, a no-break space: indent by spaces",
        ),
        (
            format!("{KEY}    rootdirectory: “/data”\n"),
            "config.yml:4:20: storage.filesystem.rootdirectory: has typographic quotation marks, which are part of the value: \
             write \" or ' in their place, or put ' around all of it if they are meant",
        ),
        (
            "version:0.1 storage:filesystem:rootdirectory:/var/lib/registry".to_owned(),
            "config.yml:1:1: the file is a single text",
        ),
        (
            "version: 0.1 log: fields: service: registry storage: filesystem: rootdirectory: /var/lib/registry".to_owned(),
            "config.yml:1:17: this is not valid YAML: mapping values are not allowed in this context; were line breaks lost when \
             it was pasted? Each `key:` begins a line",
        ),
    ] {
        let messages = mistakes(&text, &[]);
        assert!(messages.starts_with(expected) && messages.lines().count() == 1, "{text}: {messages}");
    }
    // The same run also reports the other mistakes of the file.
    let messages =
        mistakes(&format!("{KEY}    rootdirectory：/data\nhttp:\n  adr: :5000\n  secret:geheim\n"), &[]);
    assert!(
        messages.lines().count() == 3 && messages.contains("http.adr") && !messages.contains("geheim"),
        "{messages}"
    );
    // Correct text that resembles a slip.
    for text in [
        "auth: { silly: { realm: '“x”', service: s } }",
        "redis:\n  addrs:\n    - redis:6379\nhealth:\n  tcp:\n    - addr: redis:6379",
        "http:\n  host: https://registry.example\n# \u{3000}addr：5000",
        "auth:\n  silly:\n    realm: the users’\n    service: s",
        "notifications:\n  endpoints:\n    - name: a\n      url: http://localhost:5000\n      headers: {Key: ['a:b']}",
    ] {
        config(&format!("{MINIMAL}{text}\n"), &[]);
    }
}

#[test]
fn a_misplaced_section_is_reported_with_its_place() {
    for (lines, expected) in [
        (
            "storage:\n  inmemory: {}\n  http:\n    addr: :5000",
            "config.yml:4:3: storage.http: is in the wrong section; `http` is a section of its own at the top of the file: do not \
             indent it",
        ),
        (
            "storage:\n  filesystem:\n    rootdirectory: /x\n    delete:\n      enabled: true",
            "config.yml:5:5: storage.filesystem.delete: is in the wrong section; `delete` belongs to `storage`: indent it as far \
             as the other keys there",
        ),
        (
            "storage: inmemory\nhttp:\n  tls:\n    certificate: /c\n    key: /k\n    addr: :443",
            "config.yml:7:5: http.tls.addr: is in the wrong section; `addr` belongs to `http`: indent it as far as the other keys \
             there",
        ),
        (
            "storage: { inmemory: {}, delete: true, maintenance: { readonly: yes } }",
            "config.yml:2:34: storage.delete: expected a section of keys, found a single value; write `delete: { enabled: true \
             }`\nconfig.yml:2:65: storage.maintenance.readonly: expected a section of keys, found a single value; write \
             `readonly: { enabled: true }`",
        ),
    ] {
        assert_eq!(mistakes(&format!("version: 0.1\n{lines}\n"), &[]), expected, "{lines}");
    }
}
