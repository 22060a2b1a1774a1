//! No driver, time or hash crate shows in a public signature of the core or the facade, so that
//! each can be replaced without breaking a user.

use super::source::holds_word;
use super::{Finding, Source};

const HIDDEN: [&str; 25] = [
    "ahash",
    "chrono",
    "dashmap",
    "deadpool",
    "deadpool_postgres",
    "foldhash",
    "fred",
    "hashbrown",
    "jiff",
    "lru",
    "moka",
    "postcard",
    "quick_cache",
    "rmp_serde",
    "rusqlite",
    "rustc_hash",
    "rustls",
    "sea_query",
    "sled",
    "sqlx",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "twox_hash",
    "xxhash",
    "xxhash_rust",
];
/// Their names are common words, so that only a path from their root tells them.
const HIDDEN_AS_ROOT: [&str; 2] = ["redis", "time"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_rust() && (source.is_in("crates/store-core/src") || source.is_in("crates/strata/src")))
        .flat_map(|source| {
            public_lines(source).into_iter().filter_map(|(number, line)| {
                let name = hidden_crate(line).filter(|name| !has_module(source, name))?;
                let advice = format!("the crate `{name}` shows in a public signature: wrap it in a type of ours");
                Some(Finding::at(&source.path, number, advice))
            })
        })
        .collect()
}

/// The lines that make up public signatures, up to the unit tests.
fn public_lines(source: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut part = Part::Private;
    for (number, line) in source.lines() {
        let code = line.split("//").next().unwrap_or_default().trim();
        if code == "mod tests {" {
            break;
        }
        if let (Part::Private, Some(item)) = (&part, code.strip_prefix("pub ")) {
            part = Part::begin(item);
        }
        if part != Part::Private {
            found.push((number, code));
            part = part.after(code);
        }
    }
    found
}

/// What a line of code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Private,
    /// A public item or field, up to a line that ends with one of these.
    Head(&'static [char]),
    /// A public enum or trait, whose members are public without saying so, and its open braces.
    Whole(i32),
}

impl Part {
    fn begin(item: &str) -> Self {
        match item.split(' ').next() {
            Some("enum" | "trait") => Part::Whole(0),
            Some("use" | "const" | "static" | "type") if !item.starts_with("const fn") => Part::Head(&[';']),
            Some("async" | "const" | "fn" | "mod" | "struct" | "union") => Part::Head(&['{', '}', ';']),
            _ => Part::Head(&[',']),
        }
    }

    /// The part that goes on after this line.
    fn after(self, code: &str) -> Self {
        match self {
            Part::Private => Part::Private,
            Part::Head(ends) if code.ends_with(ends) => Part::Private,
            Part::Head(ends) => Part::Head(ends),
            Part::Whole(depth) => {
                let opened = code.matches('{').count() as i32;
                let closed = code.matches('}').count() as i32;
                match depth + opened - closed {
                    0 if closed > 0 => Part::Private,
                    depth => Part::Whole(depth),
                }
            }
        }
    }
}

fn hidden_crate(code: &str) -> Option<&'static str> {
    let named = HIDDEN.iter().find(|name| holds_word(code, name));
    named.or_else(|| HIDDEN_AS_ROOT.iter().find(|name| begins_a_path(code, name))).copied()
}

/// Whether the name is that of a module of ours, declared in the same file.
fn has_module(source: &Source, name: &str) -> bool {
    source.lines().any(|(_, line)| line.trim_end().ends_with(&format!("mod {name};")))
}

/// Whether a path begins with `name`, as in `time::Duration` but not in `std::time::Duration`.
fn begins_a_path(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(start, _)| {
        let before = &code[..start];
        !before.ends_with("::") && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let findings = check(&[Source::new("crates/store-core/src/store.rs", text)]);
        findings.iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn foreign_crates_in_signatures_are_found() {
        assert_eq!(found("pub fn pool(&self) -> &deadpool_postgres::Pool {"), [1]);
        assert_eq!(found("pub fn get(\n    &self,\n    at: jiff::Timestamp,\n) {}"), [3]);
        assert_eq!(found("pub use fred;"), [1]);
        assert_eq!(found("pub use a::{\n    B,\n    rusqlite::C,\n};"), [3]);
        assert_eq!(found("struct S {\n    pub at: time::Date,\n}"), [2]);
        assert_eq!(found("pub enum E {\n    A { at: chrono::Utc },\n    B(redis::Error),\n}"), [2, 3]);
        assert_eq!(found("pub trait T {\n    fn a(&self) {}\n    fn b(&self) -> moka::C;\n}"), [3]);
    }

    #[test]
    fn private_code_and_the_standard_library_are_not() {
        assert!(found("use fred::Client;\nfn a() -> fred::Client {}").is_empty());
        assert!(found("pub(crate) fn pool() -> rusqlite::Connection {").is_empty());
        assert!(found("pub fn limit() -> std::time::Duration {").is_empty());
        assert!(found("pub fn a() {\n    fred::init()\n}").is_empty());
        assert!(found("pub enum E { A }\nuse jiff::Span;").is_empty());
        assert!(found("pub fn a(); // unlike chrono").is_empty());
        assert!(found("mod postcard;\npub use postcard::Postcard;").is_empty());
    }
}
