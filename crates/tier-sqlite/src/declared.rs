//! What the statement that made a table declares, which no pragma tells whole.

use std::ops::Range;

/// The words by which the rules of a column begin, behind its name and type.
const RULES: [&str; 10] = ["CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED"];

/// The words by which a rule of the table begins.
const TABLE_RULES: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

/// What stands between two commas: a column, or a rule of the table.
pub(crate) struct Item {
    /// Without comments.
    pub(crate) text: String,
    /// The column's name; `None` for a rule of the table.
    pub(crate) column: Option<String>,
    /// What follows the name and type of a column.
    pub(crate) rules: String,
    /// The words outside of parentheses and quotes, in upper case.
    pub(crate) words: Vec<String>,
}

/// The columns and rules of a table by its `CREATE TABLE`.
pub(crate) fn items(sql: &str) -> Vec<Item> {
    let (mut items, mut parts, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for token in tokens(sql) {
        match &sql[token.clone()] {
            "(" => {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            }
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = depth == 0 && !parts.is_empty();
        if ends || (depth == 1 && &sql[token.clone()] == ",") {
            items.extend(item(sql, &std::mem::take(&mut parts)));
        } else if depth > 0 {
            parts.push(token);
        }
        if ends {
            break;
        }
    }
    items
}

fn item(sql: &str, parts: &[Range<usize>]) -> Option<Item> {
    let first = &sql[parts.first()?.clone()];
    let is_rule = TABLE_RULES.iter().any(|rule| rule.eq_ignore_ascii_case(first));
    let (mut words, mut rules_at, mut depth) = (Vec::new(), parts.len(), 0_usize);
    for (place, part) in parts.iter().enumerate().skip(usize::from(!is_rule)) {
        match &sql[part.clone()] {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            word if depth == 0 && word.starts_with(is_part_of_word) => {
                let word = word.to_ascii_uppercase();
                // A column that is computed may say so by `AS` alone.
                if RULES.contains(&word.as_str()) || word == "AS" {
                    rules_at = rules_at.min(place);
                }
                words.push(word);
            }
            _ => {}
        }
    }
    let column = (!is_rule).then(|| unquoted(first));
    Some(Item { text: text(sql, parts), column, rules: text(sql, &parts[rules_at..]), words })
}

/// The parts with a space wherever something stood between them.
fn text(sql: &str, parts: &[Range<usize>]) -> String {
    let mut text = String::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 && parts[place - 1].end < part.start {
            text.push(' ');
        }
        text.push_str(&sql[part.clone()]);
    }
    text
}

fn unquoted(name: &str) -> String {
    let end = match name.chars().next() {
        Some('[') => ']',
        Some(quote @ ('"' | '`' | '\'')) => quote,
        _ => return name.to_owned(),
    };
    let inner = name.get(1..name.len() - 1).unwrap_or_default();
    if end == ']' { inner.to_owned() } else { inner.replace(&format!("{end}{end}"), &end.to_string()) }
}

/// Where words, quoted texts and single signs stand; space and comments are none.
fn tokens(sql: &str) -> Vec<Range<usize>> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match first {
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' => quoted_length(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ if is_part_of_word(first) => rest.find(|character| !is_part_of_word(character)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() && !rest.starts_with("--") && !rest.starts_with("/*") {
            tokens.push(at..at + length);
        }
        at += length;
    }
    tokens
}

/// A quote within is doubled.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut length = 1;
    while let Some(end) = rest[length..].find(quote) {
        length += end + 1;
        if !rest[length..].starts_with(quote) {
            return length;
        }
        length += 1;
    }
    rest.len()
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_rules_are_told_apart() {
        let sql = "CREATE TABLE \"a(b\" (id INTEGER PRIMARY KEY, -- the key, it is\n \"a \"\"b\" varchar (3) default (lower('x,)')) not null,
            [c d] /* , */ , `e` AS (id || x'00') STORED, f double precision check (f >= 1.5), UNIQUE (f, id), CONSTRAINT k CHECK (id > 0)) STRICT";
        let items = items(sql);
        let columns: Vec<_> = items.iter().map(|item| item.column.as_deref().unwrap_or("-")).collect();
        assert_eq!(columns, ["id", "a \"b", "c d", "e", "f", "-", "-"]);
        let rules: Vec<_> = items.iter().filter(|item| item.column.is_some()).map(|item| item.rules.as_str()).collect();
        assert_eq!(rules, ["PRIMARY KEY", "default (lower('x,)')) not null", "", "AS (id || x'00') STORED", "check (f >= 1.5)"]);
        assert_eq!((items[5].text.as_str(), items[6].text.as_str()), ("UNIQUE (f, id)", "CONSTRAINT k CHECK (id > 0)"));
        assert_eq!(items[1].words, ["VARCHAR", "DEFAULT", "NOT", "NULL"]);
    }
}
