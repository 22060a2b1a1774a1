//! Strata beside other libraries. They are compiled in a workspace and a target directory of their own, and by these tasks alone.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cargo;
use crate::runner::{Runner, Step};

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
