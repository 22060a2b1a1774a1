//! The one mapping of the driver's errors, by SQLSTATE.

use std::error::Error as _;
use std::time::Duration;

use store_core::sql::{Dialect, VERSION_COLUMN, constraint_plans, index_plans};
use store_core::{BoundSchema, Error, ErrorKind, Role};
use tokio_postgres::error::{DbError, ErrorPosition, Severity};

use crate::value::Unfit;

/// Why a piece of work on a connection failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the driver or the server said.
    Driver(tokio_postgres::Error),
    /// The server did not answer within the limit.
    Elapsed(Duration),
    /// What this crate found.
    Found(Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::Driver(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Found(error)
    }
}

/// What was attempted, as far as the meaning of an error depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt<'a> {
    /// Opening a connection.
    Connect(&'a str),
    /// A statement of Strata's own, on a table of a schema.
    Table(&'a BoundSchema),
    /// A query that may hold SQL of the program's own.
    Query(&'a BoundSchema),
    /// A statement on Strata's own tables.
    Log,
}

impl Failure {
    /// Whether the connection is whole and can serve the next call. A transaction may be open on it.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            Failure::Found(_) => true,
            Failure::Elapsed(_) => false,
            Failure::Driver(error) => match error.as_db_error() {
                // A plan or statement that the server no longer knows stays cached with the connection; a primary that became a standby stays one.
                Some(error) => {
                    !is_fatal(error)
                        && !matches!(error.code().code(), "0A000" | "25006" | "26000")
                        && !is_connection_class(error.code().code())
                }
                None => is_conversion(error),
            },
        }
    }

    /// Whether the connection broke, or what it had prepared is void, so that the same work may succeed on a new one.
    pub(crate) fn is_connection_loss(&self) -> bool {
        match self {
            Failure::Found(_) | Failure::Elapsed(_) => false,
            Failure::Driver(error) => match error.as_db_error() {
                Some(error) => is_connection_class(error.code().code()) || is_void_statement(error),
                None => !is_conversion(error),
            },
        }
    }

    /// Whether the server undid the transaction for a reason that is gone when it is repeated: a deadlock, or a prepared statement that is void.
    pub(crate) fn is_rolled_back(&self) -> bool {
        let Failure::Driver(error) = self else { return false };
        error.as_db_error().is_some_and(|report| matches!(report.code().code(), "40001" | "40P01") || is_void_statement(report))
    }

    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Failure::Driver(error) => error.code().map(|code| code.code()),
            Failure::Elapsed(_) | Failure::Found(_) => None,
        }
    }

    /// What the server tells of a unique violation. It holds the content of a row, and is for finding that row alone.
    pub(crate) fn unique_detail(&self) -> Option<&str> {
        match self {
            Failure::Driver(error) => error.as_db_error().filter(|report| report.code().code() == "23505")?.detail(),
            Failure::Elapsed(_) | Failure::Found(_) => None,
        }
    }

    /// Where in the statement the server found what it refuses, in bytes from its beginning.
    pub(crate) fn place(&self, statement: &str) -> Option<usize> {
        let Failure::Driver(error) = self else { return None };
        let Some(ErrorPosition::Original(position)) = error.as_db_error()?.position() else { return None };
        // It counts characters, from 1.
        let before = usize::try_from(*position).ok()?.checked_sub(1)?;
        Some(statement.char_indices().nth(before).map_or(statement.len(), |(place, _)| place))
    }

    /// The constraint that rows break.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Failure::Driver(error) => error.as_db_error()?.constraint(),
            Failure::Elapsed(_) | Failure::Found(_) => None,
        }
    }

    /// What the server said, with its code.
    pub(crate) fn said(&self) -> Option<String> {
        match self {
            Failure::Driver(error) => error.as_db_error().map(said),
            Failure::Elapsed(_) | Failure::Found(_) => None,
        }
    }

    /// The column that needs a value and was given none.
    pub(crate) fn column_without_value(&self) -> Option<&str> {
        match self {
            Failure::Driver(error) => error.as_db_error().filter(|report| report.code().code() == "23502")?.column(),
            Failure::Elapsed(_) | Failure::Found(_) => None,
        }
    }

    /// As [`into_error`](Self::into_error), of what would have taken effect with an answer that was not seen.
    pub(crate) fn into_write_error(self, attempt: Attempt<'_>) -> Error {
        self.told(attempt, "whether the write took effect is unknown")
    }

    pub(crate) fn into_error(self, attempt: Attempt<'_>) -> Error {
        self.told(attempt, "try again")
    }

    /// `broken_off` goes with a connection that broke.
    fn told(self, attempt: Attempt<'_>, broken_off: &str) -> Error {
        let error = match self {
            Failure::Found(error) => error,
            Failure::Elapsed(limit) => elapsed(limit),
            Failure::Driver(error) => match error.as_db_error() {
                Some(report) => reported(report, attempt),
                None => broken(&error, attempt, broken_off),
            },
        };
        match attempt {
            Attempt::Table(schema) | Attempt::Query(schema) => error.with_schema(schema.name()),
            Attempt::Connect(_) | Attempt::Log => error,
        }
        .with_tier(Role::Truth)
    }
}

