//! `Latest`: the latest of many items, bounded in bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::SystemTime;

use crate::{Dated, TagTimes};

/// The latest items that fit into a number of bytes.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    /// The earliest is on top; of items of one time, the last in order.
    heap: BinaryHeap<Reverse<(SystemTime, Reverse<T>)>>,
    room_bytes: usize,
    text_bytes: fn(&T) -> usize,
    left_out: u64,
}

impl<T: Ord> Latest<T> {
    pub(crate) fn new(room_bytes: usize, text_bytes: fn(&T) -> usize) -> Self {
        Self { heap: BinaryHeap::new(), room_bytes, text_bytes, left_out: 0 }
    }

    pub(crate) fn add(&mut self, Dated { at, what }: Dated<T>) {
        let needed = self.bytes(&what);
        self.heap.push(Reverse((at, Reverse(what))));
        self.room_bytes = match self.room_bytes.checked_sub(needed) {
            Some(room) => room,
            None => self.make_room(needed - self.room_bytes),
        };
    }

    /// Drops the earliest items until there are `needed` bytes more; returns what is left over.
    fn make_room(&mut self, needed: usize) -> usize {
        let mut freed = 0;
        while freed < needed
            && let Some(Reverse((_, Reverse(earliest)))) = self.heap.pop()
        {
            freed += self.bytes(&earliest);
            self.left_out += 1;
        }
        freed.saturating_sub(needed)
    }

    /// The text, its allocation and the time.
    fn bytes(&self, what: &T) -> usize {
        (self.text_bytes)(what) + 64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(crate) fn into_times(self) -> TagTimes<T> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        let items = sorted.map(|Reverse((at, Reverse(what)))| Dated { at, what }).collect();
        TagTimes { items, left_out: self.left_out }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::oci::Tag;
    use crate::tag_times::MAX_TAG_BYTES;

    fn pointed(secs: u64, what: &str) -> Dated<Tag> {
        Dated { at: SystemTime::UNIX_EPOCH + Duration::from_secs(secs), what: what.parse().unwrap() }
    }

    fn latest(room_bytes: usize, items: &[(u64, &str)]) -> (Vec<String>, u64) {
        let mut latest = Latest::new(room_bytes, |tag: &Tag| tag.as_str().len());
        items.iter().for_each(|(secs, what)| latest.add(pointed(*secs, what)));
        let times = latest.into_times();
        (times.items.iter().map(|item| item.what.to_string()).collect(), times.left_out)
    }

    #[test]
    fn the_latest_come_first_and_those_of_one_time_by_name() {
        let items = [(5, "b"), (9, "z"), (5, "a"), (7, "c"), (5, "c")];
        assert_eq!(latest(1000, &items), (["z", "c", "a", "b", "c"].map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn the_earliest_are_left_out_where_there_is_no_room() {
        let items = [(5, "b"), (9, "z"), (5, "a"), (7, "c"), (6, "d")];
        assert_eq!(latest(2 * 65, &items), (["z", "c"].map(str::to_owned).to_vec(), 3));
        assert_eq!(latest(2 * 65 + 64, &items), (["z", "c"].map(str::to_owned).to_vec(), 3));
        let long = "x".repeat(128);
        let items = [(1, "a"), (2, "b"), (3, long.as_str()), (4, "c")];
        assert_eq!(latest(192 + 65, &items), (vec!["c".to_owned(), long.clone()], 2));
        assert_eq!(latest(64, &items), (Vec::new(), 4));
    }

    #[test]
    fn a_hundred_thousand_of_the_longest_tags_take_no_more_than_their_share() {
        let mut latest = Latest::new(MAX_TAG_BYTES, |tag: &Tag| tag.as_str().len());
        for number in 0..100_000 {
            latest.add(pointed(number, &format!("{number:0>128}")));
        }
        let times = latest.into_times();
        assert_eq!(times.items.len(), MAX_TAG_BYTES / 192);
        assert_eq!(times.items.len() as u64 + times.left_out, 100_000);
        assert_eq!(times.items[0].what.as_str(), format!("{:0>128}", 99_999));
    }
}
