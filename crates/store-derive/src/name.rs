//! Names of schemas, tables and columns.

/// PostgreSQL cuts longer names off in silence.
pub(crate) const LONGEST_NAME: usize = 63;

/// What Strata keeps for its own tables and columns.
const RESERVED_PREFIXES: [&str; 2] = ["_strata", "_version"];

/// The columns that every table of PostgreSQL has.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// `HTTPServer2Log` becomes `http_server2_log`: a word begins at a capital that follows no capital, or that a small letter follows.
pub(crate) fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut output = String::with_capacity(name.len() + 4);
    for (position, &character) in characters.iter().enumerate() {
        let previous = position.checked_sub(1).map(|before| characters[before]);
        let next_is_small = characters.get(position + 1).is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && previous.is_some_and(|previous| previous != '_' && (!previous.is_uppercase() || next_is_small)) {
            output.push('_');
        }
        output.extend(character.to_lowercase());
    }
    output
}

/// Checks the name of a schema or index.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check(name: &str) -> Result<(), String> {
    check_not_empty(name)?;
    if let Some(character) = name.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '_') {
        return Err(format!("the name `{name}` holds `{}`; use letters, digits and `_` only", character.escape_debug()));
    }
    if name.starts_with('_') {
        return Err(format!("the name `{name}` begins with `_`, as Strata's own keys and tables do; begin with a letter"));
    }
    check_length(name)
}

/// Checks the name of a table, which may be an old one that Strata would not have chosen.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check_table(name: &str) -> Result<(), String> {
    if name.contains(char::is_control) {
        return Err(String::from("the name holds a control character; leave it out"));
    }
    let parts: Vec<&str> = name.split('.').collect();
    if parts.len() > 2 {
        return Err(format!(
            "the name `{name}` has more than one dot; in front of a table's name stands that of its schema at most: \"game.players\""
        ));
    }
    if let [schema, _] = parts[..]
        && schema.starts_with("pg_")
    {
        return Err(format!(
            "`{schema}` is no name for a schema of the database: those that begin with `pg_` are PostgreSQL's own; choose another"
        ));
    }
    check_sqlite(name)?;
    parts.into_iter().try_for_each(|part| check_not_empty(part).and_then(|()| check_reserved(part)).and_then(|()| check_length(part)))
}

/// Checks the name of an index.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check_index(name: &str) -> Result<(), String> {
    check(name).and_then(|()| check_sqlite(name))
}

/// Checks the name of a column.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check_column(name: &str) -> Result<(), String> {
    if SYSTEM_COLUMNS.contains(&name) {
        return Err(format!("every table of PostgreSQL has a column `{name}` of its own; rename the field"));
    }
    check_reserved(name).and_then(|()| check_length(name))
}

/// Checks that SQLite would make a table or an index of the name.
///
/// # Errors
///
/// Which prefix is reserved.
pub(crate) fn check_sqlite(name: &str) -> Result<(), String> {
    if name.to_ascii_lowercase().starts_with("sqlite_") {
        return Err(format!("the name `{name}` begins with `sqlite_`, as SQLite's own tables and indexes do; choose another name"));
    }
    Ok(())
}

/// Checks a condition in SQL, as far as it can be told without a database.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check_condition(condition: &str) -> Result<(), String> {
    if condition.trim().is_empty() {
        return Err(String::from("the condition is empty; give one in SQL, or leave it out"));
    }
    let (mut depth, mut quote) = (0_i32, None);
    for (position, character) in condition.char_indices() {
        match (quote, character) {
            (_, '\0') => return Err(String::from("the condition holds the character NUL; leave it out")),
            (Some(open), character) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Err(String::from("the condition closes a parenthesis that it does not open")),
            (None, ')') => depth -= 1,
            (None, ';') => return Err(String::from("a condition is no statement; take the `;` away")),
            (None, '-' | '/') if ["--", "/*"].iter().any(|comment| condition[position..].starts_with(comment)) => {
                return Err(String::from("a condition holds no comment; take it away"));
            }
            (None, '$' | '?') => {
                return Err(format!("a condition has no `{character}`, as no values are sent with it; write them into the text"));
            }
            _ => {}
        }
    }
    if depth > 0 || quote.is_some() {
        return Err(String::from("the condition ends within a parenthesis or a quoted text; close it"));
    }
    Ok(())
}

