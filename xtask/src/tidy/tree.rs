//! The memory tier alone stays small and brings no driver.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Finding;
use crate::cargo;

const LIMIT: usize = 60;
const DRIVERS: [&str; 10] = [
    "deadpool",
    "deadpool-postgres",
    "fred",
    "libsqlite3-sys",
    "postgres-protocol",
    "redis",
    "rusqlite",
    "rustls",
    "sled",
    "tokio-postgres",
];

/// What `strata` pulls in with the memory tier alone, a line for each use of a crate.
pub(super) fn read() -> Result<String> {
    cargo::read(&["tree", "--package=strata", "--no-default-features", "--features=mem", "--prefix=none", "--format={p}"])
}

pub(super) fn check(tree: &str) -> Vec<Finding> {
    let crates: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    let path = "crates/strata/Cargo.toml";
    let command = "see `cargo tree -p strata --no-default-features --features mem`";
    let mut findings: Vec<Finding> = crates
        .iter()
        .filter(|(name, _)| DRIVERS.contains(name))
        .map(|(name, _)| {
            let advice = format!("the feature `mem` brings the driver `{name}`: put it behind its own feature, {command}");
            Finding::in_file(path, advice)
        })
        .collect();
    if crates.len() >= LIMIT {
        let count = crates.len();
        findings
            .push(Finding::in_file(path, format!("the feature `mem` brings {count} crates, {LIMIT} are too many: drop some, {command}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_found() {
        let findings = check("strata v0.1.0 (crates/strata)\nrusqlite v0.41.0\n");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].advice.contains("rusqlite"));
    }

    #[test]
    fn crates_are_counted_once() {
        let print =
            |count: usize| -> String { (0..count).map(|number| format!("crate-{number} v1.0.0\ncrate-{number} v1.0.0 (*)\n")).collect() };
        assert!(check(&print(LIMIT - 1)).is_empty());
        assert_eq!(check(&print(LIMIT)).len(), 1);
    }
}
