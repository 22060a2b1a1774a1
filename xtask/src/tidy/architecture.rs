//! ARCHITECTURE.md is the map of the workspace, so it shows every crate.

use serde_json::Value;

use super::Finding;
use super::source::holds_word;
use crate::cargo;

pub(super) fn check(metadata: &Value, document: &str) -> Vec<Finding> {
    cargo::package_names(metadata)
        .into_iter()
        .filter(|name| !holds_word(document, name))
        .map(|name| Finding::in_file("ARCHITECTURE.md", format!("say what the crate `{name}` is for")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unnamed_crate_is_found() {
        let metadata = serde_json::json!({ "packages": [{ "name": "strata" }, { "name": "tier-mem" }] });
        assert!(check(&metadata, "`strata` and tier-mem/").is_empty());
        let findings = check(&metadata, "strata_core, tier-mem");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].advice.contains("`strata`"));
    }
}
