//! Names of schemas, tables and columns.

/// PostgreSQL cuts longer names off in silence.
pub(crate) const LONGEST_NAME: usize = 63;

/// What Strata keeps for its own tables and columns.
const RESERVED_PREFIXES: [&str; 2] = ["_strata", "_version"];

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
    parts.into_iter().try_for_each(|part| check_not_empty(part).and_then(|()| check_reserved(part)).and_then(|()| check_length(part)))
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
        for name in ["players", "Old Table", "größe", "legacy.players", "_players"] {
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
}
