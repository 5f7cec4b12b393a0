//! `FirstItems`: the beginning of a list that may be long, for reports.

/// The first items of a list, and the number of all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirstItems<T> {
    /// The first 1,000 items.
    pub items: Vec<T>,
    /// The number of all items.
    pub count: u64,
}

/// How many items are kept.
const MAX_ITEMS: usize = 1000;

impl<T> FirstItems<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() < MAX_ITEMS {
            self.items.push(item);
        }
        self.count += 1;
    }
}

impl<T> Default for FirstItems<T> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_and_counts_everything() {
        let mut first = FirstItems::default();
        (0..5000).for_each(|number| first.push(number));
        assert_eq!((first.items.len(), first.count), (MAX_ITEMS, 5000));
    }
}