/// Whether a condition in SQL reads a column, and does more than ask whether it is NULL. What stands in strings is none of its names, and neither are the names
/// of functions and types.
pub(crate) fn reads(condition: &str, column: &str) -> bool {
    let words = words(condition);
    words.iter().enumerate().any(|(position, word)| {
        let next = |ahead: usize| words.get(position + ahead).map(String::as_str).unwrap_or_default();
        let before = position.checked_sub(1).map_or("", |before| &words[before]);
        let is = |word: &str, keyword: &str| word.eq_ignore_ascii_case(keyword);
        let is_quoted = word.starts_with('"');
        let name = if is_quoted { word[1..].trim_end_matches('"') } else { word.as_str() };
        let is_function = !is_quoted && next(1) == "(";
        // `DATE '2026-01-01'`, `CAST(… AS text)` and `…::text`.
        let is_type = (!is_quoted && next(1).starts_with('\'')) || is(before, "AS") || before == ":";
        // `((n)) IS NULL`, but not `lower(n) IS NULL`.
        let enclosing = (1..=position).take_while(|depth| words[position - depth] == "(" && next(*depth) == ")").count();
        let opener = position.checked_sub(enclosing + 1).map_or("", |before| &words[before]);
        let is_called = enclosing > 0 && opener.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '_' | '"'));
        let is_called = is_called && !["AND", "OR", "NOT", "WHEN", "THEN", "ELSE"].iter().any(|keyword| is(opener, keyword));
        let behind = |ahead: usize| next(enclosing + ahead);
        let is_null = !is_called && is(behind(1), "IS") && (is(behind(2), "NULL") || (is(behind(2), "NOT") && is(behind(3), "NULL")));
        is(name, column) && !is_function && !is_type && !is_null
    })
}

/// The parts of a condition: names and numbers, texts and names in quotes with these, and every other character by itself.
fn words(condition: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut characters = condition.chars().peekable();
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    while let Some(character) = characters.next() {
        let mut word = String::from(character);
        if matches!(character, '\'' | '"') {
            word.extend(characters.by_ref().take_while(|next| *next != character));
            word.push(character);
        } else if is_of_name(character) {
            while let Some(next) = characters.next_if(|next| is_of_name(*next)) {
                word.push(next);
            }
        }
        if !character.is_whitespace() {
            words.push(word);
        }
    }
    words
}

/// Checks what stands in place of the schema's name in keys.
///
/// # Errors
///
/// What is wrong and how to fix it.
pub(crate) fn check_key_prefix(prefix: &str) -> Result<(), String> {
    check_not_empty(prefix)?;
    if prefix.contains(char::is_control) {
        return Err(String::from("the key prefix holds a control character; leave it out"));
    }
    if prefix.starts_with('_') {
        return Err(format!("the key prefix `{prefix}` begins with `_`, as Strata's own keys do; begin with a letter"));
    }
    Ok(())
}

fn check_not_empty(name: &str) -> Result<(), String> {
    if name.is_empty() { Err(String::from("the name is empty; give at least one letter, or leave it out")) } else { Ok(()) }
}

/// Checks that no database would cut the name off.
///
/// # Errors
///
/// How long it is and how long it may be.
pub(crate) fn check_length(name: &str) -> Result<(), String> {
    if name.len() > LONGEST_NAME {
        return Err(format!("the name `{name}` has {} bytes; PostgreSQL takes at most {LONGEST_NAME}, so shorten it", name.len()));
    }
    Ok(())
}

