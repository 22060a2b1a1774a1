//! Kills a writer with SIGKILL at random moments, again and again, and finds out whether the next one finds all that was acknowledged, and nothing applied twice.
//!
//! `cargo xtask prove kill` runs it. The writer is this same program, started by the conductor.

mod arguments;
mod calls;
mod checker;
mod conductor;
mod model;
mod protocol;
mod report;
mod truth;
mod writer;

use std::process::ExitCode;

use arguments::Part;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match arguments::parse(std::env::args().skip(1)) {
        Ok(Part::Conductor(plan)) => runtime.block_on(report::run(&plan)),
        Ok(Part::Writer(task)) => runtime.block_on(writer::run(task)).map(|()| true),
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
