//! Claims that the trusted key signed: for others, for another time, or for less.

use super::Verdict::{Invalid, Less, Missing, Taken};
use super::*;

pub(super) fn variants(base: &Base) -> Vec<Variant> {
    let mut all = names(base);
    all.extend(dates(base));
    all.extend(grants(base));
    all.extend(texts(base));
    all
}

impl Base {
    /// A token with another value of a claim.
    fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[claim] = value;
        self.with_claims(claims.to_string())
    }

    /// A token without a claim.
    fn without(&self, claim: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(claim);
        self.with_claims(claims.to_string())
    }

    fn text_of(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap()
    }
}

fn names(base: &Base) -> Vec<Variant> {
    let (iss, aud) = (base.text_of("iss"), base.text_of("aud"));
    let mut all = Vec::new();
    for wrong in [
        json!(""),
        json!("other"),
        json!(iss.to_uppercase()),
        json!(format!("{iss}/")),
        json!(format!(" {iss}")),
        json!(format!("{iss}\0")),
        json!(&iss[..iss.len() - 1]),
        json!([iss]),
        json!({ iss: iss }),
        json!(1),
        Value::Null,
    ] {
        all.push(variant(format!("iss {wrong}"), base.with("iss", wrong), Invalid));
    }
    for (value, verdict) in [
        (json!([aud]), Taken),
        (json!(["other", aud]), Taken),
        (json!(["other"]), Invalid),
        (json!([]), Invalid),
        (json!([[aud]]), Invalid),
        (json!([aud, null]), Invalid),
        (json!({ aud: aud }), Invalid),
        (json!(""), Invalid),
        (json!("other"), Invalid),
        (json!("*"), Invalid),
        (json!(aud.to_uppercase()), Invalid),
        (json!(format!("{aud},other")), Invalid),
        (json!(format!("{aud} other")), Invalid),
        (json!(1), Invalid),
        (json!(true), Invalid),
        (Value::Null, Invalid),
    ] {
        all.push(variant(format!("aud {value}"), base.with("aud", value), verdict));
    }
    for (value, own, foreign) in [
        (json!(""), Invalid, Taken),
        (Value::Null, Invalid, Taken),
        (json!("carol"), Invalid, Taken),
        (json!("ALICE"), Invalid, Taken),
        (json!("alice "), Invalid, Taken),
        (json!("alice\0"), Invalid, Taken),
        (json!("аlice"), Invalid, Taken),
        (json!(["alice"]), Invalid, Invalid),
        (json!({ "alice": 1 }), Invalid, Invalid),
        (json!(1), Invalid, Invalid),
        (json!(true), Invalid, Invalid),
    ] {
        all.push(Variant { own, foreign, ..variant(format!("sub {value}"), base.with("sub", value), own) });
    }
    for value in [
        json!(""),
        json!("none"),
        json!("certificate"),
        json!("password"),
        json!("password:"),
        json!("password:other"),
        json!(format!("{} ", base.claims["cred"].as_str().unwrap_or_default())),
        json!("token:"),
        json!("token:../../x"),
        json!("token:aaaaaaaaaaaaaaaa"),
        json!("other:alice"),
        json!([base.claims["cred"]]),
        json!({ "id": 1 }),
        json!(1),
        Value::Null,
    ] {
        let what = format!("cred {value}");
        // To a token server's tokens this claim is one of many.
        all.push(Variant { foreign: Taken, ..variant(what, base.with("cred", value), Invalid) });
    }
    for (claim, foreign) in
        [("iss", Invalid), ("aud", Invalid), ("exp", Invalid), ("sub", Taken), ("cred", Taken)]
    {
        all.push(Variant { foreign, ..variant(format!("no {claim}"), base.without(claim), Invalid) });
    }
    let mut anonymous = base.claims.clone();
    (anonymous["sub"], anonymous["cred"]) = (json!(""), json!("none"));
    let anonymous = base.with_claims(anonymous.to_string());
    all.push(Variant { foreign: Taken, ..variant("an anonymous client", anonymous, Missing) });
    all
}

