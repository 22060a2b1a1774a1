//! The two commands that set everything up stand where people and machines look for them.

use super::Finding;

const TEST: &str = "cargo xtask test";

pub(super) fn check(readme: &str, ci: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for command in ["cargo run -p quickstart", TEST] {
        if !readme.contains(command) {
            findings.push(Finding::in_file("README.md", format!("name the command `{command}`")));
        }
    }
    let is_called = ci.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(TEST));
    if !is_called {
        findings.push(Finding::in_file(".ci/run", format!("call `{TEST}`")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_commands_are_found() {
        let readme = "`cargo run -p quickstart`, then `cargo xtask test`";
        assert!(check(readme, "exec cargo xtask test").is_empty());
        assert_eq!(check("", "").len(), 3);
        assert_eq!(check("cargo xtask test", "cargo xtask test").len(), 1);
        assert_eq!(check(readme, "# cargo xtask test").len(), 1);
    }
}
