//! `Keep`: which snapshots stay.

use std::collections::{BTreeMap, HashSet};

use time::OffsetDateTime;

use super::{SnapshotId, Summary};

/// How many snapshots stay of all repositories, and as many of each selection: of the latest hours, days, weeks, months and
/// years that have any, the last one each. All are of UTC; weeks are those of ISO 8601.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Keep {
    /// The latest snapshots, whenever they were made.
    pub last: usize,
    /// Hours.
    pub hourly: usize,
    /// Days.
    pub daily: usize,
    /// Weeks.
    pub weekly: usize,
    /// Months.
    pub monthly: usize,
    /// Years.
    pub yearly: usize,
}

/// The period in which a snapshot was made: two numbers that no other period has.
type PeriodOf = fn(SnapshotId) -> (i64, i64);

impl Keep {
    /// Whether the rules keep no snapshot.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The snapshots that stay, with the reasons. A snapshot of some repositories displaces none of all, or of others.
    pub(super) fn of(&self, all: &[Summary]) -> BTreeMap<SnapshotId, Vec<&'static str>> {
        let mut selections: BTreeMap<(bool, &[String]), Vec<SnapshotId>> = BTreeMap::new();
        for Summary { id, is_everything, selected, .. } in all {
            selections.entry((*is_everything, selected)).or_default().push(*id);
        }
        selections.into_values().flat_map(|ids| self.of_one_selection(ids)).collect()
    }

    fn of_one_selection(&self, all: Vec<SnapshotId>) -> BTreeMap<SnapshotId, Vec<&'static str>> {
        let mut kept: BTreeMap<SnapshotId, Vec<&'static str>> = BTreeMap::new();
        let mut newest_first = all;
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        for (reason, count, period) in self.rules() {
            let mut periods = HashSet::new();
            for id in &newest_first {
                if periods.len() == count {
                    break;
                }
                if periods.insert(period(*id)) {
                    kept.entry(*id).or_default().push(reason);
                }
            }
        }
        kept
    }

    fn rules(&self) -> [(&'static str, usize, PeriodOf); 6] {
        [
            ("last", self.last, |id| (id.0.cast_signed(), 0)),
            ("hourly", self.hourly, |id| (id.0.cast_signed() / 3600, 0)),
            ("daily", self.daily, |id| (id.0.cast_signed() / 86400, 0)),
            ("weekly", self.weekly, |id| {
                let (year, week, _) = date(id).to_iso_week_date();
                (year.into(), week.into())
            }),
            ("monthly", self.monthly, |id| (date(id).year().into(), u8::from(date(id).month()).into())),
            ("yearly", self.yearly, |id| (date(id).year().into(), 0)),
        ]
    }
}

fn date(id: SnapshotId) -> time::Date {
    let time = OffsetDateTime::from_unix_timestamp(id.0.cast_signed());
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn id(text: &str) -> SnapshotId {
        let time = OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339).unwrap();
        SnapshotId(time.unix_timestamp().cast_unsigned())
    }

    fn summary(id: SnapshotId, selected: &[&str]) -> Summary {
        let is_everything = selected.is_empty();
        let selected = selected.iter().map(ToString::to_string).collect();
        let (from, totals) = (String::new(), super::super::Totals::default());
        Summary { id, from, is_everything, selected, vanished: Vec::new(), totals }
    }

    fn kept(keep: Keep, all: &[&str]) -> Vec<String> {
        let all: Vec<Summary> = all.iter().map(|text| summary(id(text), &[])).collect();
        let reasons = |(id, reasons): (&SnapshotId, &Vec<&str>)| format!("{id} {}", reasons.join("+"));
        keep.of(&all).iter().map(reasons).collect()
    }

    #[test]
    fn of_each_period_the_last_snapshot_stays() {
        let all = [
            "2026-11-01T08:00:00",
            "2026-11-23T23:59:59",
            "2026-11-27T01:00:00",
            "2026-11-27T02:00:00",
            "2026-11-29T10:05:00",
            "2026-11-29T10:55:00",
            "2026-11-29T11:05:00",
        ];
        let none = Keep::default();
        for (keep, expected) in [
            (Keep { last: 1, ..none }, vec!["2026-11-29T11:05:00Z last"]),
            (Keep { hourly: 2, ..none }, vec!["2026-11-29T10:55:00Z hourly", "2026-11-29T11:05:00Z hourly"]),
            (
                Keep { daily: 3, last: 1, ..none },
                vec![
                    "2026-11-23T23:59:59Z daily",
                    "2026-11-27T02:00:00Z daily",
                    "2026-11-29T11:05:00Z last+daily",
                ],
            ),
            // The 23rd is a Monday, of the same week as the 29th.
            (Keep { weekly: 9, ..none }, vec!["2026-11-01T08:00:00Z weekly", "2026-11-29T11:05:00Z weekly"]),
            (Keep { monthly: 3, yearly: 3, ..none }, vec!["2026-11-29T11:05:00Z monthly+yearly"]),
            (none, vec![]),
        ] {
            assert_eq!(kept(keep, &all), expected, "{keep:?}");
        }
        assert_eq!(
            kept(Keep { weekly: 2, ..none }, &["2026-12-31T00:00:00", "2027-01-01T00:00:00"]),
            ["2027-01-01T00:00:00Z weekly"],
            "a week of two years"
        );
    }

    proptest! {
        #[test]
        fn the_newest_stays_and_more_to_keep_keeps_no_less(
            all in prop::collection::hash_map(0_u64..4_000_000_000, 0_usize..3, 1..40),
            counts in prop::array::uniform6(0_usize..4),
            more in 0_usize..6,
        ) {
            let selected = |place: usize| [&[][..], &["lib"], &["team/**"]][place];
            let all: Vec<Summary> =
                all.into_iter().map(|(id, of)| summary(SnapshotId(id), selected(of))).collect();
            let keep = |[last, hourly, daily, weekly, monthly, yearly]: [usize; 6]| {
                Keep { last, hourly, daily, weekly, monthly, yearly }
            };
            let few = keep(counts).of(&all);
            prop_assert_eq!(few.is_empty(), keep(counts).is_nothing());
            if !few.is_empty() {
                for one in &all {
                    let same = all.iter().filter(|other| other.selected == one.selected);
                    prop_assert!(few.contains_key(&same.map(|it| it.id).max().unwrap()));
                }
            }
            let mut greater = counts;
            greater[more] += 1;
            let many = keep(greater).of(&all);
            prop_assert!(few.keys().all(|id| many.contains_key(id)));
            // A second prune keeps the same snapshots.
            let left: Vec<Summary> = all.into_iter().filter(|it| few.contains_key(&it.id)).collect();
            prop_assert_eq!(&keep(counts).of(&left), &few);
        }
    }
}
