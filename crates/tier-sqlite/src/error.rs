//! SQLite's errors in Strata's words.

use std::io;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use store_core::sql::VERSION_COLUMN;
use store_core::{Error, ErrorKind, Role};

use crate::plan::Plan;

/// What was being done, which decides what an error means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The file was being opened.
    Opening(&'a Path),
    /// Statements of Strata's own ran that belong to no schema.
    Own,
    /// Statements of Strata's own ran on a schema's table.
    Table(&'a Plan),
    /// A condition of the program's ran on a schema's table.
    Query(&'a Plan),
}

impl<'a> Origin<'a> {
    fn plan(self) -> Option<&'a Plan> {
        match self {
            Origin::Table(plan) | Origin::Query(plan) => Some(plan),
            Origin::Opening(_) | Origin::Own => None,
        }
    }
}

/// Turns an error of SQLite's into one of Strata's.
pub(crate) fn from_sqlite(error: rusqlite::Error, origin: Origin<'_>) -> Error {
    let mapped = match &error {
        rusqlite::Error::SqliteFailure(failure, message) => from_code(*failure, message.as_deref().unwrap_or_default(), origin),
        rusqlite::Error::SqlInputError { error, msg, .. } => from_code(*error, msg, origin),
        rusqlite::Error::InvalidParameterCount(..) => Error::new(
            ErrorKind::InvalidQuery,
            "a condition holds a named placeholder (`:name`, `@name` or `$name`); write `$1`, `$2`, … and give their values",
        ),
        rusqlite::Error::Utf8Error(..) => {
            Error::new(ErrorKind::DecodeFailed, "the stored text is not UTF-8; another program wrote it; mend the row")
        }
        _ => Error::new(ErrorKind::Internal, "the SQLite driver was used wrongly; please report this"),
    };
    let mapped = match origin.plan() {
        Some(plan) => mapped.with_schema(plan.name()),
        None => mapped,
    };
    mapped.with_tier(Role::Truth).with_source(error)
}

fn from_code(failure: ffi::Error, message: &str, origin: Origin<'_>) -> Error {
    match failure.code {
        ErrorCode::ConstraintViolation => from_constraint(failure.extended_code, message, origin.plan()),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::new(
            ErrorKind::Timeout,
            "another process kept the database file locked; end its open transaction, or raise the busy timeout (STRATA_SQLITE_BUSY_TIMEOUT)",
        ),
        ErrorCode::DiskFull => Error::new(ErrorKind::L3Unavailable, "the disk is full; nothing was written; free some space and try again")
            .with_retryable(false)
            .with_shortage(),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => Error::new(
            ErrorKind::AccessDenied,
            "the database file, its directory or the statement is read-only; let this user write to the file and to its directory",
        ),
        ErrorCode::CannotOpen => Error::new(
            ErrorKind::L3Unavailable,
            "the database file or its write-ahead log cannot be opened; check that it is still there, and the limit on open files",
        ),
        ErrorCode::DatabaseCorrupt => {
            Error::new(ErrorKind::L3Unavailable, "the database file is damaged; restore a backup, or try `sqlite3 FILE .recover`")
                .with_retryable(false)
        }
        ErrorCode::NotADatabase => {
            let path = if let Origin::Opening(path) = origin { format!("`{}`", path.display()) } else { "the file".to_owned() };
            Error::new(ErrorKind::InvalidConfig, format!("{path} is no SQLite database, or an encrypted one; give another path"))
        }
        ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::FileLockingProtocolFailed => Error::new(
            ErrorKind::L3Unavailable,
            "the system failed to read or write the database file; check the disk and the system's log",
        ),
        ErrorCode::TooBig | ErrorCode::TypeMismatch => match origin {
            Origin::Query(_) => Error::new(ErrorKind::InvalidQuery, "the query, or a value in it, is larger than SQLite takes"),
            _ => Error::new(ErrorKind::InvalidValue, "the row is larger than the billion bytes that SQLite holds"),
        },
        ErrorCode::OperationInterrupted => Error::new(ErrorKind::Closed, "the tier was closed while the call ran; open the store again"),
        _ => from_sql(message, origin),
    }
}

/// An error in SQL text, which SQLite tells apart in words only.
fn from_sql(message: &str, origin: Origin<'_>) -> Error {
    const LITERAL_HINT: &str = " - should this be a string literal in single-quotes?";
    const TOO_DEEP: [&str; 3] = ["Expression tree is too large", "Recursion limit", "parser stack overflow"];
    let statement = message.trim_end_matches(LITERAL_HINT);
    let table = statement.strip_prefix("no such table: ");
    let column = statement.strip_prefix("no such column: ").or_else(|| statement.split_once("has no column named ").map(|(_, name)| name));
    match (origin, table.or(column)) {
        (Origin::Query(plan), Some(_))
            if !table.is_some_and(|name| is_table(name, plan)) && !column.is_some_and(|name| is_column(name, plan)) =>
        {
            Error::new(ErrorKind::InvalidQuery, format!("{message}; mend the name in the condition"))
        }
        (_, Some(_)) => {
            let hint = match (origin, table) {
                (Origin::Own, _) => "Strata's own tables are missing; build the store again with `create_tables` on, which makes them",
                (_, Some(_)) => "it was dropped while the store was open; build the store again with `create_tables` on, which makes it",
                (_, None) => {
                    "the table lost the column while the store was open; build the store again with `create_tables` on, which says how to add it"
                }
            };
            // Strata quotes every name, so the hint at literals is of use to conditions of the program's own alone.
            Error::new(ErrorKind::SchemaMismatch, format!("{statement}; {hint}"))
        }
        (Origin::Query(_), None) if TOO_DEEP.iter().any(|words| statement.contains(words)) => {
            let remedy = "split the condition in SQL, nest it less deeply, or write `IN` for a long list of `OR`";
            Error::new(ErrorKind::InvalidQuery, format!("SQLite refuses the condition: {message}; {remedy}"))
        }
        (Origin::Query(_), None) => Error::new(ErrorKind::InvalidQuery, format!("SQLite refuses the condition: {message}")),
        (_, None) => Error::new(ErrorKind::Internal, format!("SQLite refuses a statement of Strata's: {message}")),
    }
}

/// Whether a table's name in a message is that of the schema's table.
fn is_table(named: &str, plan: &Plan) -> bool {
    named.strip_prefix("main.").unwrap_or(named) == plan.table()
}

/// Whether a column's name in a message, which may stand behind its table's, is that of one of the schema's columns.
fn is_column(named: &str, plan: &Plan) -> bool {
    let (table, name) = named.rsplit_once('.').map_or((None, named), |(table, name)| (Some(table), name));
    let name = name.trim_matches('"');
    table.is_none_or(|table| is_table(table, plan)) && (name == VERSION_COLUMN || plan.columns().iter().any(|column| column.name == name))
}

fn from_constraint(code: i32, message: &str, plan: Option<&Plan>) -> Error {
    let columns = plan.map(|plan| columns_of(message, plan)).unwrap_or_default();
    let named = if columns.is_empty() { "its values".to_owned() } else { format!("`{}`", columns.join("`, `")) };
    let error = match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => Error::new(
            ErrorKind::UniqueViolation,
            format!("another record has the same {named}; give a different value or change that record"),
        ),
        ffi::SQLITE_CONSTRAINT_NOTNULL => Error::new(
            ErrorKind::ConstraintViolation,
            if columns.is_empty() {
                format!("a column that the model lacks needs a value ({message}); drop or rename the column")
            } else {
                format!("{named} needs a value and has no default; set it before the first write")
            },
        ),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Error::new(
            ErrorKind::ConstraintViolation,
            "a foreign key refuses the write: write the record that is referred to first, and delete it last",
        ),
        ffi::SQLITE_CONSTRAINT_DATATYPE => {
            Error::new(ErrorKind::ConstraintViolation, format!("the table's own default or trigger does not fit the column: {message}"))
        }
        ffi::SQLITE_CONSTRAINT_CHECK if let Some(check) = plan.and_then(|plan| plan.check(message.rsplit(": ").next()?)) => {
            let error =
                Error::new(ErrorKind::ConstraintViolation, format!("the check `{}` refuses the row; change the record", check.name));
            return match check.columns.as_slice() {
                [column] => error.with_column(*column),
                _ => error,
            };
        }
        // A CHECK is told by its name or its text, and a trigger by a message of its author's.
        _ => Error::new(ErrorKind::ConstraintViolation, format!("the table refuses the row: {message}")),
    };
    match columns.as_slice() {
        [column] => error.with_column(*column),
        _ => error,
    }
}

