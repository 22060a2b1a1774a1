use anyhow::Result;
use serde_json::Value;

use crate::arguments::TestOptions;
use crate::runner::{Runner, Step};
use crate::services::Services;
use crate::{cargo, prove, tidy};

/// Runs the gate. The services end with it, whichever way it ends.
pub(crate) fn run(options: &TestOptions) -> Result<()> {
    let services = Services::provide()?;
    let mut runner = Runner::new(services.environment());

    runner.run(&Step::new("format", &["fmt", "--all", "--check"]))?;
    // A workspace of its own, which is compiled only by `cargo xtask bench`.
    runner.run(&Step::new("format of benches", &["fmt", "--manifest-path=benches/compare/Cargo.toml", "--check"]))?;
    runner.run(&Step::new("clippy", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    if !options.quick {
        runner.check("tidy", "cargo xtask tidy", tidy::run)?;
        runner.run(&docs())?;
        for step in features(&cargo::metadata()?) {
            runner.run(&step)?;
        }
        runner.run(&tests_of_memory_alone())?;
    }
    runner.run(&tests(&options.filters, cargo::has_nextest()))?;
    if !options.quick {
        let doctests = ["test", "--doc", "--workspace", "--all-features"];
        runner.run(&Step::new("doctests", &doctests).with_services().shown())?;
        let expect_tests = || prove::expect_tests(&prove::INTERLEAVINGS, &[prove::EXPLORING]);
        runner.check("interleavings to explore", "cargo xtask prove interleavings", expect_tests)?;
        runner.run(&Step::new("interleavings", &prove::INTERLEAVINGS).variable(prove::EXPLORING.0, prove::EXPLORING.1).shown())?;
        // Both with the features of the whole workspace, so that what they depend on is compiled once.
        runner.run(&Step::new("soak", &["run", "--all-features", "--bin", "soak", "--", "--seconds", "10"]).shown())?;
        runner.run(&Step::new("kill", &["run", "--all-features", "--bin", "kill", "--", "--runs", "10"]).shown())?;
        let quickstart = ["run", "-p", "quickstart"];
        runner.run(&Step::new("quickstart", &quickstart).shown())?;
        let with_servers = ["run", "-p", "quickstart", "--", "--servers"];
        runner.run(&Step::new("quickstart on servers", &with_servers).with_services().shown())?;
    }
    runner.finish();
    Ok(())
}

fn docs() -> Step {
    let arguments = ["doc", "--workspace", "--no-deps", "--all-features"];
    Step::new("docs", &arguments).variable("RUSTDOCFLAGS", "-D warnings")
}

/// The facade without features, with each alone, with the default ones and with all.
///
/// Clippy is given the warnings to refuse, since the same in RUSTFLAGS would compile every
/// dependency anew.
fn features(metadata: &Value) -> Vec<Step> {
    let features = cargo::features(metadata, "strata");
    let alone = features.iter().map(|feature| (feature.as_str(), vec!["--no-default-features", "--features", feature]));
    [("none", vec!["--no-default-features"])]
        .into_iter()
        .chain(alone)
        .chain([("default", vec![]), ("all", vec!["--all-features"])])
        .map(|(name, choice)| {
            let arguments = [&["clippy", "-p", "strata"], choice.as_slice(), &["--", "-D", "warnings"]].concat();
            Step::new(format!("features: {name}"), &arguments)
        })
        .collect()
}

/// What a build says of variables that name what it lacks.
fn tests_of_memory_alone() -> Step {
    let arguments = ["test", "-p", "strata", "--no-default-features", "--features", "mem", "--lib", "environment::lacking"];
    Step::new("tests: mem", &arguments).shown()
}

/// More than there are cores, since many tests wait for a server or for a time to pass.
fn threads(cores: usize) -> String {
    (cores + cores.div_ceil(2)).to_string()
}

fn tests(filters: &[String], with_nextest: bool) -> Step {
    let names_package = filters.iter().any(|filter| filter.starts_with("-p") || filter.starts_with("--package"));
    let packages: &[&str] = match names_package {
        true => &[],
        false => &["--workspace"],
    };
    let threads = threads(std::thread::available_parallelism().map_or(1, usize::from));
    let (runner, kinds): (&[&str], &[&str]) = match with_nextest {
        true => (&["nextest", "run", "--test-threads", &threads], &[]),
        // Doctests are a step of their own, as nextest knows none.
        false => (&["test"], &["--lib", "--bins", "--tests", "--examples"]),
    };
    let arguments: Vec<&str> = runner
        .iter()
        .chain(packages)
        .chain(&["--all-features", "--no-fail-fast"])
        .chain(kinds)
        .copied()
        .chain(filters.iter().map(String::as_str))
        .collect();
    Step::new("tests", &arguments).with_services().shown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_checked_alone() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "strata", "features": { "default": ["mem"], "mem": [], "pg": [] } },
        ]});
        let lines: Vec<String> = features(&metadata).iter().map(|step| step.arguments.join(" ")).collect();
        let expected =
            ["--no-default-features", "--no-default-features --features mem", "--no-default-features --features pg", "", "--all-features"];
        assert_eq!(lines.len(), expected.len());
        for (line, choice) in lines.iter().zip(expected) {
            let expected = format!("clippy -p strata {choice} -- -D warnings").replace("  ", " ");
            assert_eq!(*line, expected);
        }
    }

    #[test]
    fn filters_reach_either_runner() {
        let filters = ["crash".to_owned()];
        let arguments = tests(&filters, true).arguments.join(" ");
        assert!(arguments.starts_with("nextest run --test-threads "), "{arguments}");
        assert!(arguments.ends_with(" --workspace --all-features --no-fail-fast crash"), "{arguments}");
        let arguments = tests(&filters, false).arguments.join(" ");
        assert!(arguments.starts_with("test --workspace"), "{arguments}");
        assert!(arguments.ends_with("--examples crash"), "{arguments}");
    }

    #[test]
    fn a_named_package_replaces_the_workspace() {
        let filters = ["-p".to_owned(), "tier-pg".to_owned()];
        let arguments = tests(&filters, true).arguments.join(" ");
        assert!(arguments.ends_with(" --all-features --no-fail-fast -p tier-pg") && !arguments.contains("--workspace"), "{arguments}");
    }

    #[test]
    fn tests_that_wait_leave_no_core_idle() {
        assert_eq!([1, 2, 3, 8].map(threads), ["2", "3", "5", "12"]);
    }
}
