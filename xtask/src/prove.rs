//! What takes too long for the gate.

use anyhow::{Context, Result, bail};

use crate::arguments::Proof;
use crate::cargo::cargo;
use crate::compiler;

/// The flag that puts the explorer's locks and tasks in the place of the usual ones. A build with it has a directory of its own, so that neither build undoes the other.
pub(crate) const EXPLORING: (&str, &str) = ("RUSTFLAGS", "--cfg shuttle");

/// The arguments of cargo that explore interleavings in a build with [`EXPLORING`].
pub(crate) const INTERLEAVINGS: [&str; 9] =
    ["test", "-p", "store-core", "-p", "tier-mem", "--lib", "--target-dir", "target/interleavings", "interleavings"];

/// Runs a proof in release, with its own output.
pub(crate) fn run(proof: &Proof) -> Result<()> {
    let mut command = match proof {
        Proof::Soak(options) => {
            let mut command = cargo(&["run", "--release", "-p", "soak", "--"]);
            if options.iter().any(|option| option == "--without") {
                compiler::without_protections(&mut command)?;
            }
            command.args(options);
            command
        }
        Proof::Model => {
            let mut command = cargo(&["test", "--release", "-p", "store-core", "--lib", "coherence::model", "--", "--nocapture"]);
            command.env("STRATA_MODEL", "large");
            command
        }
        Proof::Interleavings => {
            let mut command = cargo(&INTERLEAVINGS);
            command.args(["--release", "--", "--nocapture"]).env(EXPLORING.0, EXPLORING.1).env("STRATA_INTERLEAVINGS", "100000");
            command
        }
    };
    let status = command.status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("the proof failed: {status}");
    }
    Ok(())
}
