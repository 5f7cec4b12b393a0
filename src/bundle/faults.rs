//! `Faults`: what a verification found, with a bound, since a damaged bundle may have millions of faults.

use crate::Fault;

/// The most faults that are kept; the rest is counted.
pub const MAX_FAULTS: usize = 1000;

/// The first [`MAX_FAULTS`] that were found, and how many followed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    kept: Vec<Fault>,
    further: u64,
}

impl Faults {
    /// Adds a fault; its text is made only if it is kept.
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> Fault) {
        match self.kept.len() < MAX_FAULTS {
            true => self.kept.push(fault()),
            false => self.further += 1,
        }
    }

    /// The first one, if there is any.
    pub(crate) fn into_first(self) -> Option<Fault> {
        self.kept.into_iter().next()
    }

    /// The kept ones in the order of the bundle, and the number of further ones.
    pub(crate) fn into_sorted(mut self) -> (Vec<Fault>, u64) {
        self.kept.sort_by(|a, b| (a.offset, &a.problem).cmp(&(b.offset, &b.problem)));
        (self.kept, self.further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_millions_of_faults_some_are_kept_and_the_rest_is_counted() {
        let mut faults = Faults::default();
        for offset in (0..1_500).rev() {
            let problem = format!("wrong at {offset}");
            faults.add(|| Fault { entry: "entry".to_owned(), file: None, part: None, offset, problem });
        }
        let (kept, further) = faults.into_sorted();
        assert_eq!((kept.len(), further), (MAX_FAULTS, 500));
        assert!(kept.is_sorted_by_key(|fault| fault.offset));
    }
}
