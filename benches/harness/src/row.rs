//! One line of a result.

use serde_json::{Value, json};

use crate::case::{Case, Kind};

/// A case with its result.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub case: Case,
    /// What Strata took, or reached.
    pub value: f64,
    /// What the baseline took, or reached.
    pub baseline_value: f64,
    /// How much dearer Strata was: below 1 it wins.
    pub ratio: f64,
    /// Between which ratios the middle half of the rounds lay.
    pub spread: (f64, f64),
}

impl Row {
    /// Whether the goal is met; `None` where none is set.
    pub fn is_met(&self) -> Option<bool> {
        self.case.goal.map(|goal| self.ratio <= goal)
    }

    /// The row for programs.
    pub fn to_json(&self) -> Value {
        let Case { suite, name, kind, baseline, threads, .. } = &self.case;
        json!({
            "suite": suite,
            "case": name,
            "value": self.value,
            "unit": kind.unit(),
            "baseline": baseline,
            "baseline_value": self.baseline_value,
            "ratio": self.ratio,
            "threads": threads,
        })
    }

    /// The row for people.
    pub(crate) fn cells(&self) -> [String; 8] {
        let verdict = match (self.case.goal, self.is_met()) {
            (Some(goal), Some(is_met)) => format!("≤ {goal} {}", if is_met { "met" } else { "MISSED" }),
            _ => String::new(),
        };
        let Case { name, kind, baseline, threads, .. } = &self.case;
        [
            name.clone(),
            threads.to_string(),
            readable(*kind, self.value),
            readable(*kind, self.baseline_value),
            format!("{:.2}", self.ratio),
            format!("{:.2}–{:.2}", self.spread.0, self.spread.1),
            verdict,
            (*baseline).to_owned(),
        ]
    }
}

fn readable(kind: Kind, value: f64) -> String {
    match kind {
        Kind::Time if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        Kind::Time if value >= 1e3 => format!("{:.1} µs", value / 1e3),
        Kind::Time => format!("{value:.0} ns"),
        Kind::Rate => format!("{value:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turns::Turns;

    #[test]
    fn a_row_has_the_fields_that_programs_read() {
        let case = Case::new("write", "set", Kind::Rate, "disk").with_threads(64).with_goal(1.25);
        let row = case.row(&Turns { ours: 500.0, baseline: 600.0, ratios: vec![1.2] });
        let expected = json!({
            "suite": "write", "case": "set", "value": 500.0, "unit": "1/s", "baseline": "disk", "baseline_value": 600.0, "ratio": 1.2, "threads": 64
        });
        assert_eq!(row.to_json(), expected);
        assert_eq!(row.cells()[6], "≤ 1.25 met");
    }

    #[test]
    fn readings_are_readable() {
        assert_eq!(readable(Kind::Time, 950.0), "950 ns");
        assert_eq!(readable(Kind::Time, 75_440.0), "75.4 µs");
        assert_eq!(readable(Kind::Time, 1_250_000.0), "1.25 ms");
        assert_eq!(readable(Kind::Rate, 1234.5), "1234/s");
    }
}
