use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Prepares a call of cargo in the root of the workspace.
///
/// What the cargo that runs this program says of its package is taken out of the environment: some
/// build scripts (that of `ring`, for one) run again whenever it changes, so each build here would
/// undo the one before it that a person started, and the reverse.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// What `cargo metadata` says of the packages of the workspace.
pub(crate) fn metadata() -> Result<Value> {
    let output = read(&["metadata", "--format-version", "1", "--no-deps"])?;
    serde_json::from_str(&output).context("cannot read the answer of `cargo metadata`")
}

/// Runs cargo and returns what it prints.
pub(crate) fn read(arguments: &[&str]) -> Result<String> {
    let line = format!("cargo {}", arguments.join(" "));
    let output = cargo(arguments).output().with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed: {}", message.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

pub(crate) fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The names in the metadata's list of packages.
pub(crate) fn package_names(metadata: &Value) -> Vec<&str> {
    packages(metadata).iter().filter_map(|package| package["name"].as_str()).collect()
}

pub(crate) fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().map_or(&[], Vec::as_slice)
}

/// The features of a package, without `default`.
pub(crate) fn features(metadata: &Value, package: &str) -> Vec<String> {
    packages(metadata)
        .iter()
        .filter(|candidate| candidate["name"] == package)
        .filter_map(|package| package["features"].as_object())
        .flat_map(|features| features.keys())
        .filter(|feature| *feature != "default")
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_without_default() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "strata", "features": { "default": ["mem"], "mem": [], "redis": [] } },
            { "name": "other", "features": { "x": [] } },
        ]});
        assert_eq!(features(&metadata, "strata"), ["mem", "redis"]);
        assert_eq!(package_names(&metadata), ["strata", "other"]);
    }
}
