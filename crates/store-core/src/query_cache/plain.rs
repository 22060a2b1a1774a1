//! Whether the truth of a condition in SQL follows from the columns of its row alone.
//!
//! The answer of a query is kept only if nothing but writes of the schema's records can change it. A condition that the program wrote may hold a query of its own over
//! any table, ask for the time, or call whatever the database offers. So every word of it must be known.

use crate::schema::SchemaDefinition;

/// Words that stand for themselves, or are operators.
const WORDS: [&str; 29] = [
    "and",
    "or",
    "not",
    "is",
    "null",
    "isnull",
    "notnull",
    "true",
    "false",
    "unknown",
    "in",
    "between",
    "like",
    "ilike",
    "glob",
    "similar",
    "to",
    "escape",
    "case",
    "when",
    "then",
    "else",
    "end",
    "distinct",
    "from",
    "symmetric",
    "collate",
    "nocase",
    "binary",
];

/// Words that may stand before a parenthesis: functions of their arguments alone, and operators.
const BEFORE_PARENTHESIS: [&str; 42] = [
    "abs",
    "bit_length",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "chr",
    "coalesce",
    "concat",
    "floor",
    "greatest",
    "ifnull",
    "iif",
    "instr",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "mod",
    "nullif",
    "octet_length",
    "power",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sign",
    "similarity",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "substring",
    "trim",
    "trunc",
    "unicode",
    "upper",
];

/// Words that are never a column, even if one is called so.
const NEVER_COLUMNS: [&str; 11] =
    ["select", "values", "table", "with", "exists", "user", "session_user", "system_user", "localtime", "localtimestamp", "random"];

/// The columns that a condition reads, by position; `None` unless it certainly reads nothing else.
pub(super) fn columns_read(sql: &str, definition: &SchemaDefinition) -> Option<Vec<usize>> {
    let mut columns = Vec::new();
    let mut rest = sql;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '\'' => quoted(rest, '\'')?,
            '"' => {
                let taken = quoted(rest, '"').filter(|taken| !is_call(&rest[*taken..]))?;
                columns.push(definition.position(&rest[1..taken - 1])?);
                taken
            }
            '$' => 1 + Some(rest[1..].bytes().take_while(u8::is_ascii_digit).count()).filter(|digits| *digits > 0)?,
            '-' if rest.starts_with("--") => return None,
            '/' if rest.starts_with("/*") => return None,
            '0'..='9' => rest.find(|next: char| !(next.is_ascii_alphanumeric() || next == '.' || next == '_')).unwrap_or(rest.len()),
            'A'..='Z' | 'a'..='z' | '_' => {
                let end = rest.find(|next: char| !(next.is_alphanumeric() || next == '_')).unwrap_or(rest.len());
                columns.extend(known(&rest[..end], is_call(&rest[end..]), definition)?);
                end
            }
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '|' | '&' | '~' | '(' | ')' | ',' | '.' => 1,
            white if white.is_ascii_whitespace() => 1,
            _ => return None,
        };
        rest = &rest[taken..];
    }
    Some(columns)
}

fn is_call(behind: &str) -> bool {
    behind.trim_start().starts_with('(')
}

/// What a word stands for: a column, or nothing that is read. `None` if that is not known.
fn known(word: &str, is_called: bool, definition: &SchemaDefinition) -> Option<Option<usize>> {
    let lower = word.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) {
        return Some(None);
    }
    if is_called {
        return BEFORE_PARENTHESIS.contains(&lower.as_str()).then_some(None);
    }
    if NEVER_COLUMNS.contains(&lower.as_str()) || lower.starts_with("current_") {
        return None;
    }
    // Two columns may differ by case alone; then nobody knows which is meant.
    let mut named = (0..definition.columns().len()).filter(|&position| definition.columns()[position].name.eq_ignore_ascii_case(word));
    named.next().filter(|_| named.next().is_none()).map(Some)
}

/// The length of a quoted run at the start of a text, doubled quotes heeded. What a backslash means depends on the database, so that there must be none.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if character == '\\' {
            return None;
        }
        if character == quote {
            if characters.next_if(|&(_, next)| next == quote).is_some() {
                continue;
            }
            return Some(position + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies};
    use crate::value::ColumnType;

    fn reads_only_its_row(sql: &str, definition: &SchemaDefinition) -> bool {
        columns_read(sql, definition).is_some()
    }

    #[test]
    fn the_columns_that_are_named_are_those_that_are_read() {
        let columns = ["id", "name", "level"].map(|name| ColumnDefinition::new(name, ColumnType::BigInt)).to_vec();
        let definition = SchemaDefinition::new("player", columns, vec![], Policies::default());
        for (sql, read) in [("level > $1", vec![2]), (r#"'name' <> lower("name") OR LEVEL = id"#, vec![1, 2, 0]), ("TRUE", vec![])] {
            assert_eq!(columns_read(sql, &definition), Some(read), "{sql}");
        }
    }

    #[test]
    fn only_what_surely_reads_its_row_alone_is_kept() {
        let columns = ["id", "name", "level", "now", "values"].map(|name| ColumnDefinition::new(name, ColumnType::BigInt)).to_vec();
        let definition = SchemaDefinition::new("player", columns, vec![], Policies::default());
        for sql in [
            "level > $1",
            "Level BETWEEN 1 AND 1e5 OR name LIKE 'select %' || $1",
            "length(name) < $2 AND (name, level) IN (($1, 3))",
            r#"NOT ("level" <> 3) AND "values" = 3 AND now > 3"#,
            "CASE WHEN level IS NOT DISTINCT FROM 3 THEN name = 'it''s' ELSE lower (name) <> '' END",
        ] {
            assert!(reads_only_its_row(sql, &definition), "{sql}");
        }
        for sql in [
            "level > (SELECT avg(level) FROM player)",
            "EXISTS (VALUES (1))",
            "seen_at > now()",
            "level > now ()",
            "values > 3",
            "level < current_timestamp",
            "level < extract(epoch FROM level)",
            "random() < level",
            "player IS NOT NULL",
            "player.level > 3",
            r#""_version" > 3"#,
            r#""level"(3)"#,
            "_version > 3",
            "level::text = ''",
            "level > 3 -- always",
            "level /* or */ > 3",
            r"name = 'a\'",
            "name = 'a",
            "name = $$a$$",
            "[level] > 3",
            "level @ 3",
            "größe > 3",
        ] {
            assert!(!reads_only_its_row(sql, &definition), "{sql}");
        }
    }
}
