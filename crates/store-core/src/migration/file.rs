//! SQL files with changes that no model can ask for.

use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::pending::{PendingFile, beginning};
use super::record::MigrationRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Dialect, leading_comments, script_statements, statement_words, unclosed};

/// What begins the line of instructions.
const INSTRUCTION: &str = "-- strata:";

/// What a line asks for, if it is one of instructions. Case does not count, nor does the space behind the hyphens.
fn instruction(line: &str) -> Option<&str> {
    let (word, asked) = line.trim().strip_prefix("--")?.split_once(':')?;
    word.trim().eq_ignore_ascii_case("strata").then(|| asked.trim())
}

/// An SQL file of migrations: `NNN_description.sql`.
///
/// ```
/// use store_core::MigrationFile;
///
/// let file = MigrationFile::new("012_drop_age.sql", "ALTER TABLE player DROP COLUMN age;")?;
/// assert_eq!((file.number(), file.description(), file.in_transaction()), (12, "drop_age", true));
/// let file = MigrationFile::new("013_index.sql", "-- by age\n-- Strata: no transaction\nCREATE INDEX CONCURRENTLY by_age ON player (age);")?;
/// assert!(!file.in_transaction());
/// assert!(MigrationFile::new("index.sql", "").is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFile {
    number: u64,
    name: String,
    sql: String,
    in_transaction: bool,
}

impl MigrationFile {
    /// Takes a file apart, by its name without a directory and its content.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a name that is not `NNN_description.sql`, and for a comment at the beginning that starts with `-- strata:` and
    /// is not `-- strata: no transaction`.
    pub fn new(name: &str, content: &str) -> Result<Self> {
        let stem = name.strip_suffix(".sql");
        let parts = stem.and_then(|stem| stem.split_once('_')).filter(|(_, description)| !description.is_empty());
        let digits = parts.map(|(digits, _)| digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        let Some(number) = number else {
            return Err(invalid(format!(
                "the file `{name}` is not named as SQL files of migrations are, `NNN_description.sql` (`001_add_region.sql`); rename it, or move it elsewhere"
            )));
        };
        let sql = content.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let mut asked = leading_comments(&sql).into_iter().filter_map(instruction).peekable();
        let in_transaction = asked.peek().is_none();
        if let Some(unknown) = asked.find(|asked| !asked.eq_ignore_ascii_case("no transaction")) {
            return Err(invalid(format!("`{name}` asks for `{unknown}`; write `{INSTRUCTION} no transaction`, or leave it out")));
        }
        Ok(MigrationFile { number, name: name.to_owned(), in_transaction, sql })
    }

    /// Reads the SQL files of a directory, in the order of their numbers. Files with other endings than `.sql`, in whatever case, and directories are passed over.
    ///
    /// It reads the disk in the calling thread.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a directory or file that cannot be read, two files of one number, and what [`new`](Self::new) refuses.
    pub fn read_directory(directory: impl AsRef<Path>) -> Result<Vec<Self>> {
        let directory = directory.as_ref();
        let unreadable = |path: &Path, error: std::io::Error| {
            invalid(format!(
                "`{}` cannot be read ({error}); give the directory of the SQL files, and let this user read it",
                path.display()
            ))
            .with_source(error)
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
            let path = entry.map_err(|error| unreadable(directory, error))?.path();
            if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("sql")) || path.is_dir() {
                continue;
            }
            let content = fs::read(&path).map_err(|error| unreadable(&path, error))?;
            let (name, content) = (path.file_name().and_then(|name| name.to_str()), String::from_utf8(content));
            let (Some(name), Ok(content)) = (name, content) else {
                return Err(invalid(format!("the name or content of `{}` is not UTF-8; convert it", path.display())));
            };
            files.push(MigrationFile::new(name, &content)?);
        }
        files.sort_by(|one, other| (one.number, &one.name).cmp(&(other.number, &other.name)));
        if let Some([one, other]) = files.array_windows().find(|[one, other]| one.number == other.number) {
            return Err(invalid(format!("`{}` and `{}` have one number; give one of them another", one.name, other.name)));
        }
        Ok(files)
    }

    /// The number, by which files are ordered.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name, without a directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands in the name between the number and the ending.
    pub fn description(&self) -> &str {
        let stem = self.name.strip_suffix(".sql").unwrap_or(&self.name);
        stem.split_once('_').map_or(stem, |(_, description)| description)
    }

