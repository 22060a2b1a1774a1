//! Scripts, taken apart into statements.

use super::dialect::Dialect;

/// The statements of a script, without the semicolons between them and the comments in front of them.
///
/// Semicolons in strings, quoted names, dollar quotes, comments, parentheses and the bodies of routines and triggers end nothing.
///
/// ```
/// use store_core::sql::{Dialect, script_statements};
///
/// let script = "-- two statements\nINSERT INTO note VALUES ('a;b');\nDO $$ BEGIN PERFORM 1; END $$;";
/// let statements = script_statements(Dialect::Postgres, script);
/// assert_eq!(statements, ["INSERT INTO note VALUES ('a;b')", "DO $$ BEGIN PERFORM 1; END $$"]);
/// ```
pub fn script_statements(dialect: Dialect, script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(dialect, script);
    let mut statement: Option<Statement> = None;
    while let Some((start, token)) = scanner.next() {
        if token == Token::Semicolon && statement.as_ref().is_none_or(Statement::may_end) {
            if let Some(ended) = statement.take() {
                statements.push(script[ended.start..start].trim_end());
            }
            continue;
        }
        statement.get_or_insert_with(|| Statement::new(dialect, start)).take_in(token);
        if let Some(statement) = &mut statement {
            statement.end = scanner.at;
        }
    }
    if let Some(last) = statement {
        statements.push(&script[last.start..last.end]);
    }
    statements
}

/// The lines of comments in front of a script's first statement, without what stands between `/*` and `*/`.
pub(crate) fn leading_comments(script: &str) -> Vec<&str> {
    let (mut lines, mut dialect, mut at) = (Vec::new(), Dialect::Postgres, 0);
    loop {
        let rest = &script[at..];
        let Some(first) = rest.chars().next() else { return lines };
        if first.is_whitespace() || first == '\u{feff}' {
            at += first.len_utf8();
        } else if rest.starts_with("--") {
            let line = rest.lines().next().unwrap_or(rest);
            lines.push(line);
            at += line.len();
        } else if rest.starts_with("/*") {
            let mut scanner = Scanner { at, ..Scanner::new(dialect, script) };
            scanner.skip_comment();
            match scanner.unclosed {
                // SQLite's comments do not nest, and nobody says here which database it is for.
                Some(_) if dialect == Dialect::Postgres => dialect = Dialect::Sqlite,
                _ => at = scanner.at,
            }
        } else {
            return lines;
        }
    }
}

/// What a script opens and never closes, in words, and the line in which it begins: whatever stands behind it is none of its statements.
pub(crate) fn unclosed(dialect: Dialect, script: &str) -> Option<(&'static str, usize)> {
    let mut scanner = Scanner::new(dialect, script);
    while scanner.next().is_some() {}
    let (what, begin) = scanner.unclosed?;
    Some((what, script[..begin].matches('\n').count() + 1))
}

/// The words of a statement that stand in no quotes and no parentheses, in upper case.
pub(crate) fn statement_words(dialect: Dialect, statement: &str) -> Vec<String> {
    let mut scanner = Scanner::new(dialect, statement);
    let (mut words, mut depth) = (Vec::new(), 0_usize);
    while let Some((_, token)) = scanner.next() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 => words.push(word),
            _ => {}
        }
    }
    words
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Semicolon,
    Open,
    Close,
    /// A name without quotes or a keyword, in upper case.
    Word(String),
    Other,
}

/// A statement on its way to its end.
struct Statement {
    dialect: Dialect,
    start: usize,
    end: usize,
    /// Its first words, as long as they may say what it makes.
    head: Vec<String>,
    /// Whether its body holds statements of its own.
    has_body: bool,
    parentheses: usize,
    blocks: usize,
    /// The last tokens, the newest first.
    last: [Token; 2],
}

impl Statement {
    fn new(dialect: Dialect, start: usize) -> Self {
        let last = [Token::Other, Token::Other];
        Statement { dialect, start, end: start, head: Vec::new(), has_body: false, parentheses: 0, blocks: 0, last }
    }

    fn take_in(&mut self, token: Token) {
        match &token {
            Token::Open => self.parentheses += 1,
            Token::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Token::Word(word) => {
                if self.head.len() < LONGEST_HEAD {
                    self.head.push(word.clone());
                    self.has_body |= self.begins_body();
                }
                self.count_block(word);
            }
            Token::Semicolon | Token::Other => {}
        }
        let [newest, _] = std::mem::replace(&mut self.last, [token, Token::Other]);
        self.last[1] = newest;
    }

