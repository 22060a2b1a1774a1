//! What is printed and written.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::row::Row;

const HEADINGS: [&str; 8] = ["case", "threads", "ours", "baseline", "ratio", "middle half", "goal", "against"];

/// The rows of a run.
///
/// ```
/// use harness::{Case, Kind, Report, Turns};
///
/// let mut report = Report::default();
/// let case = Case::new("l3", "a miss", Kind::Time, "raw query").with_goal(1.05);
/// report.add(case.row(&Turns { ours: 80.0, baseline: 80.0, ratios: vec![1.0] }));
/// assert!(report.table("l3").contains("≤ 1.05 met"));
/// ```
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a row, and tells of it at once: a suite takes minutes.
    pub fn add(&mut self, row: Row) {
        eprintln!("  {}: {}, {} at once: {:.2}", row.case.suite, row.case.name, row.case.threads, row.ratio);
        self.rows.push(row);
    }

    /// The rows of a suite for people.
    pub fn table(&self, suite: &str) -> String {
        let cells: Vec<[String; 8]> = self.rows.iter().filter(|row| row.case.suite == suite).map(Row::cells).collect();
        let lines = std::iter::once(HEADINGS.map(str::to_owned)).chain(cells).collect::<Vec<_>>();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        let mut table = String::new();
        for line in &lines {
            let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            table.push_str(cells.join("  ").trim_end());
            table.push('\n');
        }
        table
    }

    /// Writes the rows for programs: a JSON array, one row to a line.
    ///
    /// # Errors
    ///
    /// That of the file.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let rows: Vec<String> = self.rows.iter().map(|row| row.to_json().to_string()).collect();
        fs::write(path, format!("[\n{}\n]\n", rows.join(",\n"))).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Kind, Turns};

    #[test]
    fn the_table_has_a_suites_own_rows_in_columns() {
        let mut report = Report::default();
        for (suite, name) in [("l3", "a miss"), ("write", "a set")] {
            report.add(Case::new(suite, name, Kind::Time, "raw").row(&Turns { ours: 3.0, baseline: 2.0, ratios: vec![1.5] }));
        }
        let table = report.table("l3");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("a miss  1        3 ns  2 ns      1.50   1.50–1.50"), "{table}");
    }

    #[test]
    fn the_file_is_one_array() {
        let mut report = Report::default();
        let row = Case::new("l3", "a miss", Kind::Time, "raw").row(&Turns { ours: 3.0, baseline: 2.0, ratios: vec![1.5] });
        report.add(row.clone());
        report.add(row);
        let file = std::env::temp_dir().join(format!("strata-report-{}", std::process::id()));
        report.write_json(&file).unwrap();
        let read: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(read.as_array().map(Vec::len), Some(2));
        assert_eq!(read[0]["ratio"], 1.5);
    }
}
