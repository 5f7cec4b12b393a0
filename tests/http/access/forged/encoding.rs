//! A good token, written otherwise: only its one form counts.

use super::*;

/// The order of Ed25519's group, which added to a signature gives another one for the same bytes (RFC 8032, 5.1.7).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub(super) fn variants(base: &Base) -> Vec<Variant> {
    let good = base.token();
    let [head, body, end]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let signature = URL_SAFE_NO_PAD.decode(end).unwrap();
    let with_signature = |bytes: &[u8]| format!("{head}.{body}.{}", base64url(bytes));
    let greedy = base64url(base.claims.to_string().replace("team/app", "team/other"));
    let refused = [
        ("no signature, and no dot", format!("{head}.{body}")),
        ("an empty signature", format!("{head}.{body}.")),
        ("an empty header", format!(".{body}.{end}")),
        ("empty claims", format!("{head}..{end}")),
        ("nothing but dots", "..".to_owned()),
        ("one part", head.to_owned()),
        ("a dot before it", format!(".{good}")),
        ("a dot behind it", format!("{good}.")),
        ("two dots in the middle", format!("{head}..{body}.{end}")),
        ("five parts, as if encrypted", format!("{good}.AAAA.AAAA")),
        ("parts in another order", format!("{body}.{head}.{end}")),
        ("percent-encoded dots", good.replace('.', "%2E")),
        ("wide dots", good.replace('.', "．")),
        ("a Cyrillic letter", format!("{}а{}", &good[..9], &good[10..])),
        ("padding behind it", format!("{good}==")),
        ("padding in each part", format!("{head}=.{body}=.{end}==")),
        ("the other alphabet", good.replace('-', "+").replace('_', "/")),
        ("a mark of the other alphabet", good.replacen('_', "/", 1)),
        ("a blank before it", format!(" {good}")),
        ("a blank behind it", format!("{good} ")),
        ("a tab inside", format!("{head}.\t{body}.{end}")),
        ("quotes around it", format!("\"{good}\"")),
        ("itself twice, with a comma", format!("{good},{good}")),
        ("itself twice, with a blank", format!("{good} {good}")),
        ("parameters behind it", format!("{good};scope=\"repository:team/app:push\"")),
        ("its last letter cut off", good[..good.len() - 1].to_owned()),
        ("a letter more", format!("{good}A")),
        ("unused bits of the last letter", format!("{head}.{body}.{}", non_canonical(end))),
        ("a byte more in the signature", with_signature(&[&signature[..], &[0]].concat())),
        ("half a signature", with_signature(&signature[..32])),
        ("a signature of zeros", with_signature(&[0; 64])),
        ("the same signature in its other form", with_signature(&malleated(&signature))),
        ("other claims", format!("{head}.{greedy}.{end}")),
        ("another header", format!("{}.{body}.{end}", base64url(r#"{"alg":"EdDSA"}"#))),
        ("JSON form", json!({ "protected": head, "payload": body, "signature": end }).to_string()),
        ("a word", "token".to_owned()),
        ("the word null", "null".to_owned()),
    ];
    let mut all: Vec<Variant> =
        refused.into_iter().map(|(what, token)| variant(what, token, Verdict::Invalid)).collect();
    all.push(variant("no token", String::new(), Verdict::Missing));
    all.push(variant("the token itself", good.clone(), Verdict::Taken));
    // The trusted key signs the same bits in letters that no encoder writes.
    let header = (0..3)
        .map(|blanks| base64url(base.signer.header().to_string() + &" ".repeat(blanks)))
        .find(|text| text.len() % 4 != 0)
        .unwrap();
    all.push(variant("a header of its own letters", base.signer.sign_encoded(&header, body), Verdict::Taken));
    let odd = base.signer.sign_encoded(&non_canonical(&header), body);
    all.push(variant("a header whose last letter has unused bits", odd, Verdict::Invalid));
    let padded = base.signer.sign_encoded(&format!("{header}="), body);
    all.push(variant("a header whose padding is signed", padded, Verdict::Invalid));
    all
}

/// The same bytes in base64, with a bit set that means nothing.
fn non_canonical(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.len() % 4, 0, "there are no unused bits");
    let (rest, last) = text.split_at(text.len() - 1);
    let value = LETTERS.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    format!("{rest}{}", char::from(LETTERS[value | 1]))
}

/// The signature with the group's order added to its second half.
fn malleated(signature: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    let mut carry = 0_u16;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    bytes
}