/// Checks that the name is none of Strata's own.
///
/// # Errors
///
/// Which prefix is reserved.
pub(crate) fn check_reserved(name: &str) -> Result<(), String> {
    match RESERVED_PREFIXES.iter().find(|prefix| name.to_ascii_lowercase().starts_with(*prefix)) {
        Some(prefix) => Err(format!("names that begin with `{prefix}` are Strata's own; choose another name")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_names_become_snake_case() {
        for (name, expected) in [
            ("City", "city"),
            ("UserProfile", "user_profile"),
            ("HTTPServer", "http_server"),
            ("HTTPServer2Log", "http_server2_log"),
            ("UserV2", "user_v2"),
            ("User2FA", "user2_fa"),
            ("A", "a"),
            ("AB", "ab"),
            ("already_snake", "already_snake"),
            ("Mixed_Case", "mixed_case"),
            ("_Hidden", "_hidden"),
            ("ÄrgerListe", "ärger_liste"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }

    #[test]
    fn names_are_checked() {
        for name in ["players", "Players_2", "x", "2fa", &"a".repeat(63)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, part) in [
            ("", "empty"),
            ("play-ers", "`-`"),
            ("play ers", "` `"),
            ("größe", "`ö`"),
            ("a\nb", "`\\n`"),
            ("_strata_log", "begins with `_`"),
            (&*"a".repeat(64), "64 bytes"),
        ] {
            assert!(check(name).unwrap_err().contains(part), "{name}");
        }
    }

    #[test]
    fn tables_and_key_prefixes_may_be_older_than_strata() {
        for name in ["players", "Old Table", "größe", "legacy.players", "_players", "game.pg_player", "game.sqlite_player"] {
            assert_eq!(check_table(name), Ok(()), "{name}");
        }
        for (name, part) in [
            ("", "empty"),
            ("game.", "empty"),
            ("a.b.c", "one dot"),
            ("game._strata_log", "`_strata`"),
            ("a\0", "control"),
            ("_strata_log", "`_strata`"),
            ("_Version", "`_version`"),
            ("pg_game.player", "`pg_`"),
            ("SQLite_player", "`sqlite_`"),
            (&*"ü".repeat(32), "64 bytes"),
        ] {
            assert!(check_table(name).unwrap_err().contains(part), "{name}");
        }
        for prefix in ["players", "game:players", "a b"] {
            assert_eq!(check_key_prefix(prefix), Ok(()), "{prefix}");
        }
        for (prefix, part) in [("", "empty"), ("a\n", "control"), ("_version", "begins with `_`")] {
            assert!(check_key_prefix(prefix).unwrap_err().contains(part), "{prefix}");
        }
    }

    #[test]
    fn conditions_are_checked() {
        for condition in ["level > 0", "name <> 'it''s (' AND (a OR b)", r#""a;b" = 1"#, "a - b > -1 / c"] {
            assert_eq!(check_condition(condition), Ok(()), "{condition}");
        }
        for (condition, part) in [
            (" ", "empty"),
            ("a)", "closes"),
            ("(a", "ends within"),
            ("a = 'b", "ends within"),
            ("a; DROP TABLE b", "statement"),
            ("a -- b", "comment"),
            ("a > $1", "`$`"),
        ] {
            assert!(check_condition(condition).unwrap_err().contains(part), "{condition}");
        }
    }

    #[test]
    fn columns_and_indexes_are_none_of_the_databases_own() {
        for name in ["id", "CTID", "xmin_", "oid", "rowid"] {
            assert_eq!(check_column(name), Ok(()), "{name}");
        }
        for name in ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"] {
            assert!(check_column(name).unwrap_err().contains("rename the field"), "{name}");
        }
        assert_eq!(check_index("my_sqlite_index"), Ok(()));
        assert!(check_index("Sqlite_index").unwrap_err().contains("`sqlite_`"));
    }

    #[test]
    fn a_condition_reads_what_it_names_outside_of_strings() {
        for condition in [
            "n > 1",
            "a = 1 AND(N)IS TRUE",
            "\"n\" = 4",
            "lower(n) = ''",
            "item.n<>'x'",
            "n::bigint > 1",
            "n IS NOT DISTINCT FROM 1",
            "1<n",
            "lower(n) IS NULL",
            "a IN (n) AND b IS NULL",
        ] {
            assert!(reads(condition, "n"), "{condition}");
        }
        for condition in [
            "a = 'n'",
            "a = 'it''s n'",
            "nn > 1",
            "n_ > 1",
            "n IS NULL",
            "n is  not null",
            "(n) IS NULL",
            "a = 1 OR ((\"n\")) IS NOT NULL",
            "n(a) > 1",
            "a::n = 1",
            "CAST(a AS n) = 1",
            "a > n '1'",
        ] {
            assert!(!reads(condition, "n"), "{condition}");
        }
    }
}
