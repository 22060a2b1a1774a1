//! What the command line says.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

pub(crate) const HELP: &str = "kill [--runs N] [--seed N]";

/// What this process is to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Conductor(Plan),
    Writer(Task),
}

/// The whole run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How many writers are killed.
    pub(crate) runs: u64,
    /// What the writers do, and about when they are killed.
    pub(crate) seed: u64,
}

/// What one writer works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// Tells its connections from those of killed writers.
    pub(crate) number: u64,
    pub(crate) seed: u64,
    /// A URL of PostgreSQL, or the path of an SQLite database.
    pub(crate) truth: String,
    pub(crate) journal: PathBuf,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Part> {
    let first = arguments.next();
    if first.as_deref() == Some("--writer") {
        let mut next = |what: &str| arguments.next().with_context(|| format!("a writer is told its {what}"));
        let (number, seed) = (next("number")?.parse()?, next("seed")?.parse()?);
        let (truth, journal) = (next("truth")?, next("journal")?.into());
        return Ok(Part::Writer(Task { number, seed, truth, journal }));
    }
    parse_plan(first.into_iter().chain(arguments)).map(Part::Conductor)
}

fn parse_plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan> {
    let mut plan = Plan { runs: 500, seed: fastrand::u64(..) };
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let value = arguments.next().with_context(|| format!("`{argument}` needs a value\n\n{HELP}"))?;
            value.parse().with_context(|| format!("`{argument}` needs a number, not `{value}`\n\n{HELP}"))
        };
        match argument.as_str() {
            "--runs" => plan.runs = number()?,
            "--seed" => plan.seed = number()?,
            unknown => bail!("there is no option `{unknown}`\n\n{HELP}"),
        }
    }
    if plan.runs == 0 {
        bail!("at least one writer has to be killed\n\n{HELP}");
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Part> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_understood() {
        assert_eq!(parse_line("--runs 10 --seed 7").unwrap(), Part::Conductor(Plan { runs: 10, seed: 7 }));
        let Part::Conductor(plan) = parse_line("").unwrap() else { panic!("a conductor is the default") };
        assert_eq!(plan.runs, 500);
        let task = Task { number: 3, seed: 7, truth: "a.db".to_owned(), journal: "journal".into() };
        assert_eq!(parse_line("--writer 3 7 a.db journal").unwrap(), Part::Writer(task));
    }

    #[test]
    fn unknown_words_are_refused() {
        for line in ["--fast", "--runs", "--runs x", "--runs 0", "--seed -1", "--writer 3 7 a.db"] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