pub(crate) fn elapsed(limit: Duration) -> Error {
    new(
        ErrorKind::Timeout,
        format!("PostgreSQL did not answer within {limit:?}; raise the statement limit, or look for locks and load on the server"),
    )
}

fn new(kind: ErrorKind, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(kind, message).with_tier(Role::Truth)
}

fn is_fatal(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// The server ended the connection, or is about to.
fn is_connection_class(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
}

/// A prepared statement is gone, or a table was altered since.
fn is_void_statement(error: &DbError) -> bool {
    match error.code().code() {
        "26000" => true,
        "0A000" => error.message().contains("cached plan"),
        _ => false,
    }
}

/// A value could not be converted, before anything was sent or after everything was read.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<Unfit>())
}

/// An error that the server did not report: the connection broke, or a value did not fit.
fn broken(error: &tokio_postgres::Error, attempt: Attempt<'_>, broken_off: &str) -> Error {
    if let Some(unfit) = error.source().and_then(|source| source.downcast_ref::<Unfit>()) {
        return unfit.to_error();
    }
    let reason = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match attempt {
        Attempt::Connect(addresses) if reason.contains("TLS") => new(
            ErrorKind::L3Unavailable,
            format!("no encrypted connection to PostgreSQL at {addresses} ({reason}); check `sslmode`, `sslrootcert` and the server's certificate"),
        )
        .with_retryable(false),
        Attempt::Connect(addresses) if reason.starts_with("authentication error") || reason.starts_with("invalid configuration") => {
            new(ErrorKind::AccessDenied, format!("PostgreSQL at {addresses} asks for credentials that the URL lacks ({reason})"))
        }
        Attempt::Connect(addresses) => {
            new(ErrorKind::L3Unavailable, format!("no connection to PostgreSQL at {addresses} ({reason}); check that it runs and can be reached"))
        }
        Attempt::Table(_) | Attempt::Query(_) | Attempt::Log => {
            new(ErrorKind::L3Unavailable, format!("the connection to PostgreSQL broke ({reason}); {broken_off}"))
        }
    }
}

fn said(report: &DbError) -> String {
    format!("PostgreSQL said `{}` (SQLSTATE {})", report.message(), report.code().code())
}

