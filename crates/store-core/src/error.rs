//! The one error of Strata: a kind to act on, and a report to read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::tier::Role;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The most characters of a key that a message shows; a key may be a megabyte.
const LONGEST_KEY: usize = 100;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, in one word, for code that decides what to do next.
///
/// ```
/// use store_core::{Error, ErrorKind};
///
/// fn status(error: &Error) -> u16 {
///     match error.kind() {
///         ErrorKind::NotFound => 404,
///         ErrorKind::UniqueViolation | ErrorKind::Conflict => 409,
///         _ if error.is_retryable() => 503,
///         _ => 500,
///     }
/// }
/// assert_eq!(status(&Error::new(ErrorKind::L3Unavailable, "the server is gone; start it")), 503);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The model's schema was never given to the builder.
    SchemaNotFound,
    /// Two schemas claim the same name, table or key prefix.
    SchemaDuplicate,
    /// The key is empty: `""`, `0`, the nil UUID, or a tuple that holds one.
    MissingPrimaryKey,
    /// No tier holds the record (only from calls that promise one, such as `get_or_err`).
    NotFound,
    /// Stored bytes or a stored column could not be turned into the model.
    DecodeFailed,
    /// The model could not be turned into its stored form.
    EncodeFailed,
    /// The value cannot be held exactly by the tier of truth.
    InvalidValue,
    /// A unique column or index already holds this value for another key.
    UniqueViolation,
    /// A not-null, check or foreign-key rule of the database refused the write, or a policy or trigger of it.
    ConstraintViolation,
    /// The record is not as a conditional write expects it: it is there or is not, or has another version.
    Conflict,
    /// The query is malformed: an unknown column, be it in a condition in SQL, a parameter count that does not match, a foreign cursor.
    InvalidQuery,
    /// The memory tier cannot answer.
    L1Unavailable,
    /// The shared tier (Redis) cannot answer.
    L2Unavailable,
    /// The truth tier (PostgreSQL, SQLite) cannot answer.
    L3Unavailable,
    /// No tier that could answer is reachable.
    Unavailable,
    /// A time limit passed before the answer came.
    Timeout,
    /// A loader that was given to `get_or_load` failed, panicked, or answered what cannot be used.
    LoadFailed,
    /// A hook ([`Hooks`](crate::Hooks)) or the function given to `update` refused the write; its own error is the source.
    Refused,
    /// A hook ([`Hooks`](crate::Hooks)) panicked.
    HookPanic,
    /// A tier refused the credentials or the permission.
    AccessDenied,
    /// The truth tier rolled the transaction back.
    TransactionFailed,
    /// The transaction's time limit passed; it was rolled back.
    TransactionTimeout,
    /// A flush of write-behind failed more often in a row than [`max_retries`](crate::WriteBehind::max_retries), or what was pending when the store was closed could not be
    /// flushed.
    WriteBehindMaxRetry,
    /// The journal of write-behind takes no writes, or cannot be opened.
    JournalUnavailable,
    /// What a session has written is still pending on another instance.
    PendingElsewhere,
    /// The configuration of the store, of a tier or of a schema is wrong.
    InvalidConfig,
    /// The database's table does not fit the schema: it is missing, or lacks a column that the model has.
    SchemaMismatch,
    /// The store was closed, or the runtime that it was built in has ended.
    Closed,
    /// A defect of Strata itself; please report it.
    Internal,
}