    /// The content.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether it is run as one transaction, which is so unless the comments at its beginning have the line `-- strata: no transaction`.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// The checksum of the content. It tells that a file changed, not that nobody meant harm.
    pub fn checksum(&self) -> String {
        checksum(&self.sql)
    }

    /// The names of files that failed, of which nothing is left in the database but a mark, and nothing in the directory: these marks may go.
    pub fn forgotten<'a>(files: &[Self], records: &'a [MigrationRecord]) -> Vec<&'a str> {
        let is_forgotten = |record: &&MigrationRecord| {
            let is_whole = record.dirty.as_ref().is_some_and(|mark| !mark.blocks && mark.done.is_none());
            is_whole && !files.iter().any(|file| record.file_name.as_ref() == Some(&file.name))
        };
        records.iter().filter(is_forgotten).filter_map(|record| record.file_name.as_deref()).collect()
    }

    /// The files that are still to be run, held against what the database says was done.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](ErrorKind::SchemaMismatch) where a file that was run has changed since or is missing, or one has stopped in its middle and nobody
    /// said how to go on; [`InvalidConfig`](ErrorKind::InvalidConfig) for a file that begins or ends transactions itself, copies from or to its client, or ends within a
    /// comment or a string.
    pub fn pending(files: &[Self], records: &[MigrationRecord], dialect: Dialect) -> Result<Vec<PendingFile>> {
        let of_file = |name: &str| records.iter().find(|record| record.file_name.as_deref() == Some(name));
        for record in records {
            let Some(name) = &record.file_name else { continue };
            let file = files.iter().find(|file| file.name == *name);
            match (&record.dirty, file) {
                (Some(mark), _) if mark.blocks => return Err(stopped(name, mark.statement, &mark.error)),
                (None, None) => return Err(missing(name, files)),
                (None, Some(file)) => check_unchanged(file, record)?,
                _ => {}
            }
        }
        let mut pending = Vec::new();
        for file in files {
            let record = of_file(&file.name);
            let is_done = record.is_some_and(|record| record.is_applied() && record.checksum.is_none());
            if record.is_some_and(MigrationRecord::is_applied) && !is_done {
                continue;
            }
            if let Some((what, line)) = unclosed(dialect, &file.sql) {
                return Err(invalid(format!(
                    "`{}` ends within the {what} that begins in line {line}; close it, or what stands behind would not be run",
                    file.name
                )));
            }
            let statements: Vec<String> = script_statements(dialect, &file.sql).into_iter().map(str::to_owned).collect();
            if let Some(word) = statements.iter().find(|statement| is_of_transaction(dialect, statement)) {
                return Err(invalid(format!(
                    "`{}` has the statement `{word}`; a file is one transaction by itself, and with the line `{INSTRUCTION} no transaction` at its beginning each statement is: \
                     leave it out",
                    file.name
                )));
            }
            if let Some(number) = statements.iter().position(|statement| copies_through_client(dialect, statement)) {
                return Err(invalid(format!(
                    "statement {} of `{}` is a `COPY` from standard input or to standard output, and a migration has neither: write the rows as `INSERT INTO … VALUES …`, \
                     name a file that the server can reach, or load them by `psql` once the file was run. The statement: {}",
                    number + 1,
                    file.name,
                    beginning(&statements[number])
                )));
            }
            let mut next = PendingFile { file: file.clone(), statements, first: 1, is_done };
            let mark = record.and_then(|record| record.dirty.as_ref());
            if let Some((mark, done)) = mark.and_then(|mark| mark.done.as_ref().map(|done| (mark, done))) {
                if *done != next.checksum_before(mark.statement) {
                    return Err(mismatch(format!(
                        "`{}` stopped at its statement {}, and those in front of it, which took effect, have changed since; put them back, or resolve it by \
                         `Restart` or `Applied`",
                        file.name, mark.statement
                    )));
                }
                next.first = mark.statement;
            }
            pending.push(next);
        }
        Ok(pending)
    }
}

fn check_unchanged(file: &MigrationFile, record: &MigrationRecord) -> Result<()> {
    let (Some(applied), now) = (&record.checksum, file.checksum()) else { return Ok(()) };
    if *applied == now {
        return Ok(());
    }
    Err(mismatch(format!(
        "`{}` was run at {} and has changed since (its checksum was {applied}, now it is {now}); put it back as it was, and write a new file for what is to change",
        file.name, record.applied_at
    )))
}

