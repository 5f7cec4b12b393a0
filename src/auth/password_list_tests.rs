//! Tests with vectors from Apache's `htpasswd`.

use super::*;

/// `htpasswd -nbB -C 5 alice wonderland`
const ALICE: &str = "alice:$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2";

fn parse(content: &str) -> PasswordList {
    PasswordList::parse(content.as_bytes()).unwrap().0
}

fn remarks(content: &str) -> Vec<PasswordFileWarning> {
    PasswordList::parse(content.as_bytes()).unwrap().1
}

fn matches(line: &str, password: &[u8]) -> bool {
    let user = line.split_once(':').unwrap().0;
    parse(line).hash_of(user.as_bytes()).unwrap().matches(password)
}

#[test]
fn hashes_of_the_htpasswd_tool_match_their_passwords() {
    assert!(matches(ALICE, b"wonderland"));
    assert!(!matches(ALICE, b"Wonderland"));
    let umlauts = "bob:$2y$04$pIL7uSsVKrWD2I5z/fQzjeRJLFs7K4vFgvuCgvW/XJWTTxHTykVJi";
    assert!(matches(umlauts, "pässwörd".as_bytes()));
    let raw = "raw:$2y$04$W2HRiRNw4NdeuKuxHyD2l.vyy.qQFDeTXIq0X4vYbKyKiRWJjTu0K";
    assert!(matches(raw, &[0xff, 0xfe]));
    let empty = "empty:$2y$04$qwC6e4eaUiShqVh8kV/cCeBy62G2/aTBIQF0qza9C6zXyjAJxQajm";
    assert!(matches(empty, b""));
    assert!(!matches(empty, b"x"));
}

#[test]
fn every_accepted_variant_matches() {
    for variant in ["$2a$", "$2b$", "$2y$"] {
        assert!(matches(&ALICE.replace("$2y$", variant), b"wonderland"), "{variant}");
    }
}

#[test]
fn only_the_first_72_bytes_of_a_password_count() {
    let hash_of_80 = "long:$2y$04$sT4.Ob0ll/uFnLbQikJ1r.lmTPmj.3HJyUJEPP3Jvi50pFwD9l3oG";
    for length in [72, 73, 80, 200] {
        assert!(matches(hash_of_80, &vec![b'a'; length]), "{length}");
    }
    assert!(!matches(hash_of_80, &[b'a'; 71]));
    let hash_of_72 = "72:$2y$04$u.luvJHqgcA1E3UBLISC/OL6VRKkEYHzlg1Oq7H7cMnS/d0wUTqv.";
    assert!(matches(hash_of_72, &[b'a'; 72]));
}

#[test]
fn comments_blanks_and_line_endings_are_skipped() {
    let list = parse(&format!("# staff\r\n\r\n  {ALICE}\r\n\t# end"));
    assert_eq!(list.len(), 1);
    assert!(list.hash_of(b"alice").is_some());
    assert_eq!(parse("").len(), 0);
}

#[test]
fn a_line_without_a_colon_is_an_error_with_its_number() {
    let error = PasswordList::parse(format!("{ALICE}\n\nnonsense\n").as_bytes()).unwrap_err();
    assert_eq!(error.line, 3);
    assert!(error.to_string().starts_with("line 3 has no `:`"), "{error}");
}

#[test]
fn the_last_of_several_lines_for_a_user_counts_with_a_remark() {
    let second = "alice:$2y$04$qwC6e4eaUiShqVh8kV/cCeBy62G2/aTBIQF0qza9C6zXyjAJxQajm";
    let content = format!("{ALICE}\n{second}\n");
    assert_eq!(parse(&content).hash_of(b"alice").unwrap().cost(), 4);
    let [remark] = &remarks(&content)[..] else { panic!("one remark expected") };
    assert_eq!(remark.line, 2);
    assert!(remark.message.contains("already in line 1"), "{}", remark.message);
}

#[test]
fn an_unusable_last_line_counts_too() {
    assert!(parse(&format!("{ALICE}\nalice:{{SHA}}x\n")).hash_of(b"alice").is_none());
}

#[test]
fn other_kinds_of_hash_are_named_with_line_and_remedy() {
    let check = |hash: &str, kind: &str| {
        let content = format!("# a comment\nmallory:{hash}\n");
        let found = remarks(&content);
        let [remark] = &found[..] else { panic!("{hash}: one remark expected, got {found:?}") };
        assert_eq!(remark.line, 2, "{hash}");
        assert!(remark.message.contains(kind), "{hash}: {}", remark.message);
        assert!(remark.message.contains("`registry htpasswd add`"), "{hash}: {}", remark.message);
        assert!(!remark.message.contains(hash) || hash.is_empty(), "a hash was shown: {}", remark.message);
        assert!(parse(&content).hash_of(b"mallory").is_none(), "{hash}");
    };
    check("$apr1$5ElebAvk$AVzmhQWgdiXg9hpZiE8sy.", "apr1");
    check("{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "SHA-1");
    check("8E40sFD0v4mf.", "DES-crypt");
    check("$5$V2.MIoFkSy9x4ZMl$bVRFYxddKZ.R4S.aqywML.IVJBwAYRzOPw.7LYYoP56", "SHA-256-crypt");
    check("$6$pxlN3c4oWBufx1A5$igXRCki2tjH4EUy5VSBSU1xOUy32dFwvjq", "SHA-512-crypt");
    check("hunter2!", "plain text");
    check("", "empty");
    check("$2x$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2", "variant 2x");
    check("$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF", "truncated bcrypt");
    check("$2y$99$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2", "damaged");
}

#[test]
fn unknown_users_cost_as_much_as_most_known_ones() {
    let line = |user: &str, cost: u32| {
        format!("{user}:$2y${cost:02}$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2\n")
    };
    let cost = |content: &str| parse(content).dummy().cost();
    assert_eq!(cost(""), 10);
    assert_eq!(cost(&line("a", 12)), 12);
    assert_eq!(cost(&(line("a", 5) + &line("b", 5) + &line("c", 12))), 5);
    assert_eq!(cost(&(line("a", 5) + &line("b", 12))), 12, "the higher of two equally common");
}

#[test]
fn the_hash_for_unknown_users_is_computed() {
    let dummy = parse(ALICE).dummy().clone();
    assert_eq!(BcryptHash::parse(dummy.as_str().as_bytes()), Some(dummy.clone()));
    assert!(bcrypt::verify("anything", dummy.as_str()).is_ok_and(|matched| !matched));
}
