//! From deadlines to life times.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::layout::unix_milliseconds;

/// More than Redis can add to the time of day, but longer than anybody will wait.
const LONGEST_MILLISECONDS: i64 = 100 * 366 * 24 * 3_600 * 1_000;

/// The life time that a record with this deadline has from now on, in milliseconds, as the scripts take it: `""` for ever, `"0"` for none.
pub(crate) fn argument(deadline: Option<SystemTime>, now: SystemTime) -> Bytes {
    let Some(deadline) = deadline else { return Bytes::new() };
    let left = unix_milliseconds(deadline).saturating_sub(unix_milliseconds(now)).clamp(0, LONGEST_MILLISECONDS);
    Bytes::from(left.to_string())
}

/// The length of a lease in milliseconds, at least one.
pub(crate) fn lease_argument(length: Duration) -> Bytes {
    Bytes::from(i64::try_from(length.as_millis()).unwrap_or(i64::MAX).clamp(1, LONGEST_MILLISECONDS).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_times_are_what_is_left_and_never_negative() {
        let now = SystemTime::now();
        assert_eq!(argument(None, now), "");
        assert_eq!(argument(Some(now + Duration::from_millis(1_500)), now), "1500");
        assert_eq!(argument(Some(now), now), "0");
        assert_eq!(argument(Some(now - Duration::from_secs(1)), now), "0");
        assert_eq!(argument(now.checked_add(Duration::from_secs(1 << 60)), now), LONGEST_MILLISECONDS.to_string());
        assert_eq!(lease_argument(Duration::ZERO), "1");
        assert_eq!(lease_argument(Duration::MAX), LONGEST_MILLISECONDS.to_string());
    }
}
