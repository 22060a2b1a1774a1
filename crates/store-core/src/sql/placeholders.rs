//! Renumbering the `$1`, `$2`, … of a condition that the program wrote.

use super::dialect::Dialect;
use crate::error::{Error, ErrorKind, Result};

fn refuse(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidQuery, reason.into())
}

/// Rewrites the placeholders of `sql` for a dialect, counted from `first`, leaving strings, quoted names and comments alone.
///
/// Refuses a NUL character, a placeholder without a value, a value without a placeholder, and text that ends within a string, comment or parenthesis:
/// it would swallow the rest of the statement.
pub(super) fn renumber(sql: &str, params: usize, first: usize, dialect: Dialect) -> Result<String> {
    // Within quotes and comments, too: it cannot be sent to PostgreSQL.
    if sql.contains('\0') {
        return Err(refuse("the condition holds a NUL character; remove it"));
    }
    let mut output = String::with_capacity(sql.len() + 8);
    let mut used = vec![false; params];
    let mut depth = 0_usize;
    let mut foreign = None;
    let mut rest = sql;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '\'' => {
                let escapes = dialect == Dialect::Postgres && ends_with_escape_prefix(&output);
                quoted(rest, '\'', escapes).ok_or_else(|| refuse("the condition ends within a string; close the quote"))?
            }
            '"' => quoted(rest, '"', false).ok_or_else(|| refuse("the condition ends within a quoted name; close the quote"))?,
            '-' if rest.starts_with("--") => {
                return Err(refuse("the condition holds a `--` comment, which would swallow the rest of the statement; remove it"));
            }
            '/' if rest.starts_with("/*") => {
                block_comment(rest, dialect).ok_or_else(|| refuse("the condition ends within a comment; close it"))?
            }
            ';' => {
                return Err(refuse("the condition holds a `;`; a condition is one expression"));
            }
            '(' => {
                depth += 1;
                1
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or_else(|| refuse("the condition closes a parenthesis that it did not open"))?;
                1
            }
            '?' | ':' | '@' if dialect == Dialect::Sqlite => {
                return Err(refuse(explain_foreign(character)));
            }
            '?' | ':' | '@' => {
                if is_foreign(rest, &output) {
                    foreign.get_or_insert(character);
                }
                1
            }
            '$' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    let number: usize = rest[1..=digits].parse().map_err(|_| refuse("a placeholder's number is too large"))?;
                    let position = number.checked_sub(1).filter(|&position| position < params).ok_or_else(|| {
                        refuse(format!("the condition names ${number}, but {params} value(s) were given; number them from $1"))
                    })?;
                    used[position] = true;
                    output.push_str(&dialect.placeholder(first + position));
                    rest = &rest[digits + 1..];
                    continue;
                }
                if dialect == Dialect::Sqlite {
                    return Err(refuse(explain_foreign('$')));
                }
                let taken =
                    dollar_quoted(rest, &output).ok_or_else(|| refuse("the condition ends within a dollar-quoted string; close it"))?;
                if taken == 1 && is_foreign(rest, &output) {
                    foreign.get_or_insert('$');
                }
                taken
            }
            other => other.len_utf8(),
        };
        output.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    if depth > 0 {
        return Err(refuse("the condition leaves a parenthesis open"));
    }
    if let Some(unused) = used.iter().position(|used| !used) {
        let number = unused + 1;
        let reason = foreign.map_or_else(|| format!("the condition has no ${number}"), explain_foreign);
        return Err(refuse(format!("value {number} is never used; {reason}")));
    }
    if output.trim().is_empty() {
        return Err(refuse("the condition is empty; leave it out"));
    }
    Ok(output)
}

fn explain_foreign(character: char) -> String {
    let unnumbered = if character == '$' { " without a number" } else { "" };
    format!("the condition holds a `{character}`{unnumbered}; write `$1`, `$2`, … for values")
}

/// Whether `text` begins as other libraries write a placeholder: `?`, `:name`, `@name` or `$name`. In PostgreSQL it may be an operator all the same.
fn is_foreign(text: &str, before: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let mut characters = text.chars();
    characters.next() == Some('?')
        || (characters.next().is_some_and(|next| is_name(next) && !next.is_numeric())
            && !before.ends_with(|previous| is_name(previous) || previous == ':'))
}

/// The length of a quoted run at the start of `text`, doubled quotes (and, in `E''` strings, backslashes) heeded.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_some_and(|&(_, next)| next == quote) {
                characters.next();
            } else {
                return Some(position + 1);
            }
        }
    }
    None
}

fn ends_with_escape_prefix(output: &str) -> bool {
    let mut characters = output.chars().rev();
    matches!(characters.next(), Some('e' | 'E')) && !characters.next().is_some_and(|before| before.is_alphanumeric() || before == '_')
}

