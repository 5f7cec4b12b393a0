//! Headers that name another algorithm, another key, or more than they may.

use base64::engine::general_purpose::STANDARD;

use super::Verdict::{Invalid, Taken};
use super::*;

pub(super) fn variants(base: &Base) -> Vec<Variant> {
    let mut all = algorithms(base);
    all.extend(keys(base));
    all.extend(texts(base));
    all
}

fn algorithms(base: &Base) -> Vec<Variant> {
    let header = |algorithm: &Value| {
        let mut header = base.signer.header();
        header["alg"] = algorithm.clone();
        header
    };
    let mut all = Vec::new();
    for algorithm in [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!(""),
        json!("eddsa"),
        json!("EDDSA"),
        json!("EdDSA "),
        json!("EdDSA\0"),
        json!("Ed25519"),
        json!("HS256"),
        json!("RS256"),
        json!("ES256"),
        json!(["EdDSA"]),
        json!({ "EdDSA": 1 }),
        json!(0),
        Value::Null,
    ] {
        // The trusted key signs it; its public half alone must not.
        let header = header(&algorithm);
        let signed = base.with_header(header.to_string());
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        all.push(variant(format!("alg {algorithm}, unsigned"), format!("{unsigned}."), Invalid));
        all.push(variant(format!("alg {algorithm}, signed"), signed, Invalid));
    }
    let (public, header) = (base.signer.public(), header(&json!("HS256")));
    // The key as certificates have it (RFC 8410, 4).
    let der = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0], public].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let jwk = base.signer.jwk().to_string();
    for (what, secret) in [
        ("the public key", public),
        ("the public key in DER", &der),
        ("the public key in PEM", pem.as_bytes()),
        ("the public key as text", base64url(public).as_bytes()),
        ("the public JWK", jwk.as_bytes()),
        ("the key's id", base.signer.kid.as_bytes()),
        ("nothing", b""),
        ("zeros", &[0; 32]),
    ] {
        let token = hs256(secret, &header, &base.claims);
        all.push(variant(format!("HS256 with {what} as the secret"), token, Invalid));
    }
    all
}

fn keys(base: &Base) -> Vec<Variant> {
    let (mallory, claims) = (Signer::random("mallory"), base.claims.to_string());
    let with = |key: &str, value: Value| {
        let mut header = base.signer.header();
        header[key] = value;
        header
    };
    let mut known = mallory.jwk();
    known["kid"] = json!(base.signer.kid);
    let certificate = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let by_certificate = Signer::new(&certificate.serialize_der(), "mallory");
    let der = rcgen::CertificateParams::default().self_signed(&certificate).unwrap().der().to_vec();
    let url = || json!("http://127.0.0.1:9/keys");
    let by_mallory = |header: Value| mallory.sign(header.to_string(), &claims);
    let mut jwk_alone = json!({ "alg": "EdDSA", "jwk": mallory.jwk() });
    let mut all = vec![
        ("a stranger's key under a known id", by_mallory(base.signer.header())),
        ("a stranger's key and id", by_mallory(mallory.header())),
        ("a stranger's key, embedded", by_mallory(jwk_alone.clone())),
        ("a stranger's key, embedded under a known id", by_mallory(with("jwk", known.clone()))),
        ("a stranger's key, embedded beside a known id", by_mallory(with("jwk", mallory.jwk()))),
        ("a stranger's key by URL", by_mallory(with("jku", url()))),
        ("a stranger's certificate by URL", by_mallory(with("x5u", url()))),
        (
            "a stranger's certificate",
            by_certificate.sign(with("x5c", json!([STANDARD.encode(&der)])).to_string(), &claims),
        ),
        ("a certificate as one text", base.with_header(with("x5c", json!("AAAA")).to_string())),
        ("an embedded key as a list", base.with_header(with("jwk", json!([])).to_string())),
    ];
    jwk_alone["jwk"] = known;
    all.push(("a stranger's key, embedded alone under a known id", by_mallory(jwk_alone)));
    let mut all: Vec<Variant> = all.into_iter().map(|(what, token)| variant(what, token, Invalid)).collect();
    // Where no roots are configured, as here, no chain counts, and a token server's key is found by its id.
    let no_chain = base.with_header(with("x5c", json!(["AAAA"])).to_string());
    all.push(Variant { foreign: Taken, ..variant("a chain that counts for nothing", no_chain, Invalid) });
    let kid = &base.signer.kid;
    let swapped: String = kid
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    for id in [
        json!(""),
        json!("other"),
        json!(format!("../{kid}")),
        json!(format!("{kid}/")),
        json!(format!("{kid}\0")),
        json!(format!(" {kid}")),
        json!(format!("{kid}' OR '1'='1")),
        json!(swapped),
        json!([kid]),
        json!({ "kid": kid }),
        json!(0),
        Value::Null,
    ] {
        let token = base.with_header(with("kid", id.clone()).to_string());
        all.push(variant(format!("kid {id}"), token, Invalid));
    }
    let unnamed = base.with_header(json!({ "alg": "EdDSA" }).to_string());
    all.push(variant("no kid", unnamed, Invalid));
    all
}

