//! As much of Cargo.toml as it takes to find a dependency's name.

/// The tables of dependencies: those that the library sees count first.
const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The name under which the manifest depends on the first of `packages` that it depends on: its own, or what it was renamed to.
pub(super) fn dependency(manifest: &str, packages: &[&str]) -> Option<String> {
    let dependencies = dependencies(manifest);
    TABLES.iter().find_map(|table| {
        packages.iter().find_map(|package| {
            dependencies
                .iter()
                .find(|dependency| dependency.table == *table && dependency.package() == *package)
                .map(|found| found.name.clone())
        })
    })
}

#[derive(Debug, Default)]
struct Dependency {
    table: String,
    name: String,
    renamed: Option<String>,
}

impl Dependency {
    fn package(&self) -> &str {
        self.renamed.as_deref().unwrap_or(&self.name)
    }
}

fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut header: Vec<String> = Vec::new();
    for statement in statements(manifest) {
        if let Some(table) = statement.strip_prefix('[') {
            header = keys(table.trim_matches(['[', ']']));
            note(&mut found, &header, None);
        } else if let Some((key, value)) = split_outside_strings(&statement, '=') {
            let mut path = header.clone();
            path.extend(keys(key));
            note(&mut found, &path, Some(value.trim()));
        }
    }
    found
}

/// Takes in one key with its full path: `dependencies.strata`, `target."cfg(unix)".dependencies.strata.package`.
fn note(found: &mut Vec<Dependency>, path: &[String], value: Option<&str>) {
    let Some(position) = path.iter().position(|key| TABLES.contains(&key.as_str())) else { return };
    let of_this_package = position == 0 || (position == 2 && path[0] == "target");
    let (table, rest) = (&path[position], &path[position + 1..]);
    let Some(name) = rest.first().filter(|name| of_this_package && is_crate_name(name)) else { return };
    let renamed = match (rest.get(1).map(String::as_str), value) {
        (Some("package"), Some(value)) => Some(unquoted(value).to_owned()),
        (None, Some(value)) => package_of_inline_table(value),
        _ => None,
    };
    match found.iter_mut().find(|present| present.table == *table && present.name == *name) {
        Some(present) => present.renamed = renamed.or_else(|| present.renamed.take()),
        None => found.push(Dependency { table: table.clone(), name: name.clone(), renamed }),
    }
}

fn is_crate_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'))
}

/// `{ package = "strata", version = "1" }`.
fn package_of_inline_table(value: &str) -> Option<String> {
    let mut rest = value.strip_prefix('{')?;
    loop {
        let (entry, next) = split_outside_strings(rest, ',').unwrap_or((rest, ""));
        if let Some((key, value)) = entry.split_once('=')
            && key.trim() == "package"
        {
            return Some(unquoted(value.trim().trim_end_matches('}').trim()).to_owned());
        }
        if next.is_empty() {
            return None;
        }
        rest = next;
    }
}

/// The parts of a dotted key.
fn keys(mut key: &str) -> Vec<String> {
    let mut parts = Vec::new();
    while let Some((part, rest)) = split_outside_strings(key, '.') {
        parts.push(unquoted(part.trim()).to_owned());
        key = rest;
    }
    parts.push(unquoted(key.trim()).to_owned());
    parts
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

fn split_outside_strings(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut quote = None;
    for (position, character) in text.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character == separator => return Some((&text[..position], &text[position + character.len_utf8()..])),
            None => {}
        }
    }
    None
}

/// The manifest's lines without comments; arrays and tables that span lines count as one.
fn statements(manifest: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut pending = String::new();
    let mut scanner = Scanner::default();
    for line in manifest.lines() {
        pending.push_str(scanner.without_comment(line));
        if scanner.is_between_statements() {
            let statement = std::mem::take(&mut pending);
            let statement = statement.trim();
            if !statement.is_empty() {
                statements.push(statement.to_owned());
            }
        } else {
            pending.push(' ');
        }
    }
    statements
}

