//! SQL files that are to be run, and what is written and said of them.

use std::time::Duration;

use super::file::{MigrationFile, checksum, going_on};
use super::record::{DirtyMark, MigrationRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::tier::Role;

/// As much of a statement as a mark and a message hold.
const LONGEST_TEXT: usize = 1_000;

/// An SQL file that is to be run, and from where.
///
/// ```
/// use store_core::sql::Dialect;
/// use store_core::{MigrationFile, PendingFile};
///
/// let file = MigrationFile::new("1_notes.sql", "INSERT INTO note VALUES (1); INSERT INTO note VALUES (2)")?;
/// let pending: Vec<PendingFile> = MigrationFile::pending(&[file], &[], Dialect::Sqlite)?;
/// assert_eq!((pending[0].statements.len(), pending[0].first), (2, 1));
/// let mark = pending[0].mark(2, "no such table: note")?;
/// assert_eq!(mark.dirty.unwrap().text, "INSERT INTO note VALUES (2)");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingFile {
    /// The file.
    pub file: MigrationFile,
    /// All its statements.
    pub statements: Vec<String>,
    /// The number of the first one to run, from 1.
    pub first: u32,
    /// Whether it was resolved as applied, so that only its checksum is to be kept.
    pub is_done: bool,
}

impl PendingFile {
    /// What a mark says until something is heard of its statement.
    pub const CUT_OFF: &str =
        "it was begun and nobody has seen its end: it was cut off, the connection broke, or another process is still at it";

    /// The statements that are still to be run, with their numbers.
    pub fn left(&self) -> impl Iterator<Item = (u32, &str)> {
        let left = (1..).zip(self.statements.iter().map(String::as_str));
        left.skip((self.first as usize).saturating_sub(1))
    }

    /// The number of the last statement.
    pub fn last(&self) -> u32 {
        u32::try_from(self.statements.len()).unwrap_or(u32::MAX)
    }

    /// The checksum of the statements in front of one, by its number from 1.
    pub fn checksum_before(&self, statement: u32) -> String {
        checksum(&self.statements[..(statement as usize).saturating_sub(1).min(self.statements.len())].join("\0"))
    }

    /// The record of the file that failed, or may be cut off, at a statement. Others must wait unless the file is one transaction, of which nothing is left.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) where the system's clock stands outside of what a time can be.
    pub fn mark(&self, statement: u32, said: &str) -> Result<MigrationRecord> {
        let blocks = !self.file.in_transaction();
        let mark = DirtyMark {
            statement,
            text: self.beginning(statement).to_owned(),
            error: said.to_owned(),
            blocks,
            done: blocks.then(|| self.checksum_before(statement)),
        };
        Ok(MigrationRecord { dirty: Some(mark), ..self.done(Duration::ZERO)? })
    }

    /// The record of the file that was run to its end.
    ///
    /// # Errors
    ///
    /// As [`mark`](Self::mark).
    pub fn done(&self, took: Duration) -> Result<MigrationRecord> {
        let record = MigrationRecord::new(None, self.file.description().to_owned(), took)?;
        Ok(MigrationRecord { file_name: Some(self.file.name().to_owned()), checksum: Some(self.file.checksum()), ..record })
    }

    /// The error of a statement, by its number from 1, or, where it is none of theirs, of the beginning or end of the transaction. `said` is what the database said, and
    /// `remedy` what to do before the file goes on.
    pub fn refused(&self, statement: u32, kind: ErrorKind, said: &str, remedy: &str) -> Error {
        let (name, text) = (self.file.name(), self.beginning(statement));
        let (left, next) = match self.file.in_transaction() {
            true => ("nothing of the file is left", "run it again".to_owned()),
            false => ("what stands in front of it took effect", going_on(name)),
        };
        let message = match statement {
            _ if !(1..=self.last()).contains(&statement) => {
                format!("the transaction of `{name}` failed, {left}: {said}; {remedy}, then {next}")
            }
            _ => format!("statement {statement} of `{name}` failed, {left}: {said}; {remedy}, then {next}. The statement: {text}"),
        };
        Error::new(kind, message).with_tier(Role::Truth)
    }

    fn beginning(&self, statement: u32) -> &str {
        beginning((statement as usize).checked_sub(1).and_then(|place| self.statements.get(place)).map_or("", String::as_str))
    }
}

/// As much of a statement as is kept and shown.
pub(super) fn beginning(statement: &str) -> &str {
    &statement[..statement.floor_char_boundary(LONGEST_TEXT)]
}
