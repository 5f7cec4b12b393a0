//! `Identity`: the client that asks.

use std::sync::Arc;

use sampan_engine::AccessTokenId;

use super::policy::Rights;

/// The client that asks, as far as its credentials prove it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// A client without credentials.
    Anonymous,
    /// A user by its name.
    User(String),
    /// A token of a program, or of a user.
    Robot(Arc<Robot>),
}

/// A token with rights of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Robot {
    /// The token's id.
    pub id: AccessTokenId,
    /// The token's name.
    pub name: String,
    /// The rights that its record gives.
    pub rights: Rights,
    /// The user for whom it acts: it can do nothing that the user cannot do.
    pub on_behalf_of: Option<String>,
}

impl Identity {
    /// Whether credentials prove a name.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }

    /// The id of its access token, if it is one.
    pub fn token(&self) -> Option<AccessTokenId> {
        match self {
            Self::Robot(robot) => Some(robot.id),
            Self::Anonymous | Self::User(_) => None,
        }
    }

    /// The name for logs and messages; `anonymous` for a client without credentials.
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User(name) => name,
            Self::Robot(robot) => &robot.name,
        }
    }
}
