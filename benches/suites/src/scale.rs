//! How much is measured.

use std::time::Duration;

use harness::Rounds;

/// The sizes of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Rounds of single calls.
    pub(crate) calls: Rounds,
    /// How many calls each caller makes in a round.
    pub(crate) calls_in_a_round: usize,
    /// Rounds of large batches.
    pub(crate) batches: Rounds,
    /// The number that a growth curve begins with: of rows, of keys. It goes on with ten times as many.
    pub(crate) rows: usize,
    /// How often the rows grow.
    pub(crate) steps: u32,
    /// Rounds that last a given time.
    pub(crate) spans: Rounds,
    /// How long each side works in such a round.
    pub(crate) span: Duration,
}

impl Scale {
    pub(crate) fn full() -> Self {
        Scale {
            calls: Rounds { warm_up: 3, counted: 31 },
            calls_in_a_round: 100,
            batches: Rounds { warm_up: 1, counted: 9 },
            rows: 10_000,
            steps: 2,
            spans: Rounds { warm_up: 1, counted: 11 },
            span: Duration::from_millis(500),
        }
    }

    /// Enough to see that everything runs.
    pub(crate) fn quick() -> Self {
        Scale {
            calls: Rounds { warm_up: 1, counted: 3 },
            calls_in_a_round: 10,
            batches: Rounds { warm_up: 0, counted: 1 },
            rows: 200,
            steps: 1,
            spans: Rounds { warm_up: 0, counted: 1 },
            span: Duration::from_millis(50),
        }
    }

    /// The growing numbers of rows.
    pub(crate) fn growing_rows(&self) -> impl Iterator<Item = usize> {
        let first = self.rows;
        (0..self.steps).map(move |step| first * 10_usize.pow(step))
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_tenfold() {
        assert_eq!(Scale::full().growing_rows().collect::<Vec<_>>(), [10_000, 100_000]);
        assert_eq!(Scale::quick().growing_rows().collect::<Vec<_>>(), [200]);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([1, 100, 1_000, 1_234_567].map(grouped), ["1", "100", "1,000", "1,234,567"]);
    }
}
