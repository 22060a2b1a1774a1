//! `cargo xtask migrate`: the examples' own command line, on their database.

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cargo;

/// The quickstart's database, unless the environment names another.
const DATABASE: &str = "target/quickstart/cities.db";

/// Runs `migrate` of `examples/manage`, and answers with its exit code.
pub(crate) fn run(options: &[String]) -> Result<ExitCode> {
    let mut command = cargo::cargo(&["run", "-q", "-p", "manage", "--", "migrate"]);
    command.args(options);
    let is_named =
        env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()) || options.iter().any(|word| word.starts_with("--database-url"));
    if !is_named {
        let database = cargo::root().join(DATABASE);
        if let Some(directory) = database.parent() {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        }
        eprintln!("DATABASE_URL is not set; taking the quickstart's database, {DATABASE}");
        command.env("DATABASE_URL", format!("sqlite:{}", database.display()));
    }
    let status = command.status().context("cannot run `cargo run -p manage`")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
