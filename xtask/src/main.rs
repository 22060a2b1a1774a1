//! The chores of Strata's workspace: test, up, down, tidy, bench.

mod arguments;
mod bench;
mod cargo;
mod compiler;
mod prove;
mod report;
mod runner;
mod services;
mod test;
mod tidy;
mod up;

use std::env;
use std::process::ExitCode;

use arguments::Task;

fn main() -> ExitCode {
    if let Some(compiled) = compiler::stand_in() {
        return compiled;
    }
    let result = arguments::parse(env::args().skip(1)).and_then(|task| match task {
        Task::Test(options) => test::run(&options),
        Task::Up => up::up(),
        Task::Down => up::down(),
        Task::Prove(proof) => prove::run(&proof),
        Task::Tidy => tidy::run(),
        Task::BenchRaces => bench::races(),
        Task::Bench(options) => bench::suites(&options),
        Task::Help => {
            println!("{}", arguments::HELP);
            Ok(())
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}
