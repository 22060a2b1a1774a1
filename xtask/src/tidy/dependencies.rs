//! Each crate that we take in is named, with the reason, in docs/dependencies.md.

use super::Finding;

pub(super) fn check(manifest: &str, document: &str) -> Vec<Finding> {
    foreign_dependencies(manifest)
        .filter(|name| !document.contains(&format!("`{name}`")))
        .map(|name| {
            let advice = format!("say what `{name}` is for and why it was chosen, or remove it from [workspace.dependencies]");
            Finding::in_file("docs/dependencies.md", advice)
        })
        .collect()
}

/// The names in `[workspace.dependencies]` that do not lie in this workspace.
fn foreign_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(_, value)| !value.contains("path ="))
        .map(|(name, _)| name.trim().trim_end_matches(".workspace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
[workspace]
members = []

[workspace.dependencies]
strata = { path = \"crates/strata\" }
# A comment = not a crate.
bytes = \"1\"
serde = { version = \"1\", features = [\"derive\"] }

[profile.dev]
debug = 1
";

    #[test]
    fn an_unnamed_dependency_is_found() {
        let findings = check(MANIFEST, "| `bytes` | buffers |");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].advice.contains("`serde`"));
        assert!(check(MANIFEST, "`bytes` `serde`").is_empty());
    }
}
