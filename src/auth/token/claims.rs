//! `Claims`: a token's claims, and whether they suffice.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::object::{self, Object};
use super::refusal::Refusal;
use crate::auth::Access;
use crate::auth::logged_text::LoggedText;

/// The tolerated difference between the clocks of what issued a token and of this machine, in seconds.
pub(in crate::auth) const LEEWAY_SECS: i64 = 60;

/// A token's claims. Duplicate claims are refused; unlisted ones are ignored.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::auth) struct Claims {
    #[serde(default)]
    iss: String,
    sub: Option<String>,
    #[serde(default)]
    aud: Audience,
    #[serde(default, deserialize_with = "seconds")]
    exp: Option<i64>,
    #[serde(default, deserialize_with = "seconds")]
    nbf: Option<i64>,
    #[serde(default)]
    access: Option<Vec<Object<Granted>>>,
    /// In our own tokens: the credential that the token was issued for. Others may use the name for anything.
    #[serde(default, deserialize_with = "text")]
    cred: Option<String>,
}

/// The token's audience.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The actions that a token grants on a resource. `class` is ignored, as in Distribution.
#[derive(Clone, Debug, Deserialize)]
struct Granted {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    actions: Option<Vec<String>>,
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Claims {
    pub(in crate::auth) fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        object::parse(payload).map_err(Refusal::Claims)
    }

    /// Checks that `issuer` issued the token for `service`, and that it is valid at `now` (seconds since
    /// 1970).
    pub(in crate::auth) fn check(&self, issuer: &str, service: &str, now: i64) -> Result<(), Refusal> {
        if self.iss != issuer {
            return Err(Refusal::Issuer(LoggedText::new(&self.iss)));
        }
        let audience = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Several(several) => several,
        };
        if !audience.iter().any(|audience| audience == service) {
            return Err(Refusal::Audience(LoggedText::new(&audience.join(", "))));
        }
        self.check_time(now)
    }

    pub(in crate::auth) fn check_time(&self, now: i64) -> Result<(), Refusal> {
        let expires = self.exp.ok_or(Refusal::NeverExpires)?;
        let ago = now.saturating_sub(expires);
        if ago > LEEWAY_SECS {
            return Err(Refusal::Expired(ago));
        }
        let ahead = self.nbf.unwrap_or(i64::MIN).saturating_sub(now);
        if ahead > LEEWAY_SECS {
            return Err(Refusal::NotYet(ahead));
        }
        Ok(())
    }

    /// For how many seconds the token has yet to live at `now`.
    pub(in crate::auth) fn seconds_left(&self, now: i64) -> i64 {
        self.exp.unwrap_or(i64::MAX).saturating_sub(now)
    }

    /// The approximate size in memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        let text = |text: &String| size_of::<String>() + text.len();
        let audience = match &self.aud {
            Audience::One(one) => one.len(),
            Audience::Several(several) => several.iter().map(text).sum(),
        };
        let granted = |Object(granted): &Object<Granted>| {
            let actions: usize = granted.actions.iter().flatten().map(text).sum();
            size_of::<Granted>() + granted.kind.len() + granted.name.len() + actions
        };
        let access: usize = self.access.iter().flatten().map(granted).sum();
        let texts = [&self.sub, &self.cred].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + self.iss.len() + texts + audience + access
    }

    /// The user's name; `None` for an anonymous token.
    pub(in crate::auth) fn user(&self) -> Option<&str> {
        self.sub.as_deref().filter(|user| !user.is_empty())
    }

    /// When the token expires, in seconds since 1970.
    pub(in crate::auth) fn expires(&self) -> Option<i64> {
        self.exp
    }

    /// The grants of the token: the type and name of each resource, and the actions.
    pub(in crate::auth) fn granted(&self) -> impl Iterator<Item = (&str, &str, &[String])> {
        self.access.iter().flatten().map(|Object(granted)| {
            (granted.kind.as_str(), granted.name.as_str(), granted.actions.as_deref().unwrap_or_default())
        })
    }

    /// The credential that one of our own tokens was issued for.
    pub(in crate::auth) fn credential(&self) -> Option<&str> {
        self.cred.as_deref()
    }

    /// Whether the token grants all of `wanted`. Names and actions must match exactly.
    pub(in crate::auth) fn allow(&self, wanted: &[Access]) -> bool {
        wanted.iter().all(|access| self.access.iter().flatten().any(|Object(granted)| granted.covers(access)))
    }
}

impl Granted {
    fn covers(&self, access: &Access) -> bool {
        let wanted = access.action.as_str();
        self.kind == access.resource.kind()
            && self.name == access.resource.name()
            && self.actions.iter().flatten().any(|action| action == "*" || action == wanted)
    }
}

/// Parses a text, and any other value as none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Any::deserialize(deserializer)? {
        Any::Text(text) => Some(text),
        Any::Other(IgnoredAny) => None,
    })
}