impl ErrorKind {
    const fn headline(self) -> &'static str {
        match self {
            ErrorKind::SchemaNotFound => "schema not registered",
            ErrorKind::SchemaDuplicate => "schema already registered",
            ErrorKind::MissingPrimaryKey => "value is missing its primary key",
            ErrorKind::NotFound => "record not found",
            ErrorKind::DecodeFailed => "failed to decode a stored value",
            ErrorKind::EncodeFailed => "failed to encode a value for storage",
            ErrorKind::InvalidValue => "value cannot be stored exactly",
            ErrorKind::UniqueViolation => "unique constraint violated",
            ErrorKind::ConstraintViolation => "database constraint violated",
            ErrorKind::Conflict => "the record is not as the write expects it",
            ErrorKind::InvalidQuery => "invalid query",
            ErrorKind::L1Unavailable => "L1 memory tier unavailable",
            ErrorKind::L2Unavailable => "L2 shared tier unavailable",
            ErrorKind::L3Unavailable => "L3 truth tier unavailable",
            ErrorKind::Unavailable => "all tiers unavailable",
            ErrorKind::Timeout => "time limit exceeded",
            ErrorKind::LoadFailed => "the loader failed",
            ErrorKind::Refused => "the write was refused by the program",
            ErrorKind::HookPanic => "a hook panicked",
            ErrorKind::AccessDenied => "access denied",
            ErrorKind::TransactionFailed => "transaction failed and was rolled back",
            ErrorKind::TransactionTimeout => "transaction time limit exceeded",
            ErrorKind::WriteBehindMaxRetry => "write-behind exceeded its retries",
            ErrorKind::JournalUnavailable => "the journal of write-behind is unavailable",
            ErrorKind::PendingElsewhere => "a write is pending on another instance",
            ErrorKind::InvalidConfig => "invalid configuration",
            ErrorKind::SchemaMismatch => "table does not fit the schema",
            ErrorKind::Closed => "the store is closed",
            ErrorKind::Internal => "internal error",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.headline())
    }
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retryable: bool,
    tier: Option<Role>,
    schema: Option<Cow<'static, str>>,
    key: Option<String>,
    column: Option<Cow<'static, str>>,
    operation: Option<&'static str>,
    /// Shared by the callers of one flight.
    source: Option<Arc<dyn std::error::Error + Send + Sync + 'static>>,
    /// Whether a breaker kept the tier from being asked.
    held_back: bool,
    /// Whether it is this process that failed the tier's call.
    is_shortage: bool,
}

/// An error of any Strata call: opaque, one word wide.
///
/// [`kind`](Error::kind) is for handling, the `Display` text for reading: it says what happened, where, and what to do.
/// Neither it nor `Debug` ever holds a password, a key, or the content of an encrypted field.
///
/// ```
/// use store_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::UniqueViolation, "another row has this username; choose a different one")
///     .with_schema("player")
///     .with_column("username");
/// assert_eq!(error.kind(), ErrorKind::UniqueViolation);
/// assert_eq!(
///     error.to_string(),
///     "unique constraint violated in schema `player`, column `username`: another row has this username; choose a different one"
/// );
/// ```
pub struct Error(Box<Inner>);

