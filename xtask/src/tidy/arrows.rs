//! Which crate may depend on which.

use serde_json::Value;

use super::Finding;
use crate::cargo;

const DRIVERS: [&str; 9] = ["deadpool", "deadpool-postgres", "fred", "postgres", "redis", "rusqlite", "sled", "sqlx", "tokio-postgres"];

pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    cargo::packages(metadata)
        .iter()
        .flat_map(|package| {
            let name = package["name"].as_str().unwrap_or_default();
            let dependencies = package["dependencies"].as_array();
            dependencies.into_iter().flatten().filter_map(move |dependency| {
                let on = dependency["name"].as_str().unwrap_or_default();
                let is_for_tests = dependency["kind"] == "dev";
                let advice = forbidden(name, on, is_for_tests)?;
                let path = format!("crates/{name}/Cargo.toml");
                Some(Finding::in_file(path, advice))
            })
        })
        .collect()
}

/// Says why the package `from` must not depend on the package `on`, if it must not.
fn forbidden(from: &str, on: &str, is_for_tests: bool) -> Option<String> {
    let is_tier = |name: &str| name.starts_with("tier-");
    if from == "store-core" && (is_tier(on) || DRIVERS.contains(&on)) {
        return Some(format!("remove `{on}`: store-core knows no tier and no driver, move the code into a tier"));
    }
    if is_tier(from) && is_tier(on) {
        return Some(format!("remove `{on}`: no tier depends on another, what both need belongs in store-core"));
    }
    if is_tier(from) && on == "store-testkit" && !is_for_tests {
        return Some("move `store-testkit` to [dev-dependencies]".to_owned());
    }
    if from == "store-testkit" && is_tier(on) {
        return Some(format!("remove `{on}`: the testkit serves all tiers and knows none"));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_one(from: &str, on: &str, kind: Value) -> usize {
        let metadata = json!({ "packages": [
            { "name": from, "dependencies": [{ "name": on, "kind": kind }] },
        ]});
        check(&metadata).len()
    }

    #[test]
    fn wrong_arrows_are_found() {
        assert_eq!(check_one("store-core", "tier-mem", json!("dev")), 1);
        assert_eq!(check_one("store-core", "fred", Value::Null), 1);
        assert_eq!(check_one("tier-pg", "tier-redis", Value::Null), 1);
        assert_eq!(check_one("tier-pg", "tier-redis", json!("dev")), 1);
        assert_eq!(check_one("tier-pg", "store-testkit", Value::Null), 1);
        assert_eq!(check_one("store-testkit", "tier-mem", json!("dev")), 1);
    }

    #[test]
    fn right_arrows_are_not() {
        assert_eq!(check_one("tier-pg", "store-core", Value::Null), 0);
        assert_eq!(check_one("tier-pg", "tokio-postgres", Value::Null), 0);
        assert_eq!(check_one("tier-pg", "store-testkit", json!("dev")), 0);
        assert_eq!(check_one("strata", "tier-redis", Value::Null), 0);
    }
}
