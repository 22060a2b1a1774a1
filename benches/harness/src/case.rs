//! What is measured, and against what.

use crate::row::Row;
use crate::turns::Turns;

/// What a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nanoseconds for one operation or row, as its caller sees them. Less is better.
    Time,
    /// Operations a second. More is better.
    Rate,
}

impl Kind {
    /// The unit of the readings.
    pub fn unit(self) -> &'static str {
        match self {
            Kind::Time => "ns",
            Kind::Rate => "1/s",
        }
    }

    /// How much dearer ours is than the baseline: below 1 ours wins.
    pub fn ratio(self, ours: f64, baseline: f64) -> f64 {
        match self {
            Kind::Time => ours / baseline,
            Kind::Rate => baseline / ours,
        }
    }
}

/// One thing that is measured beside its baseline.
///
/// ```
/// use harness::{Case, Kind, Turns};
///
/// let case = Case::new("l3", "a miss, 10,000 rows", Kind::Time, "raw query").with_goal(1.05).with_threads(2);
/// let row = case.row(&Turns { ours: 90.0, baseline: 80.0, ratios: vec![1.125] });
/// assert_eq!((row.ratio, row.is_met()), (1.125, Some(false)));
/// ```
#[derive(Debug, Clone)]
pub struct Case {
    /// The suite that it belongs to.
    pub suite: &'static str,
    /// Its name within the suite.
    pub name: String,
    /// What the readings are.
    pub kind: Kind,
    /// What it is compared with.
    pub baseline: &'static str,
    /// The ratio that it is meant to stay below, if one is set for it.
    pub goal: Option<f64>,
    /// How many tasks or threads work at the same time.
    pub threads: usize,
}

impl Case {
    /// A case for one thread, without a goal.
    pub fn new(suite: &'static str, name: impl Into<String>, kind: Kind, baseline: &'static str) -> Self {
        Case { suite, name: name.into(), kind, baseline, goal: None, threads: 1 }
    }

    /// Sets [`goal`](Self::goal).
    #[must_use]
    pub fn with_goal(self, goal: f64) -> Self {
        Case { goal: Some(goal), ..self }
    }

    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Case { threads, ..self }
    }

    /// The case with its result.
    pub fn row(&self, turns: &Turns) -> Row {
        Row {
            case: self.clone(),
            value: turns.ours,
            baseline_value: turns.baseline,
            ratio: self.kind.ratio(turns.ours, turns.baseline),
            spread: turns.spread(),
        }
    }
}
