//! Places in the log: snapshots, which say of every transaction whether it had committed.

use std::fmt;
use std::str::FromStr;

use store_core::facet::LogCursor;
use store_core::{Error, ErrorKind, Role};

/// A place in the log: a snapshot, and the timeline that it belongs to. After a standby took over, the same numbers mean other transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) timeline: u32,
    pub(crate) snapshot: Snapshot,
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
}

impl Place {
    /// Whether this place is not before `now` in one history: another server took over meanwhile, or a backup was restored.
    pub(crate) fn is_foreign_to(&self, now: &Place) -> bool {
        self.timeline != now.timeline || self.snapshot.end > now.snapshot.end
    }

    pub(crate) fn parse(cursor: &LogCursor) -> Result<Self, Error> {
        let (timeline, snapshot) = cursor.as_str().split_once('/').ok_or_else(malformed)?;
        let timeline = u32::from_str_radix(timeline, 16).map_err(|_| malformed())?;
        Ok(Place { timeline, snapshot: snapshot.parse()? })
    }

    pub(crate) fn to_cursor(&self) -> LogCursor {
        LogCursor::new(format!("{:08X}/{}", self.timeline, self.snapshot))
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
        for text in ["00000001/5:5:", "0000000A/740:760:740,755"] {
            assert_eq!(place(text).to_cursor().as_str(), text);
        }
        for text in [
            "",
            "5:5:",
            "1/",
            "1/5:5",
            "1/5:5:5",
            "1/9:5:",
            "1/0:5:",
            "1/5:9:6,5",
            "1/5:9:5,5",
            "1/5:9:9",
            "1/5:9:5:",
            "1/+5:9:",
            "1/5:9:x",
            "g/5:9:",
            "1/5:99999999999999999999:",
            "' OR TRUE",
        ] {
            let error = Place::parse(&LogCursor::new(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{text}");
        }
    }

    #[test]
    fn a_place_of_another_history_is_told() {
        let now = place("2/100:200:");
        assert!(!place("2/50:200:").is_foreign_to(&now));
        assert!(place("1/50:90:").is_foreign_to(&now));
        assert!(place("2/50:201:").is_foreign_to(&now));
    }
}
