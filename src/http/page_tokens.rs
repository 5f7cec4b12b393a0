//! The access tokens of the web page's visitors: the bridge from its forms to `auth`.

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use http::request::Parts;
use sampan_engine::Error;
use sampan_ui::{AccessTokens, CannotCreateToken, NewSecret, TokenField, TokenForm, VisitorToken};

use super::credentials::presented;
use crate::auth::{CannotCreate, InvalidToken, NewToken, OwnToken, OwnTokens};

#[async_trait]
impl AccessTokens for OwnTokens {
    fn longest(&self) -> Option<Duration> {
        self.longest()
    }

    async fn list(&self, user: &str) -> Result<Vec<VisitorToken>, Error> {
        Ok(self.list(user).await?.into_iter().map(shown).collect())
    }

    async fn create(
        &self,
        request: &Parts,
        user: &str,
        form: TokenForm,
    ) -> Result<NewSecret, CannotCreateToken> {
        let token = NewToken {
            may: parsed(TokenField::Rights, &form.may)?,
            on: parsed(TokenField::Rights, &form.on)?,
            except: parsed(TokenField::Rights, &form.except)?,
            lifetime: form.expires.parse().map_err(|reason| invalid(TokenField::Expires, reason))?,
            name: form.name,
            note: form.note,
            on_behalf_of: None,
            created_by: String::new(),
        };
        let (secret, record) = self.create(&presented(request), user, token).await.map_err(refusal)?;
        Ok(NewSecret { name: record.name, secret: secret.reveal() })
    }

    async fn revoke(&self, request: &Parts, user: &str, id: &str) -> Result<Option<String>, Error> {
        self.revoke(&presented(request), user, id).await
    }
}

fn shown(OwnToken { token, last_use }: OwnToken) -> VisitorToken {
    VisitorToken {
        id: token.id.to_string(),
        created: token.record.created(),
        ends: token.ends,
        has_ended: token.has_ended(),
        last_use,
        name: token.record.name,
        note: token.record.note,
        may: token.record.may,
        on: token.record.on,
        except: token.record.except,
    }
}

fn parsed<T: FromStr<Err: ToString>>(
    field: TokenField,
    texts: &[String],
) -> Result<Vec<T>, CannotCreateToken> {
    let parse = |text: &String| text.parse().map_err(|error: T::Err| invalid(field, error.to_string()));
    texts.iter().map(parse).collect()
}

fn invalid(field: TokenField, reason: String) -> CannotCreateToken {
    CannotCreateToken::Invalid { field, reason }
}

fn refusal(refusal: CannotCreate) -> CannotCreateToken {
    match refusal {
        CannotCreate::Invalid(error) => {
            let field = match &error {
                InvalidToken::Name => TokenField::Name,
                InvalidToken::Note => TokenField::Note,
                InvalidToken::Rights(_) | InvalidToken::Size(_) | InvalidToken::Json(_) => TokenField::Rights,
                InvalidToken::Ended(_) | InvalidToken::Lifetime { .. } => TokenField::Expires,
            };
            invalid(field, error.to_string())
        }
        CannotCreate::Taken(name) => CannotCreateToken::Taken(name),
        CannotCreate::TooMany(most) => CannotCreateToken::TooMany(most),
        CannotCreate::Store(error) => CannotCreateToken::Store(error),
    }
}
