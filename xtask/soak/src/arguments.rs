//! What the command line says.

use std::fmt;
use std::ops::Div;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use strata::protection::Protection;

use crate::redis::Kind;

pub(crate) const HELP: &str = "\
soak [--minutes N | --seconds N | --operations N] [--processes P] [--keys K] [--calm] [--seed N]
     [--redis single|sentinel|cluster] [--postgres single|failover]
     [--without fence|lease|no-create|floor|mark|cursor|deadline|orphans|all]";

/// A run at least as long takes the kinds of Redis in turn.
const LONG: Duration = Duration::from_secs(180);
const MANY: u64 = 1_000_000;

/// What this process is to be.
#[derive(Debug)]
pub(crate) enum Part {
    Conductor(Plan),
    Worker(Task),
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Time(Duration),
    /// When so many operations have been checked.
    Operations(u64),
}

impl Length {
    /// Whether it is enough for each kind of Redis to have its turn.
    fn is_long(self) -> bool {
        match self {
            Length::Time(time) => time >= LONG,
            Length::Operations(operations) => operations >= MANY,
        }
    }
}

impl Div<u32> for Length {
    type Output = Self;

    fn div(self, parts: u32) -> Self {
        match self {
            Length::Time(time) => Length::Time(time / parts),
            Length::Operations(operations) => Length::Operations(operations.div_ceil(u64::from(parts))),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Time(time) => write!(f, "{} s", time.as_secs()),
            Length::Operations(operations) => write!(f, "{operations} operations"),
        }
    }
}

/// The whole run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) length: Length,
    pub(crate) processes: usize,
    pub(crate) keys: u64,
    /// No faults.
    pub(crate) calm: bool,
    /// Which faults come when.
    pub(crate) seed: u64,
    /// The kinds of Redis that take turns.
    pub(crate) redis: Vec<Kind>,
    /// PostgreSQL has a standby that takes over.
    pub(crate) has_standby: bool,
    /// The protections that are left out, each in a run of its own.
    pub(crate) without: Vec<Protection>,
}

/// What one worker does.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) number: u32,
    pub(crate) keys: u64,
    pub(crate) database: String,
    pub(crate) redis: String,
    /// Where the histories are written.
    pub(crate) directory: PathBuf,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Part> {
    let first = arguments.next();
    if first.as_deref() == Some("worker") {
        let mut next = |what: &str| arguments.next().with_context(|| format!("a worker is told its {what}"));
        let (number, keys) = (next("number")?.parse()?, next("keys")?.parse()?);
        let (database, redis, directory) = (next("database")?, next("Redis")?, next("directory")?.into());
        return Ok(Part::Worker(Task { number, keys, database, redis, directory }));
    }
    parse_plan(first.into_iter().chain(arguments)).map(Part::Conductor)
}

fn parse_plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan> {
    let (mut redis, mut without) = (None, Vec::new());
    let mut plan = Plan {
        length: Length::Time(Duration::from_secs(60)),
        processes: 3,
        keys: 500,
        calm: false,
        seed: fastrand::u64(..),
        redis: Vec::new(),
        has_standby: false,
        without: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        if argument == "--calm" {
            plan.calm = true;
            continue;
        }
        let mut value = || arguments.next().with_context(|| format!("`{argument}` needs a value\n\n{HELP}"));
        let mut number = || -> Result<u64> {
            let value = value()?;
            value.parse().with_context(|| format!("`{argument}` needs a number, not `{value}`"))
        };
        match argument.as_str() {
            "--minutes" => plan.length = Length::Time(Duration::from_secs(60 * number()?)),
            "--seconds" => plan.length = Length::Time(Duration::from_secs(number()?)),
            "--operations" => plan.length = Length::Operations(number()?),
            "--processes" => plan.processes = usize::try_from(number()?)?,
            "--keys" => plan.keys = number()?,
            "--seed" => plan.seed = number()?,
            "--redis" => redis = Some(kind(&value()?)?),
            "--postgres" => plan.has_standby = has_standby(&value()?)?,
            "--without" => without = protections(&value()?)?,
            unknown => bail!("there is no option `{unknown}`\n\n{HELP}"),
        }
    }
    if plan.processes == 0 || plan.keys == 0 || plan.length == Length::Time(Duration::ZERO) {
        bail!("a soak needs at least one process, one key and one second\n\n{HELP}");
    }
    let takes_turns = plan.length.is_long() && without.is_empty();
    plan.redis = match redis {
        Some(kind) => vec![kind],
        None if takes_turns => Kind::ALL.to_vec(),
        None => vec![Kind::Single],
    };
    plan.without = without;
    Ok(plan)
}

fn kind(name: &str) -> Result<Kind> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    kind.with_context(|| format!("there is no kind of Redis `{name}`\n\n{HELP}"))
}

fn has_standby(name: &str) -> Result<bool> {
    match name {
        "single" => Ok(false),
        "failover" => Ok(true),
        _ => bail!("there is no kind of PostgreSQL `{name}`\n\n{HELP}"),
    }
}

fn protections(name: &str) -> Result<Vec<Protection>> {
    if !cfg!(strata_without) {
        bail!("this build has all protections for good: use `cargo xtask prove soak --without {name}`");
    }
    if name == "all" {
        return Ok(Protection::ALL.to_vec());
    }
    let protection = Protection::ALL.into_iter().find(|protection| protection.name() == name);
    Ok(vec![protection.with_context(|| format!("there is no protection `{name}`\n\n{HELP}"))?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Part> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn long_runs_take_the_kinds_of_redis_in_turn() {
        for (line, kinds) in [("", 1), ("--minutes 3", 3), ("--operations 1000000", 3), ("--minutes 3 --redis cluster", 1)] {
            let Part::Conductor(plan) = parse_line(line).unwrap() else { panic!("{line}") };
            assert_eq!(plan.redis.len(), kinds, "{line}");
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for line in ["--fast", "--minutes", "--minutes x", "--processes 0", "--redis none", "--without fence --without"] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_ordinary_build_leaves_nothing_out() {
        assert!(cfg!(strata_without) || parse_line("--without fence").is_err());
        assert!(Protection::ALL.iter().all(|protection| !protection.is_off()));
    }
}
