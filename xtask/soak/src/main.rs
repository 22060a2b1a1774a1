//! The soak: several processes work on one PostgreSQL and one Redis, which are killed, flushed, paused and cut off meanwhile, and every read is checked
//! against the history of commits.
//!
//! `cargo xtask prove soak` runs it. A worker is this same program, started by the conductor.

mod arguments;
mod checker;
mod conductor;
mod drill;
mod faults;
mod history;
mod instance;
mod line;
mod loaded;
mod losses;
mod model;
mod observer;
mod outside;
mod postgres;
mod redis;
mod report;
mod tagged;
mod worker;

use std::process::ExitCode;

use arguments::Part;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match arguments::parse(std::env::args().skip(1)) {
        Ok(Part::Conductor(plan)) => runtime.block_on(report::run(&plan)),
        Ok(Part::Worker(task)) => runtime.block_on(worker::run(task)).map(|()| true),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
