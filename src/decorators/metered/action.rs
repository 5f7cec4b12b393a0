//! `Action`: a driver call, as metrics name it.

/// A driver call. The first seven are those that Distribution times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    GetContent,
    PutContent,
    Stat,
    List,
    Move,
    Delete,
    RedirectUrl,
    PutAll,
    Reader,
    Walk,
    Writer,
    Write,
    Close,
    Commit,
    Cancel,
    Revert,
}

impl Action {
    /// All actions, each at its index.
    pub(super) const ALL: [Self; 16] = [
        Self::GetContent,
        Self::PutContent,
        Self::Stat,
        Self::List,
        Self::Move,
        Self::Delete,
        Self::RedirectUrl,
        Self::PutAll,
        Self::Reader,
        Self::Walk,
        Self::Writer,
        Self::Write,
        Self::Close,
        Self::Commit,
        Self::Cancel,
        Self::Revert,
    ];

    /// The label's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::GetContent => "GetContent",
            Self::PutContent => "PutContent",
            Self::Stat => "Stat",
            Self::List => "List",
            Self::Move => "Move",
            Self::Delete => "Delete",
            Self::RedirectUrl => "RedirectURL",
            Self::PutAll => "PutAll",
            Self::Reader => "Reader",
            Self::Walk => "Walk",
            Self::Writer => "Writer",
            Self::Write => "Write",
            Self::Close => "Close",
            Self::Commit => "Commit",
            Self::Cancel => "Cancel",
            Self::Revert => "Revert",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_at_its_index() {
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(index, action as usize, "{action:?}");
        }
    }
}