/// Where in a manifest a line begins.
#[derive(Default)]
struct Scanner {
    depth: usize,
    /// The delimiter of the open multi-line string.
    long_string: Option<&'static str>,
}

impl Scanner {
    fn is_between_statements(&self) -> bool {
        self.depth == 0 && self.long_string.is_none()
    }

    fn without_comment<'a>(&mut self, line: &'a str) -> &'a str {
        let mut position = 0;
        while position < line.len() {
            let rest = &line[position..];
            if let Some(delimiter) = self.long_string {
                let Some(end) = rest.find(delimiter) else { return line };
                position += end + delimiter.len();
                self.long_string = None;
                continue;
            }
            if let Some(delimiter) = ["\"\"\"", "'''"].into_iter().find(|delimiter| rest.starts_with(delimiter)) {
                self.long_string = Some(delimiter);
                position += delimiter.len();
                continue;
            }
            let character = rest.chars().next().unwrap_or_default();
            position += character.len_utf8();
            match character {
                '#' => return &line[..position - 1],
                '[' | '{' => self.depth += 1,
                ']' | '}' => self.depth = self.depth.saturating_sub(1),
                '"' | '\'' => position += end_of_string(&line[position..], character),
                _ => {}
            }
        }
        line
    }
}

/// The length of the rest of a string that is open, with its closing quote.
fn end_of_string(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if character == quote => return position + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifest: &str) -> Option<String> {
        dependency(manifest, &["strata", "store-core"])
    }

    #[test]
    fn every_way_to_write_a_dependency_is_read() {
        for (manifest, expected) in [
            ("[dependencies]\nstrata = \"1\"", "strata"),
            ("[dependencies]\nstrata.workspace = true", "strata"),
            ("[dependencies]\nstore-core = { workspace = true }", "store-core"),
            ("[dependencies]\n\"store-core\" = '1' # why", "store-core"),
            ("[dependencies.strata]\nversion = \"1\"", "strata"),
            ("[dev-dependencies]\nstrata = { path = \"..\", features = [\n  \"mem\", # a # b\n] }\nserde = \"1\"", "strata"),
            ("[target.'cfg(unix)'.dependencies]\nstrata = \"1\"", "strata"),
            ("[target.'cfg(any(unix, target_os = \"wasi\"))'.dependencies.strata]\nversion = \"1\"", "strata"),
            ("dependencies.strata = \"1\"", "strata"),
            ("[dependencies]\ncache = { version = \"1\", package = \"strata\" }", "cache"),
            ("[dependencies]\ncache = {package='strata'}", "cache"),
            ("[dependencies.cache]\nversion = \"1\"\npackage = \"strata\"", "cache"),
            ("[dependencies]\ncache.version = \"1\"\ncache.package = \"strata\"", "cache"),
            ("[package]\ndescription = \"\"\"\n[dependencies]\nstrata = 1\n\"\"\"\n[dependencies]\nstore-core = \"1\"", "store-core"),
        ] {
            assert_eq!(found(manifest).as_deref(), Some(expected), "{manifest}");
        }
    }

    #[test]
    fn the_facade_and_the_librarys_own_dependencies_count_first() {
        assert_eq!(found("[dependencies]\nstore-core = \"1\"\nstrata = \"1\"").as_deref(), Some("strata"));
        assert_eq!(found("[dev-dependencies]\nstrata = \"1\"\n[dependencies]\nstore-core = \"1\"").as_deref(), Some("store-core"));
    }

    #[test]
    fn what_is_no_dependency_is_not_found() {
        for manifest in [
            "",
            "[package]\nname = \"strata\"",
            "[dependencies]\n# strata = \"1\"",
            "[dependencies]\nstrata = { package = \"strata-of-another-kind\" }",
            "[workspace.dependencies]\nstrata = \"1\"",
            "[features]\nstrata = []",
            "[dependencies.serde]\nstrata = true",
            "[[bin]]\nname = \"strata\"",
            "[dependencies]\nserde = \"strata = 1\"",
            "{{{[[[\"",
        ] {
            assert_eq!(found(manifest), None, "{manifest}");
        }
    }
}
