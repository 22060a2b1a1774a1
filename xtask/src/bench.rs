//! Strata beside other libraries, which are compiled in a workspace and a target directory of their own, and by these tasks alone; and beside the drivers that it stands on.

use std::path::{Path, absolute};

use anyhow::{Context, Result, bail};

use crate::arguments::BenchOptions;
use crate::cargo;
use crate::runner::{Runner, Step};
use crate::services::Services;

/// Measures suites, with their own output. The services end with it.
pub(crate) fn suites(options: &BenchOptions) -> Result<()> {
    let services = Services::provide()?;
    eprintln!("compiling the suites for release, which takes minutes the first time");
    let mut command = cargo::cargo(&["run", "--release", "-p", "suites", "--"]);
    command.envs(services.environment()).args(&options.suites);
    if options.is_quick {
        command.arg("--quick");
    }
    if let Some(file) = &options.json {
        // The suites run in the root of the workspace, this program perhaps elsewhere.
        command.arg("--json").arg(absolute(file)?);
    }
    let status = command.status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("the benchmark failed: {status}");
    }
    Ok(())
}

/// Prints what Strata and other caches answer after a load that was overtaken. Fails if Strata answers the old value.
pub(crate) fn races() -> Result<()> {
    let metadata = cargo::metadata()?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    let mut runner = Runner::new(Vec::new());
    runner.run(&step("build the comparison", "build", target))?;
    runner.run(&step("races", "run", target).shown())?;
    runner.finish();
    Ok(())
}

fn step(name: &str, command: &str, target: &str) -> Step {
    let target = Path::new(target).join("compare");
    let manifest = "--manifest-path=benches/compare/Cargo.toml";
    Step::new(name, &[command, "--release", manifest, &format!("--target-dir={}", target.display())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_one_of_its_own() {
        let arguments = step("races", "run", "/srv/target").arguments.join(" ");
        assert_eq!(arguments, "run --release --manifest-path=benches/compare/Cargo.toml --target-dir=/srv/target/compare");
    }
}
