//! Places in the log: snapshots, which say of every transaction whether it had committed.

use std::fmt;
use std::str::FromStr;

use store_core::facet::LogCursor;
use store_core::{Error, ErrorKind, Role};

/// A place in the log: a snapshot, and the log and the timeline that it belongs to. The databases of one server number their transactions together, and so
/// does one that is restored there; after a standby took over, the same numbers mean other transactions.
///
/// As a cursor: `log/timeline/lsn/witness/begin:end:running,running`, the first three in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// A hash of what tells the log from those of other servers and databases, and from one that lay here before the database or the tables were made anew.
    pub(crate) log: u64,
    pub(crate) timeline: u32,
    /// A position in the WAL behind the commits of all transactions that had ended in the snapshot: a replica that has replayed it shows them.
    pub(crate) lsn: u64,
    /// What stands in the log for the history that led here, if there is a row.
    pub(crate) witness: Option<Witness>,
    pub(crate) snapshot: Snapshot,
}

/// The last row of the log: an older copy of the server's files that was put back comes to the same transaction, but not at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) transaction: u64,
    /// In microseconds since 1970.
    pub(crate) at: i64,
}

/// Which transactions had ended: those below `end` that are not in `running`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    begin: u64,
    end: u64,
    running: Vec<u64>,
}

impl Snapshot {
    /// The transaction before which all had ended.
    pub(crate) fn begin(&self) -> u64 {
        self.begin
    }

    /// The transaction from which on none had ended.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The transactions before [`end`](Self::end) that had not ended.
    pub(crate) fn running(&self) -> &[u64] {
        &self.running
    }

    /// The same of transactions up to `last` alone: those beyond count as not ended.
    fn up_to(mut self, last: u64) -> Snapshot {
        self.end = self.end.min(last.saturating_add(1));
        self.begin = self.begin.min(self.end);
        self.running.retain(|transaction| *transaction < self.end);
        self
    }

    /// Whether every transaction that had ended in `earlier` had ended here.
    fn covers(&self, earlier: &Snapshot) -> bool {
        let was_running = |transaction: &u64| earlier.running.binary_search(transaction).is_ok();
        let ran_on = self.running.iter().take_while(|transaction| **transaction < earlier.end).all(was_running);
        // Those that are unknown here, being at or above the end, must have been running there.
        let unknown = earlier.running.len() - earlier.running.partition_point(|transaction| *transaction < self.end);
        ran_on && unknown as u64 == earlier.end.saturating_sub(self.end)
    }
}

impl Place {
    /// Whether this place is not before `now` in one history: another server took over meanwhile, or a backup was restored.
    pub(crate) fn is_foreign_to(&self, now: &Place) -> bool {
        !self.shares_history_with(now) || self.snapshot.end > now.snapshot.end
    }

    /// The same place for a follower that takes nothing for ended beyond the last transaction that it knows to be on the server's disk.
    pub(crate) fn known_to_last(self, last: u64) -> Place {
        Place { snapshot: self.snapshot.up_to(last), ..self }
    }

    fn shares_history_with(&self, other: &Place) -> bool {
        (self.log, self.timeline) == (other.log, other.timeline)
    }

    /// Whether a follower here has read all that one at `earlier` had.
    pub(crate) fn covers(&self, earlier: &Place) -> bool {
        self.shares_history_with(earlier) && self.snapshot.covers(&earlier.snapshot)
    }

    pub(crate) fn parse(cursor: &LogCursor) -> Result<Self, Error> {
        let mut parts = cursor.as_str().splitn(5, '/');
        let (Some(log), Some(timeline), Some(lsn)) = (parts.next(), parts.next(), parts.next()) else { return Err(malformed()) };
        let (Some(witness), Some(snapshot)) = (parts.next(), parts.next()) else { return Err(malformed()) };
        let timeline = u32::try_from(hexadecimal(timeline)?).map_err(|_| malformed())?;
        let witness = if witness.is_empty() { None } else { Some(witness.parse()?) };
        Ok(Place { log: hexadecimal(log)?, timeline, lsn: hexadecimal(lsn)?, witness, snapshot: snapshot.parse()? })
    }

    pub(crate) fn to_cursor(&self) -> LogCursor {
        let witness = self.witness.map(|witness| witness.to_string()).unwrap_or_default();
        LogCursor::new(format!("{:016X}/{:08X}/{:X}/{witness}/{}", self.log, self.timeline, self.lsn, self.snapshot))
    }
}

/// `transaction@at`, as the log is asked for it.
impl FromStr for Witness {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('@').and_then(|(transaction, at)| Some((transaction.parse().ok()?, at.parse().ok()?)));
        parts.map(|(transaction, at)| Witness { transaction, at }).ok_or_else(malformed)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.transaction, self.at)
    }
}

