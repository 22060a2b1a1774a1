//! What the derive macro emits names only the private module of the facade or the core, so that
//! the public names stay free to move.

use super::{Finding, Source};

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_rust() && source.is_in("crates/store-derive/src"))
        .flat_map(|source| {
            source.lines().filter(|(_, line)| !line.trim_start().starts_with("//")).filter_map(|(number, line)| {
                let name = public_path(line)?;
                let advice = format!("the macro emits `{name}`: re-export it from `__private` and name it there");
                Some(Finding::at(&source.path, number, advice))
            })
        })
        .collect()
}

/// A path from the root of one of our crates that does not go through `__private`.
fn public_path(line: &str) -> Option<String> {
    let dense = line.replace(" ::", "::").replace(":: ", "::");
    ["::strata::", "::store_core::"].iter().find_map(|root| {
        dense.match_indices(root).find_map(|(start, _)| {
            let rest = &dense[start + root.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            (name != "__private").then(|| format!("{root}{name}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str) -> Vec<Finding> {
        check(&[Source::new("crates/store-derive/src/expand.rs", line)])
    }

    #[test]
    fn public_paths_are_found() {
        let findings = check_line("\nquote!(impl ::strata::Schema for #name {})");
        assert_eq!(findings[0].line, Some(2));
        assert!(findings[0].advice.contains("`::strata::Schema`"));
        assert_eq!(check_line("quote!(:: store_core :: Error)").len(), 1);
        assert_eq!(check_line("(::store_core::__private::A, ::store_core::B)").len(), 1);
    }

    #[test]
    fn the_private_path_and_comments_are_not() {
        assert!(check_line("quote!(::strata::__private::Schema)").is_empty());
        assert!(check_line("/// Implements `::strata::Schema`.").is_empty());
    }
}