fn dates(base: &Base) -> Vec<Variant> {
    let (now, mut all) = (now(), Vec::new());
    // A minute of difference between clocks is tolerated; the test may take some seconds of it.
    for (value, own, foreign) in [
        (json!(now + 30), Taken, Taken),
        (json!(now - 30), Taken, Taken),
        (json!(now - 61), Invalid, Invalid),
        (json!(now as f64 + 30.5), Taken, Taken),
        (json!(now as f64 - 61.5), Invalid, Invalid),
        (json!(0), Invalid, Invalid),
        (json!(-1), Invalid, Invalid),
        (json!(-now), Invalid, Invalid),
        (json!(i64::MIN), Invalid, Invalid),
        (json!(1e-300), Invalid, Invalid),
        (json!(-1e300), Invalid, Invalid),
        // No token of ours lives longer than an hour; to others that is their server's business.
        (json!(now + 3600), Taken, Taken),
        (json!(now + 2 * 3600), Invalid, Taken),
        (json!(now + 365 * 86_400), Invalid, Taken),
        (json!(now * 1000), Invalid, Taken),
        (json!(i64::MAX), Invalid, Taken),
        (json!(u64::MAX), Invalid, Taken),
        (json!(1e300), Invalid, Taken),
        (json!((now + 30).to_string()), Invalid, Invalid),
        (json!("never"), Invalid, Invalid),
        (json!(""), Invalid, Invalid),
        (json!([now + 30]), Invalid, Invalid),
        (json!({ "seconds": now + 30 }), Invalid, Invalid),
        (json!(true), Invalid, Invalid),
        (Value::Null, Invalid, Invalid),
    ] {
        all.push(Variant { foreign, ..variant(format!("exp {value}"), base.with("exp", value), own) });
    }
    for (value, verdict) in [
        (json!(now + 30), Taken),
        (json!(now + 120), Invalid),
        (json!(now as f64 + 120.5), Invalid),
        (json!(now * 1000), Invalid),
        (json!(i64::MAX), Invalid),
        (json!(u64::MAX), Invalid),
        (json!(1e300), Invalid),
        (json!(i64::MIN), Taken),
        (json!(-1e300), Taken),
        (json!(0), Taken),
        (json!(now.to_string()), Invalid),
        (json!([now]), Invalid),
        (json!(false), Invalid),
        (Value::Null, Taken),
    ] {
        all.push(variant(format!("nbf {value}"), base.with("nbf", value), verdict));
    }
    // It says when a token was made, and decides nothing (RFC 7519, 4.1.6).
    for value in [json!(0), json!(now + 86_400), json!(-1.5), json!("now"), Value::Null] {
        all.push(variant(format!("iat {value}"), base.with("iat", value), Taken));
    }
    for number in
        ["NaN", "Infinity", "1e400", "0x7fffffff", "+1900000000", "01900000000", "1900000000.", "--1"]
    {
        let text = base.claims.to_string();
        let exp = format!("\"exp\":{}", base.claims["exp"]);
        assert!(text.contains(&exp));
        let token = base.with_claims(text.replace(&exp, &format!("\"exp\":{number}")));
        all.push(variant(format!("exp {number}, which is no number of JSON"), token, Invalid));
    }
    all
}

fn grants(base: &Base) -> Vec<Variant> {
    let both = json!(["pull", "push"]);
    let one =
        |kind: &str, name: &str, actions: &Value| json!([{ "type": kind, "name": name, "actions": actions }]);
    let app = |actions: Value| one("repository", "team/app", &actions);
    let mut all = Vec::new();
    for (value, verdict) in [
        (app(json!(["*"])), Taken),
        (app(json!(["push", "pull", "push", "fly"])), Taken),
        (json!([app(json!(["pull"]))[0], app(json!(["push"]))[0]]), Taken),
        (Value::Null, Less),
        (json!([]), Less),
        (app(json!(["pull"])), Less),
        (app(json!(["push"])), Less),
        (app(json!(["PULL", "PUSH"])), Less),
        (app(json!(["pull,push"])), Less),
        (app(json!(["pull push"])), Less),
        (app(json!(["pull", "push\0"])), Less),
        (app(json!(["pull", "**"])), Less),
        (app(json!([])), Less),
        (app(Value::Null), Less),
        (one("repository", "team/other", &both), Less),
        (one("repository", "team", &both), Less),
        (one("repository", "team/app/x", &both), Less),
        (one("repository", "team/*", &both), Less),
        (one("repository", "**", &both), Less),
        (one("repository", "*", &both), Less),
        (one("repository", "", &both), Less),
        (one("repository", "/team/app", &both), Less),
        (one("repository", "team/app/", &both), Less),
        (one("repository", "team//app", &both), Less),
        (one("repository", "team/x/../app", &both), Less),
        (one("repository", "team%2Fapp", &both), Less),
        (one("repository", "TEAM/APP", &both), Less),
        (one("repository", "team/аpp", &both), Less),
        (one("repository", "registry.example/team/app", &both), Less),
        (one("Repository", "team/app", &both), Less),
        (one("repository(plugin)", "team/app", &both), Less),
        (one("registry", "team/app", &both), Less),
        (one("", "team/app", &both), Less),
        (json!([{ "type": "repository", "name": "team/app" }]), Less),
        (json!([{ "name": "team/app", "actions": both }]), Less),
        (json!([{ "Type": "repository", "Name": "team/app", "Actions": both }]), Less),
        (json!([{}]), Less),
        (json!(["repository:team/app:pull,push"]), Invalid),
        (json!("repository:team/app:pull,push"), Invalid),
        (app(both.clone())[0].clone(), Invalid),
        (json!([["repository", "team/app", both]]), Invalid),
        (json!([app(both.clone())]), Invalid),
        (json!([null]), Invalid),
        (json!([app(both.clone())[0], null]), Invalid),
        (app(json!("push")), Invalid),
        (app(json!({ "push": true })), Invalid),
        (app(json!([["pull", "push"]])), Invalid),
        (app(json!(["pull", "push", null])), Invalid),
        (json!([{ "type": null, "name": "team/app", "actions": both }]), Invalid),
        (json!([{ "type": "repository", "name": ["team/app"], "actions": both }]), Invalid),
        (json!(true), Invalid),
        (json!(7), Invalid),
    ] {
        all.push(variant(format!("access {value}"), base.with("access", value), verdict));
    }
    all.push(variant("no access", base.without("access"), Less));
    let many = vec![app(json!(["pull", "push"]))[0].clone(); 20_000];
    all.push(variant("access of a megabyte", base.with("access", json!(many)), Invalid));
    all
}