/// As PostgreSQL writes it: `begin:end:running,running`.
impl FromStr for Snapshot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| malformed()),
            false => Err(malformed()),
        };
        let mut parts = text.split(':');
        let (Some(begin), Some(end), Some(running), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let (begin, end) = (number(begin)?, number(end)?);
        let running = match running {
            "" => Vec::new(),
            list => list.split(',').map(number).collect::<Result<Vec<_>, _>>()?,
        };
        let is_ordered =
            running.is_sorted_by(|left, right| left < right) && running.iter().all(|transaction| (begin..end).contains(transaction));
        if begin == 0 || begin > end || !is_ordered {
            return Err(malformed());
        }
        Ok(Snapshot { begin, end, running })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.begin, self.end)?;
        for (position, transaction) in self.running.iter().enumerate() {
            write!(f, "{}{transaction}", if position > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

fn hexadecimal(text: &str) -> Result<u64, Error> {
    match text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => u64::from_str_radix(text, 16).map_err(|_| malformed()),
        false => Err(malformed()),
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidQuery, "the log cursor is not one of this tier; start again from the end of the log, with empty caches")
        .with_tier(Role::Truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(&LogCursor::new(text)).unwrap()
    }

    #[test]
    fn cursors_survive_their_notation_and_others_are_refused() {
        for text in [
            "0000000000000000/00000001/0//5:5:",
            "00000000000000AB/0000000A/16B3740/739@1790000000000000/740:760:740,755",
            "FFFFFFFFFFFFFFFF/FFFFFFFF/FFFFFFFFFFFFFFFF/18446744073709551615@-1/1:1:",
        ] {
            assert_eq!(place(text).to_cursor().as_str(), text);
        }
        for text in [
            "",
            "5:5:",
            "7/1/5:5:",
            "7/1/0//",
            "7/1/0//5:5",
            "7/1/0//5:5:5",
            "7/1/0//9:5:",
            "7/1/0//0:5:",
            "7/1/0//5:9:6,5",
            "7/1/0//5:9:5,5",
            "7/1/0//5:9:9",
            "7/1/0//5:9:5:",
            "7/1/0//+5:9:",
            "7/1/0//5:9:x",
            "7/1/0/0/5:9:",
            "7/1/+1//5:9:",
            "7/1///5:9:",
            "7//0//5:9:",
            "/1/0//5:9:",
            "1/0/5:9:",
            "10000000000000000/1/0//5:9:",
            "7/g/0//5:9:",
            "7/1/0//5:99999999999999999999:",
            "7/1/10000000000000000//5:9:",
            "7/100000000/0//5:9:",
            "7/1/0/5:9:",
            "7/1/0/5/5:9:",
            "7/1/0/5@/5:9:",
            "7/1/0/-5@5/5:9:",
            "' OR TRUE",
        ] {
            let error = Place::parse(&LogCursor::new(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{text}");
        }
    }

    #[test]
    fn a_place_of_another_history_is_told() {
        let now = place("7/2/0//100:200:");
        assert!(!place("7/2/0//50:200:").is_foreign_to(&now));
        assert!(place("7/1/0//50:90:").is_foreign_to(&now));
        assert!(place("7/2/0//50:201:").is_foreign_to(&now));
        assert!(place("8/2/0//50:200:").is_foreign_to(&now));
    }

    #[test]
    fn what_lies_beyond_the_last_known_transaction_has_not_ended() {
        for (last, expected) in [(0, "1:1:"), (4, "5:5:"), (6, "5:7:5"), (8, "5:9:5,7"), (11, "5:9:5,7")] {
            assert_eq!(place("7/1/9//5:9:5,7").known_to_last(last).snapshot.to_string(), expected);
        }
    }

    #[test]
    fn a_place_covers_what_had_ended_before_it() {
        for (later, earlier, expected) in [
            ("7/1/9//5:5:", "7/1/9//5:5:", true),
            ("7/1/0//5:9:5,7", "7/1/9//5:9:5,7", true),
            ("7/1/9//8:9:", "7/1/9//5:9:5,7", true),
            ("7/1/9//5:9:5,7", "7/1/9//8:9:", false),
            ("7/1/9//5:12:5,7,10", "7/1/9//5:9:5,7", true),
            ("7/1/9//5:12:6,7,10", "7/1/9//5:9:5,7", false),
            ("7/1/9//5:8:", "7/1/9//5:9:", false),
            ("7/2/9//8:9:", "7/1/9//5:9:5,7", false),
            ("8/1/9//8:9:", "7/1/9//5:9:5,7", false),
        ] {
            assert_eq!(place(later).covers(&place(earlier)), expected, "{later} after {earlier}");
        }
    }

    /// A snapshot from which transactions are running, by position from 1 on; the last few may not have begun.
    fn snapshot_of(running: &[bool], begun: usize) -> Snapshot {
        let end = begun.min(running.len()) as u64 + 1;
        let running: Vec<u64> = (1..end).filter(|transaction| running[*transaction as usize - 1]).collect();
        Snapshot { begin: running.first().copied().unwrap_or(end), end, running }
    }

    proptest::proptest! {
        #[test]
        fn covering_is_inclusion_of_what_had_ended(
            left in proptest::collection::vec(proptest::bool::ANY, 8), left_begun in 0_usize..9,
            right in proptest::collection::vec(proptest::bool::ANY, 8), right_begun in 0_usize..9,
        ) {
            let ended = |running: &[bool], begun: usize| -> std::collections::BTreeSet<usize> {
                (0..begun).filter(|position| !running[*position]).collect()
            };
            let included = ended(&right, right_begun).is_subset(&ended(&left, left_begun));
            let (left, right) = (snapshot_of(&left, left_begun), snapshot_of(&right, right_begun));
            proptest::prop_assert_eq!(left.covers(&right), included, "{} after {}", left, right);
            proptest::prop_assert_eq!(left.to_string().parse::<Snapshot>().unwrap(), left);
        }
    }
}
