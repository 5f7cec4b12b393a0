//! `TagOrder`: an order of the tags of a repository.

use sampan_engine::Dated;
use sampan_engine::oci::Tag;

use crate::order::VersionKey;

/// An order of the list of tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TagOrder {
    Pushed,
    Version,
    Name,
    Size,
}

impl TagOrder {
    pub(super) fn of_code(code: &str) -> Option<Self> {
        [Self::Pushed, Self::Version, Self::Name, Self::Size].into_iter().find(|sort| sort.code() == code)
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Version => "version",
            Self::Name => "name",
            Self::Size => "size",
        }
    }

    /// The newest first; tags of the same time by version. Without sizes, [`Size`](Self::Size) is that order too.
    pub(super) fn sort(self, tags: &mut Vec<Dated<Tag>>) {
        match self {
            Self::Name => tags.sort_unstable_by(|a, b| a.what.as_str().cmp(b.what.as_str())),
            Self::Version => sort_by_version(tags),
            Self::Pushed | Self::Size => {
                tags.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| by_version(a, b)));
            }
        }
    }
}

/// Sorts tags by their sizes, which are in the same order as the tags: the largest first, and those of one size by push. Returns
/// the number of tags without a size, which come last.
pub(super) fn sort_by_size(tags: &mut Vec<Dated<Tag>>, sizes: &[Option<u64>]) -> usize {
    let mut sized: Vec<(Option<u64>, Dated<Tag>)> = sizes.iter().copied().zip(tags.drain(..)).collect();
    sized.sort_unstable_by(|(size, a), (other, b)| {
        other.cmp(size).then_with(|| b.at.cmp(&a.at)).then_with(|| by_version(a, b))
    });
    tags.extend(sized.into_iter().map(|(_, tag)| tag));
    sizes.iter().filter(|size| size.is_none()).count()
}

/// Parses each version once: a comparison of two that parses both takes longer than all else of a sort.
fn sort_by_version(tags: &mut Vec<Dated<Tag>>) {
    let mut keys: Vec<(VersionKey<'_>, usize)> =
        tags.iter().enumerate().map(|(place, tag)| (VersionKey::of(tag.what.as_str()), place)).collect();
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let order: Vec<usize> = keys.into_iter().map(|(_, place)| place).collect();
    let mut unsorted: Vec<Option<Dated<Tag>>> = tags.drain(..).map(Some).collect();
    tags.extend(order.into_iter().filter_map(|place| unsorted.get_mut(place)?.take()));
}

fn by_version(a: &Dated<Tag>, b: &Dated<Tag>) -> std::cmp::Ordering {
    VersionKey::of(a.what.as_str()).cmp(&VersionKey::of(b.what.as_str()))
}