/// The length of a block comment at the start of `text`; they nest in PostgreSQL alone.
fn block_comment(text: &str, dialect: Dialect) -> Option<usize> {
    if dialect == Dialect::Sqlite {
        return text[2..].find("*/").map(|end| end + 4);
    }
    let mut depth = 0_usize;
    let mut position = 0;
    while position < text.len() {
        let rest = &text.as_bytes()[position..];
        if rest.starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return Some(position);
            }
        } else {
            position += 1;
        }
    }
    None
}

/// The length of a `$tag$…$tag$` string at the start of `text`, or 1 for a lone `$`.
fn dollar_quoted(text: &str, before: &str) -> Option<usize> {
    if before.chars().next_back().is_some_and(|previous| previous.is_alphanumeric() || previous == '_') {
        return Some(1);
    }
    let tag = text[1..].chars().take_while(|character| character.is_alphanumeric() || *character == '_').map(char::len_utf8).sum::<usize>();
    if !text[1 + tag..].starts_with('$') {
        return Some(1);
    }
    let delimiter = &text[..tag + 2];
    text[delimiter.len()..].find(delimiter).map(|end| end + 2 * delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(sql: &str, params: usize) -> Result<String> {
        renumber(sql, params, 4, Dialect::Postgres)
    }

    #[test]
    fn placeholders_move_and_everything_quoted_stays() {
        assert_eq!(postgres("a > $1 AND b = $2 OR c = $1", 2).unwrap(), "a > $4 AND b = $5 OR c = $4");
        assert_eq!(
            postgres(r#"a = '$1''$2' AND "$3" = $1 AND b = E'\'$9' AND c = $q$ $8 $q$ /* $7 /* $6 */ */"#, 1).unwrap(),
            r#"a = '$1''$2' AND "$3" = $4 AND b = E'\'$9' AND c = $q$ $8 $q$ /* $7 /* $6 */ */"#
        );
        assert_eq!(renumber("a > $1", 1, 1, Dialect::Sqlite).unwrap(), "a > ?1");
    }

    #[test]
    fn conditions_that_would_break_the_statement_are_refused() {
        for (sql, params) in [
            ("a = $2", 1),
            ("a = $0", 1),
            ("a = 1", 1),
            ("a = $99999999999999999999", 1),
            ("a = '", 0),
            ("a = \"", 0),
            ("a = 1 --", 0),
            ("a = 1 /*", 0),
            ("a = 1) OR (1 = 1", 0),
            ("(a = 1", 0),
            ("a = 1; DROP TABLE x", 0),
            ("a = $$x", 0),
            ("a = 1 \0", 0),
            ("a = 'b\0c'", 0),
            ("\"a\0\" = 1", 0),
            ("a = 1 /* \0 */", 0),
            ("a = $$\0$$", 0),
            ("  ", 0),
        ] {
            let error = postgres(sql, params).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{sql}");
        }
        for sql in ["a = ?", "a = ?1", "a = :a", "a = @a", "a = $a", "a = $$x$$"] {
            assert_eq!(renumber(sql, 0, 1, Dialect::Sqlite).unwrap_err().kind(), ErrorKind::InvalidQuery, "{sql}");
        }
        assert_eq!(renumber("a = ':$x?'", 0, 1, Dialect::Sqlite).unwrap(), "a = ':$x?'");
    }

    #[test]
    fn the_placeholders_of_others_are_explained_where_they_cannot_be_operators() {
        for (sql, held) in [("a = ?", "`?`"), ("a = ?1", "`?`"), ("a = :a", "`:`"), ("a = @a", "`@`"), ("a = $a", "`$` without a number")] {
            let said = format!("the condition holds a {held}; write `$1`, `$2`, … for values");
            let sqlite = renumber(sql, 1, 1, Dialect::Sqlite).unwrap_err().to_string();
            assert!(sqlite.contains(&said), "{sqlite}");
            let postgres = postgres(sql, 1).unwrap_err().to_string();
            assert!(postgres.contains(&format!("value 1 is never used; {said}")), "{postgres}");
        }
        for sql in ["a ? 'b'", "a ?| ARRAY['b']", "a = '1'::bigint", "@ a = b", "a[1:b] = c", "a @> b", "a$b = 1"] {
            assert_eq!(postgres(sql, 0).unwrap(), sql);
            assert_eq!(postgres(&format!("{sql} AND d = $1"), 1).unwrap(), format!("{sql} AND d = $4"));
        }
        let error = postgres("a::b = c[1:d] AND e$f @> g", 1).unwrap_err().to_string();
        assert!(error.contains("the condition has no $1"), "{error}");
    }
}