    fn begins_body(&self) -> bool {
        let mut words = self.head.iter().map(String::as_str).filter(|word| !matches!(*word, "OR" | "REPLACE" | "TEMP" | "TEMPORARY"));
        let makes = words.next() == Some("CREATE");
        let what = words.next();
        makes
            && match self.dialect {
                Dialect::Postgres => matches!(what, Some("FUNCTION" | "PROCEDURE")),
                Dialect::Sqlite => what == Some("TRIGGER"),
            }
    }

    /// PostgreSQL's routines nest blocks; a trigger of SQLite ends with the `END` behind a semicolon.
    fn count_block(&mut self, word: &str) {
        if !self.has_body || self.dialect != Dialect::Postgres {
            return;
        }
        match word {
            "BEGIN" => self.blocks += 1,
            "CASE" if self.blocks > 0 => self.blocks += 1,
            "END" => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether a semicolon would end it.
    fn may_end(&self) -> bool {
        let is_whole = match self.dialect {
            Dialect::Postgres => self.blocks == 0,
            Dialect::Sqlite => !self.has_body || self.last == [Token::Word("END".to_owned()), Token::Semicolon],
        };
        is_whole && self.parentheses == 0
    }
}

/// `CREATE OR REPLACE TEMPORARY TRIGGER`.
const LONGEST_HEAD: usize = 5;

struct Scanner<'a> {
    dialect: Dialect,
    script: &'a str,
    at: usize,
    /// What is never closed, and where it begins.
    unclosed: Option<(&'static str, usize)>,
}

impl<'a> Scanner<'a> {
    fn new(dialect: Dialect, script: &'a str) -> Self {
        Scanner { dialect, script, at: 0, unclosed: None }
    }

    /// The next token that is neither space nor comment, and where it begins.
    fn next(&mut self) -> Option<(usize, Token)> {
        loop {
            let rest = &self.script[self.at..];
            let first = rest.chars().next()?;
            let start = self.at;
            if first.is_whitespace() || first == '\u{feff}' {
                self.at += first.len_utf8();
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_comment();
            } else {
                let token = self.token(first);
                return Some((start, token));
            }
        }
    }

    fn token(&mut self, first: char) -> Token {
        let is_postgres = self.dialect == Dialect::Postgres;
        match first {
            ';' | '(' | ')' => {
                self.at += 1;
                match first {
                    ';' => Token::Semicolon,
                    '(' => Token::Open,
                    _ => Token::Close,
                }
            }
            '\'' => self.skip_quoted('\'', false),
            '"' => self.skip_quoted('"', false),
            '`' if !is_postgres => self.skip_quoted('`', false),
            '[' if !is_postgres => self.skip_past("]", "quoted name", self.at),
            '$' if is_postgres => self.skip_dollar_quoted(),
            _ if is_part_of_word(first) => self.word(),
            _ => {
                self.at += first.len_utf8();
                Token::Other
            }
        }
    }

    fn word(&mut self) -> Token {
        let rest = &self.script[self.at..];
        let end = rest.find(|character| !is_part_of_word(character) && character != '$').unwrap_or(rest.len());
        self.at += end;
        if self.dialect == Dialect::Postgres && rest[..end].eq_ignore_ascii_case("e") && rest[end..].starts_with('\'') {
            return self.skip_quoted('\'', true);
        }
        Token::Word(rest[..end].to_ascii_uppercase())
    }

    /// What is never closed goes to the end of the script, where the database will say so.
    fn skip_quoted(&mut self, quote: char, has_escapes: bool) -> Token {
        let rest = &self.script[self.at + 1..];
        let mut characters = rest.char_indices().peekable();
        self.unclosed = Some((if quote == '\'' { "string" } else { "quoted name" }, self.at));
        self.at = self.script.len();
        let begin = self.script.len() - rest.len();
        while let Some((place, character)) = characters.next() {
            if character == '\\' && has_escapes {
                characters.next();
            } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
                self.at = begin + place + 1;
                self.unclosed = None;
                break;
            }
        }
        Token::Other
    }

    /// `begin` is where what ends there began.
    fn skip_past(&mut self, end: &str, what: &'static str, begin: usize) -> Token {
        let rest = &self.script[self.at..];
        match rest.find(end) {
            Some(place) => self.at += place + end.len(),
            None => {
                self.unclosed = Some((what, begin));
                self.at = self.script.len();
            }
        }
        Token::Other
    }

    fn skip_dollar_quoted(&mut self) -> Token {
        let rest = &self.script[self.at..];
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let is_tag = |tag: &&str| {
            let name = &tag[1..tag.len() - 1];
            !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(is_part_of_word)
        };
        match tag.filter(is_tag) {
            Some(tag) => {
                let begin = self.at;
                self.at += tag.len();
                self.skip_past(tag, "dollar-quoted string", begin)
            }
            None => {
                self.at += 1;
                Token::Other
            }
        }
    }

    /// PostgreSQL's comments nest.
    fn skip_comment(&mut self) {
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            let rest = &self.script[self.at..];
            let (begin, end) = (rest.find("/*"), rest.find("*/"));
            match (begin, end) {
                (Some(begin), end) if end.is_none_or(|end| begin < end) && (depth == 0 || self.dialect == Dialect::Postgres) => {
                    depth += 1;
                    self.at += begin + 2;
                }
                (_, Some(end)) => {
                    depth = depth.saturating_sub(1);
                    self.at += end + 2;
                }
                (_, None) => {
                    self.unclosed = Some(("comment", start));
                    self.at = self.script.len();
                    return;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_the_database_ends_them() {
        let whole = [
            "SELECT ';', \"a;b\", 'it''s;'",
            r"SELECT E'\';', e'\\'",
            "SELECT 1 /* ; /* nested; */ ; */ + 1",
            "SELECT $tag$ ; $$ ; $tag$, $1",
            "SELECT a$b$c FROM t -- ;\n WHERE TRUE",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
            "CREATE OR REPLACE FUNCTION f() RETURNS INT BEGIN ATOMIC SELECT CASE WHEN TRUE THEN 1 ELSE 2 END; SELECT 3; END",
            "CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS 'SELECT 1;'",
            "SELECT 'ü;', naïve",
        ];
        let script = whole.map(|statement| format!("{statement} ;\n")).join("-- between;\n;");
        assert_eq!(script_statements(Dialect::Postgres, &script), whole);
        let whole = [
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END",
            "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER INSERT ON a BEGIN SELECT 1; END",
            "SELECT [a;b], `c;d`, 'x;' /* ; /* */",
            "SELECT '$$;'",
        ];
        let script = whole.join(";");
        assert_eq!(script_statements(Dialect::Sqlite, &script), whole);
    }

    #[test]
    fn what_is_never_closed_is_one_statement() {
        for open in ["SELECT 'a; b", "SELECT $$ a; b", "SELECT \"a; b", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT 2"] {
            assert_eq!(script_statements(Dialect::Postgres, open), [open]);
        }
        assert_eq!(script_statements(Dialect::Postgres, "SELECT 1; /* a; b"), ["SELECT 1"]);
        for (dialect, script, expected) in [
            (Dialect::Postgres, "SELECT 1;\n/* a; b", Some(("comment", 2))),
            (Dialect::Postgres, "/* a /* b */", Some(("comment", 1))),
            (Dialect::Postgres, "SELECT 'it''s", Some(("string", 1))),
            (Dialect::Postgres, "SELECT E'a\\'", Some(("string", 1))),
            (Dialect::Postgres, "\n\nSELECT \"a", Some(("quoted name", 3))),
            (Dialect::Postgres, "SELECT $a$ b $$", Some(("dollar-quoted string", 1))),
            (Dialect::Sqlite, "SELECT [a", Some(("quoted name", 1))),
            (Dialect::Sqlite, "SELECT 1 /*", Some(("comment", 1))),
            (Dialect::Sqlite, "/* a /* b */ SELECT 'a', `b`, [c]", None),
            (Dialect::Postgres, "SELECT E'\\'', $$a$$, 'b' /* /* c */ */", None),
            (Dialect::Postgres, "SELECT 1 -- it's", None),
        ] {
            assert_eq!(unclosed(dialect, script), expected, "{script}");
        }
        assert!(script_statements(Dialect::Sqlite, " ;; -- nothing\n/* at all */").is_empty());
    }
}
