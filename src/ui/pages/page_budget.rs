//! `FittedList`: the part of a list that a page has room for.

/// The markup of a row, in bytes.
const MARKUP_BYTES: usize = 200;

/// The room of a page for lists, in bytes.
pub(crate) struct PageBudget(usize);

impl PageBudget {
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let rest = self.0.checked_sub(bytes + MARKUP_BYTES);
        self.0 = rest.unwrap_or(0);
        rest.is_some()
    }
}

/// The part of a list that fits, and the number of the others.
pub(crate) struct FittedList<T> {
    pub(crate) items: Vec<T>,
    pub(crate) others: usize,
}

impl<T> FittedList<T> {
    /// A list without items.
    pub(crate) fn empty() -> Self {
        Self { items: Vec::new(), others: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes from the beginning of a list as long as there is room. `show` returns an item and the length of its text.
    pub(crate) fn of<A>(
        room: &mut PageBudget,
        all: impl ExactSizeIterator<Item = A>,
        mut show: impl FnMut(A) -> (T, usize),
    ) -> Self {
        let count = all.len();
        let mut items = Vec::new();
        for (item, length) in all.map(&mut show) {
            if !room.take(length) {
                break;
            }
            items.push(item);
        }
        Self { others: count - items.len(), items }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_where_its_room_does() {
        let mut room = PageBudget::of(3 * (MARKUP_BYTES + 10));
        let fitting = FittedList::of(&mut room, ["a"; 5].iter(), |text| (*text, 10));
        assert_eq!((fitting.items.len(), fitting.others, fitting.len()), (3, 2, 5));
        let none = FittedList::of(&mut room, ["b"].iter(), |text| (*text, 0));
        assert_eq!((none.items.len(), none.others), (0, 1));
    }
}
