//! Files that one can read in one sitting.

use super::{Finding, Source};

const LIMIT: usize = 500;
const LIB_LIMIT: usize = 120;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_rust())
        .filter_map(|source| {
            let is_lib = source.path.ends_with("/lib.rs");
            let limit = if is_lib { LIB_LIMIT } else { LIMIT };
            let count = source.lines().count();
            let remedy = match is_lib {
                true => "leave it modules, re-exports and the crate's introduction",
                false => "move a concept into a file of its own",
            };
            let advice = format!("{count} lines, at most {limit} are allowed: {remedy}");
            (count > limit).then(|| Finding::in_file(&source.path, advice))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_file(path: &str, lines: usize) -> usize {
        check(&[Source::new(path, &"\n".repeat(lines))]).len()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(check_file("crates/a/src/b.rs", LIMIT), 0);
        assert_eq!(check_file("crates/a/src/b.rs", LIMIT + 1), 1);
        assert_eq!(check_file("crates/a/src/lib.rs", LIB_LIMIT), 0);
        assert_eq!(check_file("crates/a/src/lib.rs", LIB_LIMIT + 1), 1);
        assert_eq!(check_file("docs/guide.md", LIMIT + 1), 0);
    }
}
