//! Microsecond time, the form in which every tier holds a moment.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::schema::{date_of, day_of_month};

/// From [`Timestamp::MIN`] to [`Timestamp::MAX`], for people.
pub(crate) const RANGE: &str = "a time must lie between the years 4714 BC and 294247";

/// A moment in microseconds since 1970-01-01T00:00:00Z, within what PostgreSQL's `TIMESTAMPTZ` can hold.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use store_core::Timestamp;
///
/// let moment = Timestamp::from_system_time(UNIX_EPOCH + Duration::from_nanos(1_500_999))?;
/// assert_eq!(moment.as_microseconds(), 1_500);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 4714-11-24 BC, the first day that PostgreSQL knows.
    pub const MIN: Timestamp = Timestamp(-210_866_803_200_000_000);
    /// The last microsecond that 64 bits count from 1970, in the year 294247; PostgreSQL's own range ends 29 years later.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Makes a timestamp of microseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) outside [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    pub fn from_microseconds(microseconds: i64) -> Result<Self> {
        if microseconds >= Self::MIN.0 { Ok(Timestamp(microseconds)) } else { Err(out_of_range()) }
    }

    /// Makes a timestamp of a system time; what is finer than a microsecond is cut off, towards the past.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) outside [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    pub fn from_system_time(time: SystemTime) -> Result<Self> {
        let microseconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).map_err(|_| out_of_range())?,
            Err(before) => {
                let nanoseconds = before.duration().as_nanos();
                let up = nanoseconds.div_ceil(1_000);
                -i64::try_from(up).map_err(|_| out_of_range())?
            }
        };
        Self::from_microseconds(microseconds)
    }

    /// Makes a timestamp of nanoseconds since the Unix epoch, cut off towards the past.
    #[cfg(any(feature = "jiff", feature = "time"))]
    pub(crate) fn from_nanoseconds(nanoseconds: i128) -> Result<Self> {
        i64::try_from(nanoseconds.div_euclid(1_000)).map_err(|_| out_of_range()).and_then(Self::from_microseconds)
    }

    /// Microseconds since the Unix epoch, negative before it.
    pub const fn as_microseconds(self) -> i64 {
        self.0
    }

    /// The same moment as a system time.
    pub fn to_system_time(self) -> SystemTime {
        let distance = Duration::from_micros(self.0.unsigned_abs());
        if self.0 < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }
}

fn out_of_range() -> Error {
    Error::new(ErrorKind::InvalidValue, format!("{RANGE}, so that PostgreSQL and 64-bit microseconds hold it"))
}

/// RFC 3339 in UTC, with microseconds if there are any: `2026-11-22T10:30:00Z`. Years of other than four digits have a sign and six.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, microseconds) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (year, month, day) = date_of(seconds.div_euclid(86_400));
        match year {
            0..=9_999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+07}")?,
        }
        let time = seconds.rem_euclid(86_400);
        write!(f, "-{month:02}-{day:02}T{:02}:{:02}:{:02}", time / 3_600, time / 60 % 60, time % 60)?;
        match microseconds {
            0 => f.write_str("Z"),
            _ => write!(f, ".{microseconds:06}Z"),
        }
    }
}

/// Reads RFC 3339, with a year of four digits, or of a sign and six: whatever `Display` writes, and other offsets from UTC. What is finer than a microsecond is cut off,
/// towards the past. The year 0 is 1 BC, -1 is 2 BC.
///
/// ```
/// use store_core::Timestamp;
///
/// let never: Timestamp = "+012000-01-01T00:00:00Z".parse()?;
/// assert_eq!(never.to_string(), "+012000-01-01T00:00:00Z");
/// assert_eq!("2026-11-22T11:30:00+01:00".parse::<Timestamp>()?.to_string(), "2026-11-22T10:30:00Z");
/// assert!("yesterday".parse::<Timestamp>().is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
///
/// # Errors
///
/// [`InvalidValue`](ErrorKind::InvalidValue) for another form, a day or an hour that there is not, and outside of [`MIN`](Timestamp::MIN)..=[`MAX`](Timestamp::MAX).
impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = "a time is written as RFC 3339 says, such as `2026-11-22T10:30:00Z`; years of more than four digits have a sign and six, such as `+012000`";
        let moment = read(text).ok_or_else(|| Error::new(ErrorKind::InvalidValue, form))?;
        i64::try_from(moment).map_err(|_| out_of_range()).and_then(Self::from_microseconds)
    }
}

