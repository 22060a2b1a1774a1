//! A command line for a project's own models.
//!
//! A program of a few lines has every command:
//!
//! ```no_run
//! use strata::prelude::*;
//! use strata_cli::Registry;
//!
//! #[derive(Schema)]
//! struct City {
//!     #[schema(primary_key)]
//!     id: i64,
//!     name: String,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     strata_cli::main(Registry::new().schema::<City>())
//! }
//! ```
//!
//! `--help` lists the commands. The servers are those of the [environment](strata::Setup::from_env), or of `--database-url` and `--redis-url`. Records are read and
//! written as JSON, one object with the columns' names for each; bytes are `\x` and hexadecimal digits, times are RFC 3339.
//!
//! | exit code | when |
//! |---|---|
//! | 0 | it was done, or the answer is yes |
//! | 1 | it failed; the error says why |
//! | 2 | the command line is wrong, or a key, record or condition in it |
//! | 3 | the answer is no: no such record, something to migrate for `--check`, a problem found by `doctor`, a record that `reencrypt` could not encrypt anew |

mod arguments;
mod commands;
mod environment;
mod json;
mod key;
mod layout;
mod model;
mod output;
mod progress;
mod registry;
#[cfg(test)]
mod tests;

pub use registry::Registry;

use std::ffi::OsString;
use std::process::ExitCode;

use output::Output;

/// Runs the command of this process's command line.
///
/// ```no_run
/// # use strata::prelude::*;
/// # #[derive(Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
/// fn main() -> std::process::ExitCode {
///     strata_cli::main(strata_cli::Registry::new().schema::<City>())
/// }
/// ```
pub fn main(registry: Registry) -> ExitCode {
    run(registry, std::env::args_os())
}

/// Runs a command that is given word by word, the program's name first, as from a task runner with commands of its own. It starts a runtime, so it must not be
/// called within one.
///
/// ```
/// # use strata::prelude::*;
/// # #[derive(Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
/// use std::process::ExitCode;
/// use strata_cli::{Registry, run};
///
/// let dump = ["xtask", "schema", "dump", "--dialect", "sqlite"];
/// assert_eq!(run(Registry::new().schema::<City>(), dump.map(Into::into)), ExitCode::SUCCESS);
/// ```
pub fn run(registry: Registry, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let arguments = match arguments::read(words.clone()) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && arguments::asks_for_json(&words) => {
            return ExitCode::from(Output::standard(true).fail(&arguments::refusal(&error)));
        }
        Err(error) => {
            // Help goes to the standard output, and is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(output::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime can be started: {error}");
            return ExitCode::from(output::FAILED);
        }
    };
    let output = Output::standard(arguments.is_json);
    ExitCode::from(runtime.block_on(commands::run(&registry, &arguments, &output)))
}
