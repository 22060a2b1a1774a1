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

/// The features of the facade that bring tiers.
const TIERS: [&str; 4] = ["mem", "pg", "redis", "sqlite"];

/// The facade without features, with each tier alone, with all else and no tier, and with the default ones. With all of them the whole workspace is checked before;
/// `cargo xtask prove features` takes the rest alone, too.
fn features(metadata: &Value) -> Vec<Step> {
    let features = cargo::features(metadata, "strata");
    let (tiers, rest): (Vec<&str>, Vec<&str>) = features.iter().map(String::as_str).partition(|feature| TIERS.contains(feature));
    let mut steps = vec![with_features("none", Some(""))];
    steps.extend(tiers.into_iter().map(|tier| with_features(tier, Some(tier))));
    steps.extend([with_features("no tier", Some(&rest.join(","))), with_features("default", None)]);
    steps
}

/// The facade with each feature alone.
pub(crate) fn features_alone(metadata: &Value) -> Vec<Step> {
    cargo::features(metadata, "strata").iter().map(|feature| with_features(feature, Some(feature))).collect()
}

/// The facade with these features, or the default ones.
///
/// Clippy is given the warnings to refuse, since the same in RUSTFLAGS would compile every
/// dependency anew.
fn with_features(name: &str, features: Option<&str>) -> Step {
    let choice = match features {
        Some("") => vec!["--no-default-features"],
        Some(features) => vec!["--no-default-features", "--features", features],
        None => vec![],
    };
    let arguments = [&["clippy", "-p", "strata"], choice.as_slice(), &["--", "-D", "warnings"]].concat();
    Step::new(format!("features: {name}"), &arguments)
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

    fn lines(steps: Vec<Step>) -> Vec<String> {
        steps.iter().map(|step| step.arguments.join(" ")).collect()
    }

    #[test]
    fn each_tier_is_checked_alone_and_each_feature_by_the_proof() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "strata", "features": { "default": ["mem"], "json": [], "mem": [], "pg": [], "time": [] } },
        ]});
        let clippy = |choice: &str| format!("clippy -p strata {choice} -- -D warnings").replace("  ", " ");
        let choices =
            ["", " --features mem", " --features pg", " --features json,time"].map(|choice| format!("--no-default-features{choice}"));
        let expected: Vec<String> = choices.iter().map(String::as_str).chain([""]).map(clippy).collect();
        assert_eq!(lines(features(&metadata)), expected);
        let alone = ["json", "mem", "pg", "time"].map(|feature| clippy(&format!("--no-default-features --features {feature}")));
        assert_eq!(lines(features_alone(&metadata)), alone);
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