impl Error {
    /// Makes an error of a kind; `message` says what happened and what to do, without repeating the kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            retryable: matches!(
                kind,
                ErrorKind::L1Unavailable
                    | ErrorKind::L2Unavailable
                    | ErrorKind::L3Unavailable
                    | ErrorKind::Unavailable
                    | ErrorKind::Timeout
                    | ErrorKind::PendingElsewhere
            ),
            tier: None,
            schema: None,
            key: None,
            column: None,
            operation: None,
            source: None,
            held_back: false,
            is_shortage: false,
        }))
    }

    /// What to act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    ///
    /// It says nothing about whether the failed call took effect: a write that timed out may have been committed.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The tier that failed, where one did.
    pub fn tier(&self) -> Option<Role> {
        self.0.tier
    }

    /// The schema that the call was about.
    pub fn schema(&self) -> Option<&str> {
        self.0.schema.as_deref()
    }

    /// The text form of the key that the call was about, as [`Key::to_text`](crate::Key::to_text) writes it and [`Key::from_text`](crate::Key::from_text)
    /// reads it: `%`, `:` and control characters within a part are escaped, so that `"a:b"` is `a%3Ab`. The message shows the same text.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The column that was refused or could not be read.
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// The store operation that failed, such as `"get"`.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// What happened and what to do, without the kind and the place that the `Display` text begins with.
    ///
    /// ```
    /// use store_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Timeout, "no answer within 2s; raise the limit").with_schema("city");
    /// assert_eq!(error.message(), "no answer within 2s; raise the limit");
    /// ```
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The kind and the message, without the record and the call that the error is about.
    pub(crate) fn summary(&self) -> String {
        format!("{}: {}", self.0.kind, self.0.message)
    }

    /// Sets whether a retry may help; every kind has a sensible default.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Names the tier, unless one is named already.
    #[must_use]
    pub fn with_tier(mut self, tier: Role) -> Self {
        self.0.tier.get_or_insert(tier);
        self
    }

    /// Names the schema, unless one is named already.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<Cow<'static, str>>) -> Self {
        self.0.schema.get_or_insert(schema.into());
        self
    }

    /// Names the key by its text form, unless one is named already.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.0.key.get_or_insert(key.into());
        self
    }

    /// Names the column, unless one is named already.
    #[must_use]
    pub fn with_column(mut self, column: impl Into<Cow<'static, str>>) -> Self {
        self.0.column.get_or_insert(column.into());
        self
    }

    /// Names another column than the one that is named, in the message too.
    pub(crate) fn with_column_replaced(mut self, column: &'static str) -> Self {
        if let Some(named) = &self.0.column {
            self.0.message = self.0.message.replace(&format!("`{named}`"), &format!("`{column}`")).into();
        }
        self.0.column = Some(column.into());
        self
    }

    /// Names the operation, unless one is named already.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Attaches the error that caused this one. It must hold no secret: its text can reach a log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// For tiers: marks the error of a call for want of something that other calls may have, or do without: a connection of this process's pool, or room on a
    /// disk, without which the backend still reads. It tells nothing of the backend's health, so no breaker counts it.
    ///
    /// ```
    /// use store_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Timeout, "all 10 connections were in use; raise `max_connections`").with_shortage();
    /// assert!(error.is_retryable() && error.is_shortage());
    /// ```
    #[must_use]
    pub fn with_shortage(mut self) -> Self {
        self.0.is_shortage = true;
        self
    }

    /// Whether the call failed for want of something, which tells nothing of the backend's health.
    pub fn is_shortage(&self) -> bool {
        self.0.is_shortage
    }

    /// Marks the error of a call that a breaker held back.
    pub(crate) fn held_back(mut self) -> Self {
        self.0.held_back = true;
        self
    }

    /// Whether the tier was not asked, because its breaker is open: which was told of when it opened.
    pub(crate) fn is_held_back(&self) -> bool {
        self.0.held_back
    }

    /// What a call says of a store that was closed.
    pub(crate) fn closed() -> Self {
        Error::new(ErrorKind::Closed, "`close` was called; build a new store")
    }

    /// What a call says whose task the end of the runtime stopped.
    pub(crate) fn runtime_ended() -> Self {
        Error::new(
            ErrorKind::Closed,
            "the runtime that the store was built in has ended; build a store in one that lives as long as it is used",
        )
    }

    /// A copy for each of several callers that shared one flight.
    pub(crate) fn duplicate(&self) -> Self {
        let inner = &*self.0;
        Error(Box::new(Inner {
            kind: inner.kind,
            message: inner.message.clone(),
            retryable: inner.retryable,
            tier: inner.tier,
            schema: inner.schema.clone(),
            key: inner.key.clone(),
            column: inner.column.clone(),
            operation: inner.operation,
            source: inner.source.clone(),
            held_back: inner.held_back,
            is_shortage: inner.is_shortage,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(inner.kind.headline())?;
        if let Some(operation) = inner.operation {
            write!(f, " during `{operation}`")?;
        }
        if let Some(tier) = inner.tier {
            write!(f, " at {tier}")?;
        }
        let mut place = " in";
        if let Some(schema) = &inner.schema {
            match inner.kind {
                // The kind says already that it is one.
                ErrorKind::SchemaNotFound | ErrorKind::SchemaDuplicate => write!(f, " (`{schema}`)")?,
                _ => write!(f, "{place} schema `{schema}`")?,
            }
            place = ",";
        }
        if let Some(column) = &inner.column {
            write!(f, "{place} column `{column}`")?;
            place = ",";
        }
        if let Some(key) = &inner.key {
            match key.char_indices().nth(LONGEST_KEY) {
                None => write!(f, "{place} key `{key}`")?,
                Some((end, _)) => write!(f, "{place} key `{}…` ({} bytes)", &key[..end], key.len())?,
            }
        }
        if !inner.message.is_empty() {
            write!(f, ": {}", inner.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, "; caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn the_first_context_wins_and_reaches_the_text() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 2s; raise the limit or check the server")
            .with_tier(Role::Truth)
            .with_tier(Role::Near)
            .with_schema("city")
            .with_key("7")
            .with_operation("get");
        assert_eq!(error.tier(), Some(Role::Truth));
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "time limit exceeded during `get` at L3 (truth) in schema `city`, key `7`: \
             no answer within 2s; raise the limit or check the server"
        );
    }

    #[test]
    fn a_duplicate_keeps_what_can_be_handled() {
        let error = Error::new(ErrorKind::L3Unavailable, "gone").with_source(std::io::Error::other("refused")).with_column("id");
        let copy = error.duplicate();
        assert_eq!(copy.kind(), error.kind());
        assert_eq!(copy.column(), Some("id"));
        assert_eq!(format!("{copy:?}"), format!("{error:?}"));
    }
}
