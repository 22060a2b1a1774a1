//! How a table is divided.

use super::definition::DefaultValue;
use crate::timestamp::Timestamp;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// 1969-12-29, in days since 1970: a Monday, so that weeks begin with one.
const FIRST_MONDAY: i64 = -3;

/// The partitions of a table in PostgreSQL. SQLite has none, and keeps a plain table.
///
/// ```
/// use store_core::{PartitionDefinition, Partitioning, Period, Schema, Timestamp};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(partition_by(range(created_at), every = "1 month"))]
/// struct Event {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(primary_key)]
///     created_at: Timestamp,
/// }
///
/// let by_month = PartitionDefinition { column: "created_at", partitioning: Partitioning::Range { every: Period::Months(1), ahead: 3 } };
/// assert_eq!(Event::definition().partition(), Some(&by_month));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionDefinition {
    /// The column whose value says where a row lies. It is part of the key and of every unique index.
    pub column: &'static str,
    /// By what the rows are told apart.
    pub partitioning: Partitioning,
}

/// By what the rows of a partitioned table are told apart.
///
/// ```
/// use store_core::Partitioning;
///
/// assert!(Partitioning::List { values: vec![] }.has_default() && !Partitioning::Hash { partitions: 8 }.has_default());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Partitioning {
    /// By periods of time, of UTC's calendar: the present one and some to come. Rows of others go to a default partition.
    Range {
        /// How long each is.
        every: Period,
        /// How many are made before they begin.
        ahead: u32,
    },
    /// By value: one for each of these. Rows with others go to a default partition.
    List {
        /// The values.
        values: Vec<DefaultValue>,
    },
    /// By the value's hash.
    Hash {
        /// How many there are.
        partitions: u32,
    },
}

impl Partitioning {
    /// Whether there is a partition for the rows that belong to no other.
    pub const fn has_default(&self) -> bool {
        !matches!(self, Partitioning::Hash { .. })
    }
}

/// How long a partition of a range is.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use store_core::{Period, Timestamp};
///
/// let leap_day = Timestamp::from_system_time(UNIX_EPOCH + Duration::from_secs(1_709_164_800))?;
/// let february = Period::Months(1).span(leap_day, 0);
/// assert_eq!((february.label.as_str(), february.until.to_string()), ("2024_02", "2024-03-01T00:00:00Z".to_owned()));
/// assert_eq!(Period::Days(7).span(leap_day, 1).label, "2024_03_04");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// So many days. Those of weeks begin on Mondays.
    Days(u32),
    /// So many months, counted from January where a year is a multiple.
    Months(u32),
}

/// From one moment, to another that is no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment behind it.
    pub until: Timestamp,
    /// Its beginning, as partitions are named: `2024_02`.
    pub label: String,
}

impl Period {
    /// The period that lies `further` behind the one in which a moment lies.
    pub fn span(self, moment: Timestamp, further: u32) -> Span {
        let day = moment.as_microseconds().div_euclid(MICROSECONDS_PER_DAY);
        let further = i64::from(further);
        let (first, last, label) = match self {
            Period::Days(days) => {
                let days = i64::from(days.max(1));
                let first = ((day - FIRST_MONDAY).div_euclid(days) + further) * days + FIRST_MONDAY;
                let (year, month, day) = date_of(first);
                (first, first + days, format!("{year:04}_{month:02}_{day:02}"))
            }
            Period::Months(months) => {
                let months = i64::from(months.max(1));
                let (year, month, _) = date_of(day);
                let first = ((year * 12 + month - 1).div_euclid(months) + further) * months;
                let (year, month) = (first.div_euclid(12), first.rem_euclid(12) + 1);
                let label = if months % 12 == 0 { format!("{year:04}") } else { format!("{year:04}_{month:02}") };
                (day_of_month(first), day_of_month(first + months), label)
            }
        };
        Span { from: beginning_of(first), until: beginning_of(last), label }
    }
}

/// Midnight; the last moment there is for a day behind it.
fn beginning_of(day: i64) -> Timestamp {
    let microseconds = day.saturating_mul(MICROSECONDS_PER_DAY);
    Timestamp::from_microseconds(microseconds).unwrap_or(Timestamp::MIN)
}

/// The first day of a month that is counted from the year 0, in days since 1970.
pub(crate) fn day_of_month(month: i64) -> i64 {
    // The year begins with March, so that a leap day is its last.
    let (year, month) = ((month - 2).div_euclid(12), (month - 2).rem_euclid(12));
    let days_of_months = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_of_months - 719_468
}

/// Year, month and day of a day since 1970, by the calendar of today.
pub(crate) fn date_of(day: i64) -> (i64, i64, i64) {
    // About 30 days make a month: at most one off.
    let mut month = (day + 719_528) * 4_800 / 146_097;
    while day_of_month(month + 1) <= day {
        month += 1;
    }
    while day_of_month(month) > day {
        month -= 1;
    }
    (month.div_euclid(12), month.rem_euclid(12) + 1, day - day_of_month(month) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(day: i64) -> Timestamp {
        Timestamp::from_microseconds(day * MICROSECONDS_PER_DAY + 1).unwrap()
    }

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_779, (2026, 11, 22)),
            (-719_528, (0, 1, 1)),
            (-25_567, (1900, 1, 1)),
            (-25_508, (1900, 3, 1)),
        ] {
            assert_eq!(date_of(day), date, "{day}");
        }
        let dates: Vec<_> = (-800_000..800_000).map(date_of).collect();
        assert!(dates.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        for period in [
            Period::Days(1),
            Period::Days(7),
            Period::Days(10),
            Period::Months(1),
            Period::Months(3),
            Period::Months(5),
            Period::Months(12),
        ] {
            for day in [-1, 0, 19_782, 20_779] {
                let spans: Vec<_> = (0..40).map(|further| period.span(moment(day), further)).collect();
                assert!(spans[0].from <= moment(day) && moment(day) < spans[0].until, "{period:?} {day}");
                assert!(spans.windows(2).all(|pair| pair[0].until == pair[1].from && pair[0].label < pair[1].label), "{period:?}");
            }
        }
        assert_eq!(Period::Months(3).span(moment(20_779), 0).label, "2026_10");
        assert_eq!(Period::Months(12).span(moment(20_779), 1).label, "2027");
        assert_eq!(Period::Days(7).span(moment(20_779), 0).label, "2026_11_16");
    }
}