fn missing(name: &str, files: &[MigrationFile]) -> Error {
    let number = MigrationFile::new(name, "").map(|file| file.number).ok();
    let instead = match files.iter().find(|file| Some(file.number) == number) {
        Some(other) => format!("; the directory has `{}` under its number: if it was renamed, rename it back", other.name),
        None => String::new(),
    };
    mismatch(format!("`{name}` was run on this database and is missing from the directory; put it back{instead}"))
}

fn stopped(name: &str, statement: u32, error: &str) -> Error {
    mismatch(format!(
        "`{name}` stopped at its statement {statement} ({error}), and what stands in front of it took effect; mend the file or the database, then {}",
        going_on(name)
    ))
}

/// What lets a file go on that is no transaction.
pub(super) fn going_on(name: &str) -> String {
    format!(
        "say how to go on by `resolve_migration(\"{name}\", …)`: `Resume`, `Restart` or `Applied`; on the command line by `migrate --resume {name}`, `--restart` or \
         `--applied`"
    )
}

/// Whether a statement has PostgreSQL wait for rows that its client sends, or send the client some.
fn copies_through_client(dialect: Dialect, statement: &str) -> bool {
    let words = statement_words(dialect, statement);
    dialect == Dialect::Postgres
        && words.first().is_some_and(|first| first == "COPY")
        && words.windows(2).any(|pair| matches!([pair[0].as_str(), pair[1].as_str()], ["FROM", "STDIN"] | ["TO", "STDOUT"]))
}

/// Whether a statement begins or ends a transaction, or puts its end off.
fn is_of_transaction(dialect: Dialect, statement: &str) -> bool {
    let words = statement_words(dialect, statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ROLLBACK", rest @ ..] => !rest.contains(&"TO"),
        ["BEGIN" | "START" | "COMMIT" | "END" | "ABORT", ..] => true,
        // A prepared statement may have the name, and a query behind it.
        ["PREPARE", "TRANSACTION", rest @ ..] => !rest.contains(&"AS"),
        _ => false,
    }
}

pub(super) fn checksum(text: &str) -> String {
    format!("xxh3:{:032x}", xxh3_128(text.as_bytes()))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::SchemaMismatch, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(content: &str) -> Result<Vec<PendingFile>> {
        MigrationFile::pending(&[MigrationFile::new("1_a.sql", content).unwrap()], &[], Dialect::Postgres)
    }

    #[test]
    fn an_instruction_stands_among_the_comments_at_the_beginning() {
        let asks = |content: &str| !MigrationFile::new("1_a.sql", content).unwrap().in_transaction();
        for head in
            ["/* header */\n", "/* header */ ", "\u{feff}-- a\n\n/*\n * b /* c */\n */\n", "/* not /* nested */\n", "/* a */ -- b\n\t"]
        {
            assert!(asks(&format!("{head}-- Strata: no transaction\nSELECT 1;")), "{head}");
            assert!(asks(&format!("{head}--strata:no transaction")), "{head}");
        }
        for other in ["/*\n-- strata: no transaction\n*/ SELECT 1", "SELECT 1;\n-- strata: no transaction", "/* -- strata: no transaction"]
        {
            assert!(!asks(other), "{other}");
        }
        assert!(MigrationFile::new("1_a.sql", "/* header */\n-- strata: nothing\nSELECT 1").is_err());
    }

    #[test]
    fn statements_of_transactions_are_refused() {
        for statement in ["PREPARE TRANSACTION 'x'", "prepare/* it */transaction $$x$$", "commit", "ROLLBACK PREPARED 'x'", "Begin"] {
            let error = pending(&format!("CREATE TABLE a (id INT);\n{statement};")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(
                error.to_string().contains(&format!("`1_a.sql` has the statement `{statement}`; a file is one transaction by itself")),
                "{error}"
            );
        }
        let allowed =
            ["PREPARE transaction AS SELECT 1", "PREPARE transaction (INT) AS SELECT $1", "ROLLBACK TO a", "PREPARE a AS SELECT 1"];
        assert_eq!(pending(&allowed.join(";")).unwrap()[0].statements, allowed);
    }
}