/// An error that the server reported. Its detail holds the content of rows, and so does the message of some classes: neither is passed on.
fn reported(report: &DbError, attempt: Attempt<'_>) -> Error {
    let code = report.code().code();
    let message = report.message();
    let said = || said(report);
    match code {
        "23505" => unique_violation(report, attempt),
        "23502" | "23503" | "23514" | "23P01" | "23000" | "23001" | "44000" => constraint_violation(report, attempt),
        "40001" | "40P01" => new(ErrorKind::TransactionFailed, format!("{}; try again", said())).with_retryable(true),
        "57014" => new(ErrorKind::Timeout, format!("{}; raise the statement limit, or look for locks and load on the server", said())),
        "55P03" | "25P03" | "25P04" => new(ErrorKind::Timeout, format!("{}; try again, or look for long transactions", said())),
        "53300" => new(ErrorKind::L3Unavailable, format!("{}; raise the server's `max_connections`, or give this process fewer", said())),
        "53100" => new(ErrorKind::L3Unavailable, format!("{}; the server's disk is full: free space on it", said())).with_shortage(),
        "53200" | "53000" | "53400" => new(ErrorKind::L3Unavailable, format!("{}; the server is short of a resource", said())),
        "25006" => new(ErrorKind::L3Unavailable, format!("{}; the server is a standby or read-only: connect to the primary", said())),
        "0A000" if message.contains("recovery") => {
            new(ErrorKind::L3Unavailable, format!("{}; the server is a standby: connect to the primary", said()))
        }
        _ if is_void_statement(report) => new(ErrorKind::L3Unavailable, format!("{}; a table was altered meanwhile: try again", said())),
        "42501" if denies_row(report) => {
            new(ErrorKind::ConstraintViolation, format!("{}; change the record, or the policy or trigger that refuses it", said()))
        }
        "42501" => new(ErrorKind::AccessDenied, format!("{}; grant the permission to the user of the URL", said())),
        "3D000" => new(ErrorKind::InvalidConfig, format!("{}; create the database, or name another in the URL", said())),
        "3F000" => new(ErrorKind::InvalidConfig, format!("{}; create the schema, or name another in the search path", said())),
        "42P01" | "42703" | "42P10" => missing(report, attempt),
        // The parser's own stack ends before the server's does.
        _ if matches!(attempt, Attempt::Query(_))
            && (code.starts_with("54") || (code == "42601" && message.contains("memory exhausted"))) =>
        {
            new(ErrorKind::InvalidQuery, format!("{}; split the condition in SQL, or nest it less deeply", said()))
        }
        "54000" | "54001" => new(
            ErrorKind::InvalidValue,
            format!(
                "PostgreSQL has a limit on size or depth that a value passes, or an index on it (SQLSTATE {code}); make the value smaller"
            ),
        ),
        "P0001" => new(ErrorKind::ConstraintViolation, said()),
        _ if is_connection_class(code) => new(ErrorKind::L3Unavailable, format!("{}; try again once the server is up", said())),
        _ => match &code[..code.len().min(2)] {
            "28" => new(ErrorKind::AccessDenied, format!("{}; check user, password and the server's `pg_hba.conf`", said())),
            // The message quotes the value.
            "22" => match attempt {
                Attempt::Query(_) => new(
                    ErrorKind::InvalidQuery,
                    format!(
                        "PostgreSQL cannot compute with a value of the query (SQLSTATE {code}); check the values and casts in its conditions"
                    ),
                ),
                _ => new(ErrorKind::InvalidValue, format!("PostgreSQL cannot hold a value (SQLSTATE {code}); check its range and form")),
            },
            "42" => match attempt {
                // `?` is an operator of PostgreSQL's, so that only its parser can tell one from another library's placeholder.
                Attempt::Query(_) if code == "42601" || (code == "42883" && message.contains('?')) => {
                    new(ErrorKind::InvalidQuery, format!("{}; check the conditions in SQL, and write `$1`, `$2`, … for values", said()))
                }
                Attempt::Query(_) => new(ErrorKind::InvalidQuery, format!("{}; check the conditions in SQL", said())),
                _ => new(ErrorKind::SchemaMismatch, format!("{}; compare the table with the model", said())),
            },
            "53" | "57" | "58" | "XX" => new(ErrorKind::L3Unavailable, said()),
            "40" => new(ErrorKind::TransactionFailed, format!("{}; try again", said())).with_retryable(true),
            _ if is_fatal(report) => new(ErrorKind::L3Unavailable, said()),
            class if !OF_STATEMENTS.contains(&class) => new(ErrorKind::ConstraintViolation, said()),
            _ => new(ErrorKind::TransactionFailed, said()),
        },
    }
}

/// The classes of which PostgreSQL itself tells that a statement or a transaction is wrong, or the server not able. Of all others, those that a trigger makes up among them, the row is refused.
const OF_STATEMENTS: [&str; 29] = [
    "00", "01", "02", "03", "08", "0A", "0B", "0F", "0L", "0P", "0Z", "24", "25", "26", "28", "2B", "2D", "34", "3B", "3D", "3F", "40",
    "42", "53", "54", "55", "72", "F0", "HV",
];

/// Whether not the table is denied but a row: by a policy, or by a trigger that says so.
fn denies_row(report: &DbError) -> bool {
    matches!(report.routine(), Some("ExecWithCheckOptions" | "exec_stmt_raise"))
}

/// A table or column that is not there: the table changed, or a condition of the program's names what never was.
fn missing(report: &DbError, attempt: Attempt<'_>) -> Error {
    let (code, message) = (report.code().code(), report.message());
    let (kind, remedy) = match attempt {
        Attempt::Query(schema) if !names_part_of(schema, code, message) => {
            (ErrorKind::InvalidQuery, "check the names in the conditions in SQL")
        }
        _ => (
            ErrorKind::SchemaMismatch,
            "build the store again with `create_tables` on: it makes missing tables, and says how to mend others",
        ),
    };
    new(kind, format!("PostgreSQL said `{message}` (SQLSTATE {code}); {remedy}"))
}

