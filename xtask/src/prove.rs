//! What takes too long for the gate.

use anyhow::{Context, Result, bail};

use crate::arguments::Proof;
use crate::cargo::cargo;

/// Runs a proof in release, with its own output.
pub(crate) fn run(proof: &Proof) -> Result<()> {
    let mut command = match proof {
        Proof::Soak(options) => {
            let mut command = cargo(&["run", "--release", "-p", "soak", "--"]);
            command.args(options);
            command
        }
        Proof::Model => {
            let mut command = cargo(&["test", "--release", "-p", "store-core", "--lib", "coherence::model", "--", "--nocapture"]);
            command.env("STRATA_MODEL", "large");
            command
        }
    };
    let status = command.status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("the proof failed: {status}");
    }
    Ok(())
}
