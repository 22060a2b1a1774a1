//! The rules of the workspace that no compiler checks, one to a file.

mod architecture;
mod arrows;
mod commands;
mod dependencies;
mod derive_paths;
mod hygiene;
mod length;
mod signatures;
mod source;
mod tree;

use std::fmt;
use std::fs;

use anyhow::{Result, bail};

use crate::cargo;
use source::Source;

/// A broken rule: where, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: Option<usize>,
    advice: String,
}

impl Finding {
    fn in_file(path: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, advice: advice.into() }
    }

    fn at(path: impl Into<String>, line: usize, advice: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::in_file(path, advice) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.advice),
            None => write!(f, "{}: {}", self.path, self.advice),
        }
    }
}

/// Checks all rules and prints every place that breaks one.
pub(crate) fn run() -> Result<()> {
    let root = cargo::root();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    let sources = source::read_all(&root)?;
    let metadata = cargo::metadata()?;
    let readme = read("README.md");

    let findings: Vec<Finding> = [
        arrows::check(&metadata),
        tree::check(&tree::read()?),
        derive_paths::check(&sources),
        length::check(&sources),
        signatures::check(&sources),
        hygiene::check(&sources),
        commands::check(&readme, &read(".ci/run")),
        dependencies::check(&read("Cargo.toml"), &read("docs/dependencies.md")),
        architecture::check(&metadata, &read("ARCHITECTURE.md")),
    ]
    .into_iter()
    .flatten()
    .collect();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("one place breaks the rules"),
        count => bail!("{count} places break the rules"),
    }
}
