//! Two sides that work by turns.

use anyhow::{Result, ensure};

use crate::case::Kind;

/// How many rounds there are. An odd number of counted ones has a median round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds whose readings are thrown away.
    pub warm_up: usize,
    /// Rounds that count.
    pub counted: usize,
}

/// The readings of the round with the median ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct Turns {
    /// What Strata took.
    pub ours: f64,
    /// What the baseline took.
    pub baseline: f64,
    /// The ratios of all rounds, in order of size.
    pub ratios: Vec<f64>,
}

impl Turns {
    /// Between which ratios the middle half of the rounds lies.
    pub fn spread(&self) -> (f64, f64) {
        let at = |part: usize| self.ratios.get((self.ratios.len().saturating_sub(1)) * part / 4).copied().unwrap_or(f64::NAN);
        (at(1), at(3))
    }
}

/// Lets both sides work in every round, by turns the one and the other first. Each is given the number of the round and answers its reading.
///
/// # Errors
///
/// That of a side that fails, and one for a reading that is no number above zero.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// use harness::{Kind, Rounds, by_turns};
///
/// let rounds = Rounds { warm_up: 1, counted: 3 };
/// let turns = by_turns(Kind::Time, rounds, async |round| Ok(10.0 + round as f64), async |_| Ok(10.0)).await?;
/// assert_eq!((turns.ours, turns.baseline), (12.0, 10.0));
/// # Ok(())
/// # }
/// ```
pub async fn by_turns(
    kind: Kind,
    rounds: Rounds,
    mut ours: impl AsyncFnMut(usize) -> Result<f64>,
    mut baseline: impl AsyncFnMut(usize) -> Result<f64>,
) -> Result<Turns> {
    let mut readings = Vec::with_capacity(rounds.counted);
    for round in 0..rounds.warm_up + rounds.counted {
        let reading = match round % 2 {
            0 => {
                let ours = ours(round).await?;
                (ours, baseline(round).await?)
            }
            _ => {
                let baseline = baseline(round).await?;
                (ours(round).await?, baseline)
            }
        };
        let is_usable = |value: f64| value.is_finite() && value > 0.0;
        ensure!(is_usable(reading.0) && is_usable(reading.1), "round {round} gave the readings {reading:?}, which have no ratio");
        if round >= rounds.warm_up {
            readings.push(reading);
        }
    }
    ensure!(!readings.is_empty(), "no round counts");
    let ratio = |reading: &(f64, f64)| kind.ratio(reading.0, reading.1);
    readings.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let (ours, baseline) = readings[readings.len() / 2];
    Ok(Turns { ours, baseline, ratios: readings.iter().map(ratio).collect() })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn the_sides_take_turns_and_the_median_round_is_the_result() {
        let calls = RefCell::new(String::new());
        let times = [1.0, 90.0, 30.0, 20.0];
        let ours = async |round: usize| {
            calls.borrow_mut().push('o');
            Ok(times[round])
        };
        let baseline = async |_| {
            calls.borrow_mut().push('b');
            Ok(10.0)
        };
        let turns = by_turns(Kind::Time, Rounds { warm_up: 1, counted: 3 }, ours, baseline).await.unwrap();
        assert_eq!(*calls.borrow(), "obboobbo");
        assert_eq!(turns, Turns { ours: 30.0, baseline: 10.0, ratios: vec![2.0, 3.0, 9.0] });
        assert_eq!(turns.spread(), (2.0, 3.0));
    }

    #[tokio::test]
    async fn rates_are_judged_the_other_way_round() {
        let rounds = Rounds { warm_up: 0, counted: 1 };
        let turns = by_turns(Kind::Rate, rounds, async |_| Ok(50.0), async |_| Ok(100.0)).await.unwrap();
        assert_eq!(turns.ratios, [2.0]);
    }

    #[tokio::test]
    async fn readings_without_a_ratio_are_refused() {
        let rounds = Rounds { warm_up: 0, counted: 1 };
        assert!(by_turns(Kind::Rate, rounds, async |_| Ok(0.0), async |_| Ok(100.0)).await.is_err());
        assert!(by_turns(Kind::Time, Rounds { warm_up: 1, counted: 0 }, async |_| Ok(1.0), async |_| Ok(1.0)).await.is_err());
    }
}