/// Microseconds since 1970.
fn read(text: &str) -> Option<i128> {
    let mut rest = Rest(text);
    let year = match rest.one_of("+-") {
        None => rest.number(4)?,
        Some('+') => rest.number(6)?,
        Some(_) => -rest.number(6).filter(|year| *year > 0)?,
    };
    let month = rest.one_of("-").and_then(|_| rest.number(2))?;
    let day = rest.one_of("-").and_then(|_| rest.number(2))?;
    let hour = rest.one_of("Tt ").and_then(|_| rest.number(2))?;
    let minute = rest.one_of(":").and_then(|_| rest.number(2))?;
    let second = rest.one_of(":").and_then(|_| rest.number(2))?;
    let (mut microseconds, mut unit) = (0, 100_000);
    if rest.one_of(".").is_some() {
        microseconds = rest.number(1)? * unit;
        while let Some(digit) = rest.number(1) {
            unit /= 10;
            microseconds += digit * unit;
        }
    }
    let offset = match rest.one_of("Zz+-")? {
        'Z' | 'z' => 0,
        sign => {
            let hours = rest.number(2).filter(|hours| *hours < 24)?;
            let minutes =
                if rest.0.is_empty() { 0 } else { rest.one_of(":").and_then(|_| rest.number(2)).filter(|minutes| *minutes < 60)? };
            (hours * 3_600 + minutes * 60) * if sign == '-' { -1 } else { 1 }
        }
    };
    let days = day_of_month(year * 12 + month - 1) + day - 1;
    // A leap second is the first of the next minute.
    let is_one = rest.0.is_empty() && date_of(days) == (year, month, day) && hour < 24 && minute < 60 && second <= 60;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    is_one.then(|| i128::from(seconds) * 1_000_000 + i128::from(microseconds))
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn one_of(&mut self, wanted: &str) -> Option<char> {
        let mut characters = self.0.chars();
        let found = characters.next().filter(|character| wanted.contains(*character))?;
        self.0 = characters.as_str();
        Some(found)
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        // `parse` takes a sign as well.
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
        self.0 = rest;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_cut_towards_the_past_on_both_sides_of_the_epoch() {
        let after = UNIX_EPOCH + Duration::from_nanos(1_999);
        let before = UNIX_EPOCH - Duration::from_nanos(1_001);
        assert_eq!(Timestamp::from_system_time(after).unwrap().as_microseconds(), 1);
        assert_eq!(Timestamp::from_system_time(before).unwrap().as_microseconds(), -2);
    }

    #[test]
    fn the_ends_of_the_range_round_trip_and_what_lies_beyond_is_refused() {
        for moment in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(Timestamp::from_system_time(moment.to_system_time()).unwrap(), moment);
        }
        assert!(Timestamp::from_microseconds(Timestamp::MIN.0 - 1).is_err());
        assert!(Timestamp::from_system_time(Timestamp::MAX.to_system_time() + Duration::from_micros(1)).is_err());
    }

    #[test]
    fn a_time_is_shown_by_the_calendar() {
        for (microseconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_709_202_600_500_000, "2024-02-29T10:30:00.500000Z"),
            (Timestamp::MIN.0, "-004713-11-24T00:00:00Z"),
            (Timestamp::MAX.0, "+294247-01-10T04:00:54.775807Z"),
        ] {
            let moment = Timestamp::from_microseconds(microseconds).unwrap();
            assert_eq!(moment.to_string(), shown);
            assert_eq!(shown.parse::<Timestamp>().unwrap(), moment);
        }
    }

    #[test]
    fn a_time_is_read_in_every_usual_form() {
        let moment = "2026-11-22T10:30:00.5Z".parse::<Timestamp>().unwrap();
        assert_eq!(moment.as_microseconds(), 1_795_343_400_500_000);
        for text in ["2026-11-22 10:30:00.500000999z", "2026-11-22t12:00:00.5+01:30", "+002026-11-22T02:29:60.5-08"] {
            assert_eq!(text.parse::<Timestamp>().unwrap(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:30Z",
            "2026-11-22T10:30:00",
            "2026-11-22T10:30:00.Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:30:00Zé",
            "2026-11-22T10:30:00+01:",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-1-+1T00:00:00Z",
            "12000-01-01T00:00:00Z",
            "-000000-01-01T00:00:00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidValue && error.message().contains("RFC 3339"), "{text}: {error}");
        }
        for text in ["-004713-11-23T23:59:59Z", "+294247-01-10T04:00:54.775808Z", "+999999-12-31T23:59:59Z"] {
            assert!(text.parse::<Timestamp>().unwrap_err().message().contains("between the years 4714 BC and 294247"), "{text}");
        }
    }
}