fn texts(base: &Base) -> Vec<Variant> {
    let (header, kid) = (base.signer.header().to_string(), &base.signer.kid);
    let inside = |more: &str| header.replacen('{', &format!("{{{more},"), 1);
    let utf_16: Vec<u8> = header.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("an extension that must be understood", inside(r#""crit":["b64"],"b64":false"#).into(), Invalid),
        ("an extension that nothing knows", inside(r#""crit":["x"],"x":1"#).into(), Invalid),
        ("a known name as an extension", inside(r#""crit":["exp"]"#).into(), Invalid),
        ("an empty list of extensions", inside(r#""crit":[]"#).into(), Invalid),
        ("no list of extensions", inside(r#""crit":null"#).into(), Invalid),
        ("extensions twice over", inside(r#""crit":null,"crit":null"#).into(), Invalid),
        ("two algorithms", inside(r#""alg":"none""#).into(), Invalid),
        ("two algorithms, the second in escapes", inside(r#""\u0061lg":"none""#).into(), Invalid),
        ("two ids", inside(r#""kid":"x""#).into(), Invalid),
        ("a list", "[]".into(), Invalid),
        ("a list of values", format!(r#"["EdDSA","{kid}"]"#).into(), Invalid),
        ("a text", "\"EdDSA\"".into(), Invalid),
        ("null", "null".into(), Invalid),
        ("nothing", "".into(), Invalid),
        ("a second object behind it", format!("{header}{header}").into(), Invalid),
        ("a byte behind it", format!("{header}\0").into(), Invalid),
        ("a mark of byte order", format!("\u{feff}{header}").into(), Invalid),
        ("UTF-16", utf_16, Invalid),
        ("bytes that are no text", [&inside("\"x\":\"?\"").into_bytes()[..], b"\xff"].concat(), Invalid),
        ("a comment", format!("/* */{header}").into(), Invalid),
        ("an unclosed object", header[..header.len() - 1].into(), Invalid),
        // Names that differ by case are other names, and unknown ones mean nothing (RFC 7515, 4).
        ("another algorithm in capitals", inside(r#""Alg":"none","ALG":"HS256""#).into(), Taken),
        ("blanks between", header.replace(',', " ,\n").into(), Taken),
        ("escapes", header.replace("EdDSA", r"\u0045dDSA").into(), Taken),
        ("an unknown member", inside(r#""x":{"y":[1,null]}"#).into(), Taken),
        ("unencoded claims without `crit`", inside(r#""b64":false"#).into(), Taken),
    ];
    let mut all: Vec<Variant> = cases
        .into_iter()
        .map(|(what, text, verdict)| variant(format!("header: {what}"), base.with_header(text), verdict))
        .collect();
    // It must not overflow a stack.
    let deep = format!(r#""x":{}{}"#, "[".repeat(10_000), "]".repeat(10_000));
    all.push(variant("header: an unknown member that is deep", base.with_header(inside(&deep)), Taken));
    let deep = format!(r#""jwk":{}{}"#, r#"{"x":"#.repeat(5_000), "}".repeat(5_000));
    all.push(variant("header: a key that is deep and torn", base.with_header(inside(&deep)), Invalid));
    all
}
