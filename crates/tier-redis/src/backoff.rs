//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::random;

const FIRST: Duration = Duration::from_millis(50);
pub(crate) const LONGEST: Duration = Duration::from_secs(2);

/// Delays that double from 50 ms to 2 s, each shortened by up to half at random so that many processes do not return at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(crate) fn next_delay(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(1.0 - random::fraction() / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_limit_and_start_over() {
        let mut backoff = Backoff::default();
        let first = backoff.next_delay();
        assert!(first <= FIRST && first >= FIRST / 2, "{first:?}");
        for _ in 0..100 {
            backoff.next_delay();
        }
        let late = backoff.next_delay();
        assert!(late <= LONGEST && late >= LONGEST / 2, "{late:?}");
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }
}
