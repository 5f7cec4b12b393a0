//! The visitor's own access tokens: what they may do, a new one, and their end.

use askama::Template;
use http::StatusCode;
use serde_json::json;

use crate::frame::Frame;
use crate::gate::{Refusal, Visitor};
use crate::language::Language;
use crate::pages::Problem;
use crate::query::query;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::tokens::{AccessTokens, CannotCreateToken, NewSecret, TokenField, TokenForm, VisitorToken};
use crate::ui::PageContext;

/// The most tokens that the page shows.
const MAX_SHOWN: usize = 200;

/// The lifetime that the form proposes, in days, unless it is too long.
const USUAL_DAYS: u64 = 90;

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage<'a> {
    f: Frame,
    user: &'a str,
    note: Option<String>,
    mistake: Option<CreationError>,
    created: Option<Created>,
    rows: Vec<Row>,
    others: usize,
    may_change: bool,
    action: String,
    token: String,
    form: Fields,
    longest: Option<String>,
}

/// Why no token was created.
struct CreationError {
    sentence: String,
    /// The details, in English.
    reason: Option<String>,
    status: StatusCode,
}

struct Created {
    name: String,
    secret: String,
    command: String,
}

struct Row {
    name: String,
    note: String,
    rights: String,
    except: String,
    created: Option<Moment>,
    ends: Option<Moment>,
    has_ended: bool,
    last_use: Option<Moment>,
    revoke: String,
}

/// The values of the fields of the form.
struct Fields {
    name: String,
    note: String,
    may: String,
    on: String,
    except: String,
    expires: String,
}

#[derive(Template)]
#[template(path = "revoke.html")]
struct RevokePage {
    f: Frame,
    name: String,
    rights: String,
    id: String,
    action: String,
    token: String,
    back: String,
}

/// Whether the visitor has tokens: by a password, since a token must not make tokens.
pub(crate) fn may_see(scene: &PageContext<'_>, visitor: &Visitor) -> bool {
    scene.access_tokens().is_some() && visitor.user.is_some() && visitor.has_password
}

fn owner<'a>(
    scene: &'a PageContext<'_>,
    visitor: &'a Visitor,
) -> Result<(&'a dyn AccessTokens, &'a str), Problem> {
    let tokens = scene.access_tokens().ok_or(Problem::NotFound)?;
    match &visitor.user {
        Some(user) if visitor.has_password => Ok((tokens, user)),
        Some(_) => Err(Problem::Off(scene.visit.language.tokens_need_password())),
        None if scene.gate().has_login() => Err(Problem::Refused(Refusal::LoginNeeded)),
        None => Err(Problem::NotFound),
    }
}