/// Parses a `NumericDate`, which may have a fraction (RFC 7519, 2).
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Date {
        Whole(i64),
        Fraction(f64),
    }
    Ok(Option::<Date>::deserialize(deserializer)?.map(|date| match date {
        Date::Whole(seconds) => seconds,
        // The cast saturates, which suits dates that far away.
        Date::Fraction(seconds) => seconds as i64,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: &str, now: i64) -> Result<(), Refusal> {
        Claims::parse(claims.as_bytes())?.check("issuer", "service", now)
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let claims = r#"{"iss":"issuer","aud":"service","exp":1000,"nbf":500}"#;
        assert_eq!(check(claims, 1060), Ok(()));
        assert_eq!(check(claims, 1061), Err(Refusal::Expired(61)));
        assert_eq!(check(claims, 440), Ok(()));
        assert_eq!(check(claims, 439), Err(Refusal::NotYet(61)));
    }

    #[test]
    fn dates_may_have_fractions_and_be_far_away() {
        assert_eq!(check(r#"{"iss":"issuer","aud":"service","exp":1000.9}"#, 1000), Ok(()));
        assert_eq!(check(r#"{"iss":"issuer","aud":"service","exp":1e300,"nbf":-1e300}"#, 1000), Ok(()));
        let far = r#"{"iss":"issuer","aud":"service","exp":9223372036854775807,"nbf":-9223372036854775808}"#;
        assert_eq!(check(far, 1000), Ok(()));
        assert!(matches!(
            check(r#"{"iss":"issuer","aud":"service","exp":"9999"}"#, 0),
            Err(Refusal::Claims(_))
        ));
    }

    #[test]
    fn a_long_text_in_the_wrong_place_is_shortened_for_the_log() {
        let long = "x".repeat(40_000);
        let refusal = Claims::parse(format!(r#"{{"access":"{long}"}}"#).as_bytes()).unwrap_err().to_string();
        assert!(refusal.contains("xxx") && refusal.len() < 300, "{} bytes: {refusal:.400}", refusal.len());
    }

    #[test]
    fn an_audience_is_one_or_several() {
        for (aud, is_ours) in [
            (r#""service""#, true),
            (r#"["other","service"]"#, true),
            (r#"["other"]"#, false),
            ("[]", false),
            (r#""service,other""#, false),
            (r#""Service""#, false),
        ] {
            let claims = format!(r#"{{"iss":"issuer","aud":{aud},"exp":1000}}"#);
            assert_eq!(check(&claims, 0).is_ok(), is_ours, "{aud}");
        }
    }

    #[test]
    fn a_duplicate_claim_is_refused() {
        for doubled in [r#""iss":"issuer""#, r#""aud":"service""#, r#""exp":1"#, r#""access":[]"#] {
            let claims = format!(r#"{{"iss":"issuer","aud":"service","exp":1000,"access":[],{doubled}}}"#);
            assert!(matches!(check(&claims, 0), Err(Refusal::Claims(_))), "{doubled}");
        }
    }

    #[test]
    fn only_the_exact_name_and_action_are_allowed() {
        let wanted = [Access::push("team/app".parse().unwrap())];
        for (granted, is_enough) in [
            (r#"{"type":"repository","name":"team/app","actions":["pull","push"]}"#, true),
            (r#"{"type":"repository","name":"team/app","actions":["*"]}"#, true),
            (r#"{"type":"repository","class":"image","name":"team/app","actions":["push"]}"#, true),
            (r#"{"type":"repository","name":"team/app","actions":["pull"]}"#, false),
            (r#"{"type":"repository","name":"team/app","actions":["Push"]}"#, false),
            (r#"{"type":"repository","name":"team/app","actions":["push "]}"#, false),
            (r#"{"type":"repository","name":"team/app","actions":["pull,push"]}"#, false),
            (r#"{"type":"repository","name":"team/app","actions":null}"#, false),
            (r#"{"type":"repository","name":"team/app"}"#, false),
            (r#"{"type":"Repository","name":"team/app","actions":["*"]}"#, false),
            (r#"{"type":"registry","name":"team/app","actions":["*"]}"#, false),
            (r#"{"type":"registry","name":"catalog","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"*","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team/*","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team/app/","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"/team/app","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team//app","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team/x/../app","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team%2fapp","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"Team/App","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team/app\u0000","actions":["*"]}"#, false),
            (r#"{"type":"repository","name":"team/\u0430pp","actions":["*"]}"#, false),
        ] {
            let claims = Claims::parse(format!(r#"{{"access":[{granted}]}}"#).as_bytes()).unwrap();
            assert_eq!(claims.allow(&wanted), is_enough, "{granted}");
        }
        for nothing in [r#"{"access":[]}"#, r#"{"access":null}"#, "{}"] {
            let claims = Claims::parse(nothing.as_bytes()).unwrap();
            assert!(!claims.allow(&wanted) && claims.allow(&[]), "{nothing}");
        }
    }
}