fn texts(base: &Base) -> Vec<Variant> {
    let text = base.claims.to_string();
    let inside = |more: &str| text.replacen('{', &format!("{{{more},"), 1);
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let other = r#"[{"type":"repository","name":"team/app","actions":["*"]}]"#;
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("iss twice", inside(r#""iss":"other""#).into(), Invalid),
        ("aud twice", inside(r#""aud":"other""#).into(), Invalid),
        ("exp twice", inside(r#""exp":1"#).into(), Invalid),
        ("nbf twice", inside(r#""nbf":1"#).into(), Invalid),
        ("sub twice", inside(r#""sub":"carol""#).into(), Invalid),
        ("cred twice", inside(r#""cred":"none","cred":"none""#).into(), Invalid),
        ("access twice", inside(&format!(r#""access":{other}"#)).into(), Invalid),
        ("access twice, once in escapes", inside(&format!(r#""\u0061ccess":{other}"#)).into(), Invalid),
        ("actions twice", text.replacen(r#""actions":"#, r#""actions":["*"],"actions":"#, 1).into(), Invalid),
        ("a list", "[]".into(), Invalid),
        ("a text", "\"sub\"".into(), Invalid),
        ("null", "null".into(), Invalid),
        ("nothing", "".into(), Invalid),
        ("a form", "sub=alice".into(), Invalid),
        ("an empty object", "{}".into(), Invalid),
        ("a second object behind it", format!("{text}{text}").into(), Invalid),
        ("a byte behind it", format!("{text}\0").into(), Invalid),
        ("a mark of byte order", format!("\u{feff}{text}").into(), Invalid),
        ("UTF-16", utf_16, Invalid),
        (
            "bytes that are no text, where nothing is read",
            [b"{\"x\":\"\xff\",", &text.as_bytes()[1..]].concat(),
            Invalid,
        ),
        ("half a character, where nothing is read", inside(r#""x":"\ud800""#).into(), Taken),
        ("single quotes", text.replace('"', "'").into(), Invalid),
        ("a comma at the end", format!("{},}}", &text[..text.len() - 1]).into(), Invalid),
        ("a comment", format!("{text}// x").into(), Invalid),
        ("blanks behind it", format!("{text} \n\t ").into(), Taken),
        ("blanks up to 200 KB", format!("{text}{}", " ".repeat(200_000)).into(), Invalid),
        (
            "claims that differ by case",
            inside(r#""ISS":"other","Aud":"other","EXP":1,"Sub":"carol","Access":[]"#).into(),
            Taken,
        ),
        ("an unknown claim", inside(r#""x":{"iss":"other"}"#).into(), Taken),
        ("an unknown claim twice", inside(r#""x":1,"x":2"#).into(), Taken),
    ];
    let mut all: Vec<Variant> = cases
        .into_iter()
        .map(|(what, claims, verdict)| variant(format!("claims: {what}"), base.with_claims(claims), verdict))
        .collect();
    // It must not overflow a stack.
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let unread = inside(&format!(r#""x":{}"#, deep("[", "]")));
    all.push(variant("claims: an unknown one that is deep", base.with_claims(unread), Taken));
    for (claim, verdict) in [("aud", Invalid), ("exp", Invalid), ("access", Invalid)] {
        let mut claims = base.claims.clone();
        claims[claim] = json!("DEEP");
        for deep in [deep("[", "]"), deep(r#"{"a":"#, "}").replace(":}", ":1}")] {
            let token = base.with_claims(claims.to_string().replace("\"DEEP\"", &deep));
            all.push(variant(format!("claims: {claim} that is deep"), token, verdict));
        }
    }
    all
}
