//! Strata beside the drivers that it stands on, measured by turns in one run.
//!
//! `cargo xtask bench SUITE…` builds and runs it. A suite is a module here that adds its rows to the report; `docs/benchmarks.md` says what each one measures.

mod arguments;
mod at_once;
mod l3;
mod player;
mod raw;
mod scale;
mod servers;
mod write;

use std::process::ExitCode;

use anyhow::{Context, Result};
use harness::Report;

use arguments::{Arguments, Suite};
use scale::Scale;
use servers::Servers;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let scale = if arguments.is_quick { Scale::quick() } else { Scale::full() };
    let servers = Servers::from_env()?;
    eprintln!("{}", servers.describe().await?);
    let mut report = Report::default();
    for suite in &arguments.suites {
        match suite {
            Suite::L3 => l3::run(&servers, &scale, &mut report).await,
            Suite::Write => write::run(&servers, &scale, &mut report).await,
        }
        .with_context(|| format!("the suite `{}` failed", suite.name()))?;
        println!("{}\n{}", suite.name(), report.table(suite.name()));
    }
    match &arguments.json {
        Some(path) => report.write_json(path),
        None => Ok(()),
    }
}
