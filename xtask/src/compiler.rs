//! Compiling the workspace's own crates so that a protection can be left out of them.
//!
//! Cargo keeps what a wrapper of the workspace's crates compiled apart from the rest, so ordinary builds stay as they are, and the crates of others are shared.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::report;

/// Tells this program that cargo runs it in the compiler's place.
const VARIABLE: &str = "STRATA_COMPILE_WITHOUT";

/// Lets a call of cargo compile with `--cfg strata_without`.
pub(crate) fn without_protections(command: &mut Command) -> Result<()> {
    let own = env::current_exe().context("this program's own path is not known")?;
    command.env("RUSTC_WORKSPACE_WRAPPER", own).env(VARIABLE, "1");
    Ok(())
}

/// Compiles, if cargo runs this program for that.
pub(crate) fn stand_in() -> Option<ExitCode> {
    env::var_os(VARIABLE)?;
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    let status = Command::new(compiler).args(arguments).args(["--cfg", "strata_without"]).status();
    Some(match status.context("the compiler cannot be run") {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    })
}