/// Shows the tokens, or asks whether to revoke one.
pub(crate) async fn show(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    let (tokens, user) = owner(scene, visitor)?;
    let Some(id) = scene.visit.query.get("revoke") else {
        return page(scene, visitor, PageMessages::default()).await;
    };
    check_writable(scene)?;
    let mut own = tokens.list(user).await?.into_iter();
    let token = own.find(|token| token.id == id).ok_or(Problem::NotFound)?;
    let f = scene.frame(Some(visitor));
    let page = RevokePage {
        rights: rights(&token),
        name: shown::text(&token.name),
        id: token.id,
        action: f.to(&Route::Tokens),
        token: scene.token(&Route::Tokens),
        back: f.to(&Route::Tokens),
        f: f.titled(scene.visit.language.revoke()),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

/// Creates a token, or revokes one.
pub(crate) async fn change(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    let (tokens, user) = owner(scene, visitor)?;
    check_writable(scene)?;
    let (t, request) = (scene.visit.language, &scene.visit.parts);
    if let Some(id) = scene.visit.form.get("revoke") {
        let note = match tokens.revoke(request, user, id).await? {
            Some(name) => t.token_revoked(&shown::text(&name)),
            None => t.token_gone(),
        };
        return page(scene, visitor, PageMessages { note: Some(note), ..PageMessages::default() }).await;
    }
    let fields = fields(scene, tokens);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let form = TokenForm {
        name: fields.name.clone(),
        note: fields.note.clone(),
        may: fields.may.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        on: words(&fields.on),
        except: words(&fields.except),
        expires: fields.expires.clone(),
    };
    let said = match tokens.create(request, user, form).await {
        Ok(NewSecret { name, secret }) => {
            let command = format!("docker login -u {} {}", shell_word(&name), scene.pull_host());
            let created = Created { name: shown::text(&name), secret, command };
            PageMessages { created: Some(created), ..PageMessages::default() }
        }
        Err(CannotCreateToken::Store(error)) => return Err(error.into()),
        Err(refusal) => {
            let mistake = mistake(t, tokens, refusal);
            PageMessages { mistake: Some(mistake), fields: Some(fields), ..PageMessages::default() }
        }
    };
    page(scene, visitor, said).await
}

fn check_writable(scene: &PageContext<'_>) -> Result<(), Problem> {
    match scene.registry().limits().read_only {
        true => Err(Problem::Off(scene.visit.language.read_only())),
        false => Ok(()),
    }
}

/// The messages that the page shows besides the list.
#[derive(Default)]
struct PageMessages {
    note: Option<String>,
    mistake: Option<CreationError>,
    created: Option<Created>,
    fields: Option<Fields>,
}

async fn page(scene: &PageContext<'_>, visitor: &Visitor, said: PageMessages) -> Result<Reply, Problem> {
    let (tokens, user) = owner(scene, visitor)?;
    let list = tokens.list(user).await?;
    if scene.visit.wants_json() && scene.visit.parts.method != http::Method::POST {
        return Ok(reply::json(StatusCode::OK, &twin(&list)));
    }
    let PageMessages { note, mistake, created, fields: given } = said;
    let status = match (&mistake, &created) {
        (Some(mistake), _) => mistake.status,
        (None, Some(_)) => StatusCode::CREATED,
        (None, None) => StatusCode::OK,
    };
    let f = scene.frame(Some(visitor));
    let page = TokensPage {
        user,
        note,
        mistake,
        created,
        others: list.len().saturating_sub(MAX_SHOWN),
        rows: list.iter().take(MAX_SHOWN).map(|token| row(&f, token)).collect(),
        may_change: !scene.registry().limits().read_only,
        action: f.to(&Route::Tokens),
        token: scene.token(&Route::Tokens),
        form: given.unwrap_or_else(|| proposal(tokens)),
        longest: tokens.longest().map(|longest| shown::duration(f.t, longest)),
        f: f.titled(scene.visit.language.tokens()),
    };
    Ok(reply::page(status, &page))
}

fn row(f: &Frame, token: &VisitorToken) -> Row {
    Row {
        name: shown::text(&token.name),
        note: shown::text(&token.note),
        rights: rights(token),
        except: shown::text(&token.except.join(" ")),
        created: token.created.and_then(Moment::of),
        ends: token.ends.and_then(Moment::of),
        has_ended: token.has_ended,
        last_use: token.last_use.and_then(Moment::of),
        revoke: format!("{}{}", f.to(&Route::Tokens), query(&[("revoke", &token.id)])),
    }
}

fn rights(token: &VisitorToken) -> String {
    shown::text(&format!("{}: {}", token.may.join(", "), token.on.join(" ")))
}

fn fields(scene: &PageContext<'_>, tokens: &dyn AccessTokens) -> Fields {
    let field = |name| scene.visit.form.get(name).unwrap_or_default().trim().to_owned();
    let expires = Some(field("expires")).filter(|it| !it.is_empty());
    Fields {
        name: field("name"),
        note: field("note"),
        may: field("may"),
        on: field("on"),
        except: field("except"),
        expires: expires.unwrap_or_else(|| proposal(tokens).expires),
    }
}

fn proposal(tokens: &dyn AccessTokens) -> Fields {
    let longest = tokens.longest().map(|longest| longest.as_secs());
    let usual = USUAL_DAYS * 86_400;
    let expires = match longest {
        Some(longest) if longest < usual && longest % 86_400 == 0 => format!("{}d", longest / 86_400),
        Some(longest) if longest < usual => format!("{longest}s"),
        _ => format!("{USUAL_DAYS}d"),
    };
    let empty = String::new;
    Fields { name: empty(), note: empty(), may: "pull".to_owned(), on: empty(), except: empty(), expires }
}

fn mistake(t: Language, tokens: &dyn AccessTokens, refusal: CannotCreateToken) -> CreationError {
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    let (sentence, reason, status) = match refusal {
        CannotCreateToken::Invalid { field, reason } => {
            let sentence = match field {
                TokenField::Name => t.token_name_rule(),
                TokenField::Note => t.token_note_rule(),
                TokenField::Rights => t.token_rights_rule(),
                TokenField::Expires => match tokens.longest() {
                    Some(longest) => t.token_expires_within(&shown::duration(t, longest)),
                    None => t.token_expires_rule(),
                },
            };
            (sentence, Some(shown::text(&reason)), invalid)
        }
        CannotCreateToken::Taken(name) => (t.token_taken(&shown::text(&name)), None, StatusCode::CONFLICT),
        CannotCreateToken::TooMany(most) => (t.token_too_many(most), None, StatusCode::CONFLICT),
        CannotCreateToken::Store(error) => (t.failed(), Some(error.to_string()), invalid),
    };
    CreationError { sentence, reason, status }
}

/// A word of a shell's command.
pub fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@+-".contains(&byte);
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The twin in JSON.
fn twin(list: &[VisitorToken]) -> serde_json::Value {
    let machine = |time| Moment::of(time).map(|moment| moment.machine);
    let tokens = list.iter().map(|token| {
        json!({
            "id": token.id,
            "name": token.name,
            "note": token.note,
            "may": token.may,
            "on": token.on,
            "except": token.except,
            "created": token.created.and_then(machine),
            "ends": token.ends.and_then(machine),
            "lastUse": token.last_use.and_then(machine),
        })
    });
    json!({ "tokens": tokens.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_command() {
        assert_eq!(shell_word("ann/ci-1"), "ann/ci-1");
        assert_eq!(shell_word("ann/$(rm x)"), "'ann/$(rm x)'");
        assert_eq!(shell_word("o'neil/ci"), r"'o'\''neil/ci'");
    }
}
