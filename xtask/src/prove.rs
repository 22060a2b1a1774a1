//! What takes too long for the gate.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::arguments::Proof;
use crate::cargo::cargo;
use crate::runner::Runner;
use crate::services::Services;
use crate::{cargo, compiler, test};

/// The flag that puts the explorer's locks and tasks in the place of the usual ones. A build with it has a directory of its own, so that neither build undoes the other.
pub(crate) const EXPLORING: (&str, &str) = ("RUSTFLAGS", "--cfg shuttle");

/// The arguments of cargo that explore interleavings in a build with [`EXPLORING`].
pub(crate) const INTERLEAVINGS: [&str; 9] =
    ["test", "-p", "store-core", "-p", "tier-mem", "--lib", "--target-dir", "target/interleavings", "interleavings"];

/// Those that explore the model.
const MODEL: [&str; 6] = ["test", "--release", "-p", "store-core", "--lib", "coherence::model"];

/// Those that crash the journal's disk.
const JOURNAL: [&str; 6] = ["test", "--release", "-p", "store-log", "--lib", "tests::crashes"];

/// Those that compare cached searches with SQL.
const QUERIES: [&str; 7] = ["test", "--release", "-p", "store-tests", "--test", "reads", "cached_queries::random"];

/// Those that look for a nonce that comes twice.
const NONCES: [&str; 7] = ["test", "--release", "-p", "store-tests", "--test", "schemas", "encryption::nonces"];

/// Runs a proof with its own output: in release, but for the kills, whose debug assertions count for more than speed.
pub(crate) fn run(proof: &Proof) -> Result<()> {
    let command = match proof {
        Proof::Soak(options) => {
            let mut command = cargo(&["run", "--release", "-p", "soak", "--"]);
            if options.iter().any(|option| option == "--without") {
                compiler::without_protections(&mut command)?;
            }
            command.args(options);
            eprintln!("compiling the soak for release, which takes minutes the first time");
            command
        }
        Proof::Kill(options) => {
            let mut command = cargo(&["run", "-p", "kill", "--"]);
            command.args(options);
            command
        }
        Proof::Model => {
            expect_tests(&MODEL, &[])?;
            let mut command = cargo(&MODEL);
            command.args(["--", "--nocapture"]).env("STRATA_MODEL", "large");
            command
        }
        Proof::Journal => {
            expect_tests(&JOURNAL, &[])?;
            let mut command = cargo(&JOURNAL);
            command.args(["--", "--nocapture"]).env("STRATA_CRASHES", "2000");
            command
        }
        Proof::Nonces => {
            expect_tests(&NONCES, &[])?;
            let mut command = cargo(&NONCES);
            command.args(["--", "--nocapture"]).env("STRATA_ENCRYPTED_WRITES", "1000000");
            command
        }
        Proof::Features => return features(),
        Proof::Queries(operations) => return queries(*operations),
        Proof::Interleavings => {
            let arguments = [INTERLEAVINGS.as_slice(), &["--release"]].concat();
            expect_tests(&arguments, &[EXPLORING])?;
            let mut command = cargo(&arguments);
            command.args(["--", "--nocapture"]).env(EXPLORING.0, EXPLORING.1).env("STRATA_INTERLEAVINGS", "100000");
            command
        }
    };
    finish(command)
}

fn features() -> Result<()> {
    let mut runner = Runner::new(Vec::new());
    for step in test::features_alone(&cargo::metadata()?) {
        runner.run(&step)?;
    }
    runner.finish();
    Ok(())
}

/// Compares cached searches with SQL on both databases. The services end with it.
fn queries(operations: u64) -> Result<()> {
    expect_tests(&QUERIES, &[])?;
    let services = Services::provide()?;
    let mut command = cargo(&QUERIES);
    command.args(["--", "--nocapture"]).envs(services.environment()).env("STRATA_QUERY_OPERATIONS", operations.to_string());
    finish(command)
}

fn finish(mut command: Command) -> Result<()> {
    let status = command.status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("the proof failed: {status}");
    }
    Ok(())
}

/// Refuses a call of `cargo test` whose filter chooses no test in one of its packages: cargo calls that a success.
pub(crate) fn expect_tests(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let line = format!("cargo {} -- --list", arguments.join(" "));
    let mut command = cargo(arguments);
    command.args(["--", "--list"]).envs(variables.iter().copied()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    refuse_none(&line, &String::from_utf8_lossy(&output.stdout))
}

fn refuse_none(line: &str, listed: &str) -> Result<()> {
    let totals: Vec<&str> = listed.lines().filter(|line| line.ends_with(" benchmarks")).collect();
    if totals.is_empty() || totals.iter().any(|total| total.starts_with("0 ")) {
        bail!("the filter chooses no test in one of the packages, so nothing would be proved: see `{line}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_chooses_nothing_is_refused() {
        let some = "fence::interleavings::one: test\n\n1 test, 0 benchmarks\n";
        let none = "0 tests, 0 benchmarks\n";
        assert!(refuse_none("", some).is_ok());
        for listed in [String::new(), none.to_owned(), format!("{some}{none}")] {
            assert!(refuse_none("", &listed).is_err(), "{listed:?}");
        }
    }
}