/// Whether a message is about what the schema has: its table or, for an undefined column, one of its columns.
fn names_part_of(schema: &BoundSchema, code: &str, message: &str) -> bool {
    if code != "42703" {
        return holds_name(message, schema.table());
    }
    let mut columns = schema.definition().columns().iter().map(|column| column.name).chain([VERSION_COLUMN]);
    match message.strip_prefix("column ").and_then(|rest| rest.strip_suffix(" does not exist")) {
        Some(named) => {
            let name = named.rsplit('.').next().unwrap_or(named).trim_matches('"');
            columns.any(|column| column == name)
        }
        // The server speaks another language than English.
        None => columns.any(|column| holds_name(message, column)),
    }
}

/// Whether a text holds a name, and not merely within a longer one.
fn holds_name(text: &str, name: &str) -> bool {
    let continues = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).any(|(start, _)| !text[..start].ends_with(continues) && !text[start + name.len()..].starts_with(continues))
}

fn unique_violation(report: &DbError, attempt: Attempt<'_>) -> Error {
    let constraint = report.constraint().unwrap_or_default();
    let columns = match attempt {
        Attempt::Table(schema) => columns_of(schema, constraint),
        Attempt::Connect(_) | Attempt::Query(_) | Attempt::Log => None,
    };
    let error = new(
        ErrorKind::UniqueViolation,
        format!("another row already holds this value (constraint `{constraint}`); choose a different one, or change that row first"),
    );
    match columns.or_else(|| named_in_detail(report.detail()?)) {
        Some(columns) => error.with_column(columns),
        None => error,
    }
}

fn columns_of(schema: &BoundSchema, constraint: &str) -> Option<String> {
    let index = index_plans(Dialect::Postgres, schema).into_iter().find(|index| index.name == constraint)?;
    Some(index.columns.join(", "))
}

/// The columns in `Key (a, b)=(1, 2) already exists.`, in whichever language, without the values.
fn named_in_detail(detail: &str) -> Option<String> {
    let names = &detail[detail.find('(')? + 1..detail.find(")=(")?];
    Some(names.replace('"', ""))
}

fn constraint_violation(report: &DbError, attempt: Attempt<'_>) -> Error {
    if report.code().code() == "23502" {
        return missing_value(report, attempt);
    }
    let rule = match (report.code().code(), report.constraint()) {
        ("23503", Some(name)) => {
            format!("the foreign key `{name}` refused the row: what it refers to is missing, or it is still referred to")
        }
        ("23514", Some(name)) => format!("the check `{name}` refused the row"),
        ("23P01", Some(name)) => format!("the exclusion constraint `{name}` refused the row"),
        (code, _) => format!("a rule of the table refused the row (SQLSTATE {code})"),
    };
    let error = new(ErrorKind::ConstraintViolation, format!("{rule}; change the record, or the rule"));
    let declared = match attempt {
        Attempt::Table(schema) | Attempt::Query(schema) => constrained(schema, report.constraint().unwrap_or_default()),
        Attempt::Connect(_) | Attempt::Log => None,
    };
    match report.column().map(str::to_owned).or(declared) {
        Some(column) => error.with_column(column),
        None => error,
    }
}

/// The columns of a check or a reference that the model declares.
fn constrained(schema: &BoundSchema, constraint: &str) -> Option<String> {
    let plan = constraint_plans(Dialect::Postgres, schema).into_iter().find(|plan| plan.name == constraint)?;
    (!plan.columns.is_empty()).then(|| plan.columns.join(", "))
}

fn missing_value(report: &DbError, attempt: Attempt<'_>) -> Error {
    let column = report.column().unwrap_or_default();
    let is_known = match attempt {
        Attempt::Table(schema) | Attempt::Query(schema) => schema.definition().position(column).is_some(),
        Attempt::Connect(_) | Attempt::Log => false,
    };
    let message = if is_known {
        format!("`{column}` needs a value and has no default; set it before the first write")
    } else {
        format!("the column `{column}`, which the model lacks, needs a value and has no default; give it one, or drop it")
    };
    new(ErrorKind::ConstraintViolation, message).with_column(column.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_taken_from_a_detail_and_values_are_not() {
        assert_eq!(named_in_detail("Key (email)=(a@b.c) already exists.").as_deref(), Some("email"));
        assert_eq!(named_in_detail("Key (\"E-mail\", b)=((x)=(y), 2) already exists.").as_deref(), Some("E-mail, b"));
        assert_eq!(named_in_detail("something else"), None);
    }

    #[test]
    fn a_passed_limit_is_a_timeout_and_spoils_the_connection() {
        let failure = Failure::Elapsed(Duration::from_secs(2));
        assert!(!failure.leaves_connection_usable());
        let error = failure.into_error(Attempt::Log);
        assert_eq!((error.kind(), error.tier()), (ErrorKind::Timeout, Some(Role::Truth)));
        assert!(error.is_retryable());
    }
}
