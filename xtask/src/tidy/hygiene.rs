//! What must not stay behind in a text: one machine's paths, notes to oneself, switched-off tests.

use super::source::holds_word;
use super::{Finding, Source};

/// Where the forbidden words themselves are written down.
const OWN_PATH: &str = "xtask/src/tidy/hygiene.rs";
/// Data, and what tools write.
const SKIPPED: [&str; 3] = [".json", ".jsonl", ".lock"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| {
            let is_skipped = SKIPPED.iter().any(|ending| source.path.ends_with(ending));
            !is_skipped && source.path != OWN_PATH
        })
        .flat_map(|source| {
            let is_document = source.path.ends_with(".md");
            source.lines().filter_map(move |(number, line)| {
                let advice = complaint(line, is_document)?;
                Some(Finding::at(&source.path, number, advice))
            })
        })
        .collect()
}

/// Says what is wrong with a line, if anything is.
fn complaint(line: &str, is_document: bool) -> Option<String> {
    for directory in ["/work", "/root", "/home"] {
        if names_directory(line, directory) {
            return Some(format!("`{directory}` is a path of one machine: name a relative one, or none"));
        }
    }
    let is_comment = line.trim_start().starts_with("//");
    if (is_document || is_comment) && names_directory(line, "/tmp") {
        return Some("`/tmp` is not everybody's temporary directory: say \"a temporary directory\"".to_owned());
    }
    for note in ["TODO", "FIXME", "XXX"] {
        if holds_word(line, note) {
            return Some(format!("{note}: do it, or describe the lasting fact"));
        }
    }
    for hole in ["todo!(", "unimplemented!("] {
        if line.contains(hole) {
            return Some(format!("`{hole})` panics: write the code or return an error"));
        }
    }
    if line.contains("#[ignore") {
        return Some("a test that never runs proves nothing: mend it or delete it".to_owned());
    }
    if line.contains("dbg!(") {
        return Some("`dbg!` is for one's own desk: delete it".to_owned());
    }
    None
}

/// Whether a line names an absolute directory or something in it.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(start, _)| {
        let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let is_absolute = !line[..start].ends_with(|c| is_name(c) || "/}>)$*".contains(c));
        let rest = &line[start + directory.len()..];
        is_absolute && !rest.starts_with(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_clean(path: &str, line: &str) -> bool {
        check(&[Source::new(path, line)]).is_empty()
    }

    #[test]
    fn leftovers_are_found() {
        for line in [
            "let path = \"/home/ada/main\";",
            "see /home/ada/notes",
            "open(/home/me/city.db)",
            "// TODO: later",
            "a FIXME",
            "XXX",
            "    todo!()",
            "unimplemented!(\"later\")",
            "#[ignore]",
            "#[ignore = \"slow\"]",
            "dbg!(key);",
            "// a file of /tmp/strata",
        ] {
            assert!(!is_clean("crates/a/src/b.rs", line), "{line}");
        }
        assert!(!is_clean("docs/guide.md", "open `/tmp/cities`"));
    }

    #[test]
    fn ordinary_text_is_not() {
        for line in
            ["the /workers of https://example.org/home", "examples/root/a", "open(\"/tmp/cities\")", "clippy::todo", "the homepage", "XXXL"]
        {
            assert!(is_clean("crates/a/src/b.rs", line), "{line}");
        }
        assert!(is_clean("data/a.json", "/home/me"));
    }

    #[test]
    fn the_line_is_named() {
        let findings = check(&[Source::new("README.md", "a\nXXX\n")]);
        assert_eq!(findings[0].line, Some(2));
    }
}
