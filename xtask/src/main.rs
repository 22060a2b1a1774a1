//! The chores of Strata's workspace: test, prove, up, down, migrate, tidy, bench.

mod arguments;
mod bench;
mod cargo;
mod compiler;
mod migrate;
mod prove;
mod report;
mod runner;
mod services;
mod test;
mod tidy;
mod up;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use arguments::Task;

fn main() -> ExitCode {
    if let Some(compiled) = compiler::stand_in() {
        return compiled;
    }
    match arguments::parse(env::args().skip(1)).and_then(perform) {
        Ok(code) => code,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    match task {
        Task::Migrate(options) => return migrate::run(&options),
        Task::Test(options) => test::run(&options)?,
        Task::Up => up::up()?,
        Task::Down => up::down()?,
        Task::Prove(proof) => prove::run(&proof)?,
        Task::Tidy => tidy::run()?,
        Task::BenchRaces => bench::races()?,
        Task::Bench(options) => bench::suites(&options)?,
        Task::Help => println!("{}", arguments::HELP),
    }
    Ok(ExitCode::SUCCESS)
}