/// The columns of a message such as `UNIQUE constraint failed: player.name, player.region`.
fn columns_of(message: &str, plan: &Plan) -> Vec<&'static str> {
    let Some((_, mut names)) = message.split_once(": ") else { return Vec::new() };
    let mut columns = Vec::new();
    while let Some(rest) = names.strip_prefix(plan.table()).and_then(|rest| rest.strip_prefix('.')) {
        let end = rest.find(", ").unwrap_or(rest.len());
        let known = plan.columns().iter().map(|column| column.name);
        columns.extend(known.filter(|name| *name == &rest[..end]));
        names = rest.get(end + 2..).unwrap_or_default();
    }
    columns
}

/// Whether the system refuses this user.
pub(crate) fn denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// The error of calls after the tier was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the SQLite tier was closed; open the store again").with_tier(Role::Truth)
}

/// The error of a write whose caller had given up before it began. It says nothing of the file, which breakers must not take it for.
pub(crate) fn unwanted() -> Error {
    Error::new(ErrorKind::TransactionFailed, "nobody waited for the write any more when its turn came; it was not begun")
        .with_tier(Role::Truth)
        .with_retryable(false)
}

/// The error of a call whose worker ended without an answer.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a worker of the SQLite tier gave no answer; please report this").with_tier(Role::Truth)
}

