//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) const HELP: &str = "soak [--minutes N | --seconds N] [--processes P] [--keys K] [--calm] [--seed N]";

/// What this process is to be.
#[derive(Debug)]
pub(crate) enum Part {
    Conductor(Plan),
    Worker(Task),
}

/// The whole run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) duration: Duration,
    pub(crate) processes: usize,
    pub(crate) keys: u64,
    /// No faults.
    pub(crate) calm: bool,
    /// Which faults come when.
    pub(crate) seed: u64,
}

/// What one worker does.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) number: u32,
    pub(crate) keys: u64,
    pub(crate) database: String,
    pub(crate) redis: String,
    pub(crate) history: PathBuf,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Part> {
    let mut plan = Plan { duration: Duration::from_secs(60), processes: 3, keys: 60, calm: false, seed: fastrand::u64(..) };
    let first = arguments.next();
    if first.as_deref() == Some("worker") {
        let mut next = |what: &str| arguments.next().with_context(|| format!("a worker is told its {what}"));
        let (number, keys) = (next("number")?.parse()?, next("keys")?.parse()?);
        let (database, redis, history) = (next("database")?, next("Redis")?, next("history")?.into());
        return Ok(Part::Worker(Task { number, keys, database, redis, history }));
    }
    let mut arguments = first.into_iter().chain(arguments);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let value = arguments.next().with_context(|| format!("`{argument}` needs a number\n\n{HELP}"))?;
            value.parse().with_context(|| format!("`{argument}` needs a number, not `{value}`"))
        };
        match argument.as_str() {
            "--minutes" => plan.duration = Duration::from_secs(60 * number()?),
            "--seconds" => plan.duration = Duration::from_secs(number()?),
            "--processes" => plan.processes = usize::try_from(number()?)?,
            "--keys" => plan.keys = number()?,
            "--seed" => plan.seed = number()?,
            "--calm" => plan.calm = true,
            unknown => bail!("there is no option `{unknown}`\n\n{HELP}"),
        }
    }
    if plan.processes == 0 || plan.keys == 0 || plan.duration.is_zero() {
        bail!("a soak needs at least one process, one key and one second\n\n{HELP}");
    }
    Ok(Part::Conductor(plan))
}
