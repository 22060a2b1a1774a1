use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A file that people wrote, by its path from the root of the workspace.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn is_in(&self, directory: &str) -> bool {
        self.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The lines with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

const SKIPPED: [&str; 2] = ["target", ".git"];

/// Reads all text files of the workspace; a file that is no UTF-8 is none.
pub(super) fn read_all(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    read_directory(root, root, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn read_directory(root: &Path, directory: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let cannot_read = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let path = entry.path();
        // In a second work tree `.git` is a file.
        if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        let kind = entry.file_type().with_context(cannot_read)?;
        if kind.is_dir() {
            read_directory(root, &path, sources)?;
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
            && let Ok(relative) = path.strip_prefix(root)
        {
            sources.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(())
}

/// Whether `text` holds `word` with neither a letter, a digit nor an underscore at its ends.
pub(super) fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(holds_word("use fred::Client", "fred"));
        assert!(holds_word("fred", "fred"));
        assert!(!holds_word("alfred::Client", "fred"));
        assert!(!holds_word("fred_like", "fred"));
    }

    #[test]
    fn a_directory_holds_what_lies_below_it() {
        let source = Source::new("crates/store-core/src/lib.rs", "");
        assert!(source.is_in("crates/store-core"));
        assert!(!source.is_in("crates/store"));
    }
}