/// The error of a row that something of the table's own kept from it.
pub(crate) fn suppressed() -> Error {
    let message = "the table took a row without keeping it; look for triggers or `ON CONFLICT` clauses that suppress writes";
    Error::new(ErrorKind::ConstraintViolation, message).with_tier(Role::Truth)
}

/// The error where no thread can be started for a worker.
pub(crate) fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::L3Unavailable, "no thread can be started for the SQLite tier; raise the system's limit")
        .with_tier(Role::Truth)
        .with_source(error)
}

/// The error where the file whose lock the leader holds cannot be opened or locked.
pub(crate) fn cannot_lead(path: &Path, error: io::Error) -> Error {
    let path = path.display();
    let mapped = if denied(&error) {
        let reason = format!(
            "this user may not open or make `{path}`, whose lock elects the leader of the processes on the database; let this user write to its \
             directory, and give the file the owner and mode of the database"
        );
        Error::new(ErrorKind::AccessDenied, reason)
    } else if error.kind() == io::ErrorKind::Unsupported {
        let reason = format!("`{path}` cannot be locked, as its file system has no locks; move the database to a local disk");
        Error::new(ErrorKind::L3Unavailable, reason).with_retryable(false)
    } else {
        let reason = format!(
            "`{path}` cannot be opened or locked to elect a leader; check that the database is still there, and the limit on open files"
        );
        Error::new(ErrorKind::L3Unavailable, reason)
    };
    mapped.with_tier(Role::Truth).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(code: i32, message: &str) -> Error {
        from_sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message.into())), Origin::Own)
    }

    #[test]
    fn failures_of_the_system_have_kinds_to_act_on() {
        for (code, kind, retryable) in [
            (ffi::SQLITE_BUSY, ErrorKind::Timeout, true),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Timeout, true),
            (ffi::SQLITE_LOCKED_SHAREDCACHE, ErrorKind::Timeout, true),
            (ffi::SQLITE_FULL, ErrorKind::L3Unavailable, false),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::L3Unavailable, true),
            (ffi::SQLITE_NOMEM, ErrorKind::L3Unavailable, true),
            (ffi::SQLITE_CANTOPEN, ErrorKind::L3Unavailable, true),
            (ffi::SQLITE_CORRUPT_INDEX, ErrorKind::L3Unavailable, false),
            (ffi::SQLITE_NOTADB, ErrorKind::InvalidConfig, false),
            (ffi::SQLITE_READONLY_DIRECTORY, ErrorKind::AccessDenied, false),
            (ffi::SQLITE_PERM, ErrorKind::AccessDenied, false),
            (ffi::SQLITE_TOOBIG, ErrorKind::InvalidValue, false),
            (ffi::SQLITE_INTERRUPT, ErrorKind::Closed, false),
            (ffi::SQLITE_MISUSE, ErrorKind::Internal, false),
        ] {
            let error = mapped(code, "told");
            assert_eq!((error.kind(), error.is_retryable(), error.tier()), (kind, retryable, Some(Role::Truth)), "{code}: {error:?}");
            assert_eq!(error.is_shortage(), code == ffi::SQLITE_FULL, "what is full can be read");
        }
    }

    #[test]
    fn a_leader_that_cannot_be_elected_has_a_reason() {
        for (cause, kind, hint) in [
            (io::ErrorKind::PermissionDenied, ErrorKind::AccessDenied, "give the file the owner and mode of the database"),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::AccessDenied, "let this user write to its directory"),
            (io::ErrorKind::Unsupported, ErrorKind::L3Unavailable, "move the database to a local disk"),
            (io::ErrorKind::NotFound, ErrorKind::L3Unavailable, "check that the database is still there"),
        ] {
            let error = cannot_lead(Path::new("app.db-leader"), cause.into());
            assert_eq!((error.kind(), error.tier()), (kind, Some(Role::Truth)), "{cause:?}: {error:?}");
            assert!(error.to_string().contains(hint) && error.to_string().contains("`app.db-leader`"), "{error}");
        }
    }
}
