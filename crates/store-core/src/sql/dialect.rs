//! Where PostgreSQL and SQLite differ in spelling.

use crate::schema::DefaultValue;
use crate::value::ColumnType;

/// The hidden column that holds a row's version.
pub const VERSION_COLUMN: &str = "_version";

/// A database's way to spell SQL.
///
/// ```
/// use store_core::{ColumnType, sql::Dialect};
///
/// assert_eq!(Dialect::Postgres.type_name(ColumnType::Json), "JSONB");
/// assert_eq!(Dialect::Sqlite.placeholder(2), "?2");
/// assert_eq!(Dialect::Sqlite.quote("level"), r#""level""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL 14 and later.
    Postgres,
    /// SQLite 3.39 and later, with strict tables.
    Sqlite,
}

impl Dialect {
    /// The type that a column is declared with.
    pub const fn type_name(self, column_type: ColumnType) -> &'static str {
        match (self, column_type) {
            (Dialect::Postgres, ColumnType::Bool) => "BOOLEAN",
            (Dialect::Postgres, ColumnType::SmallInt) => "SMALLINT",
            (Dialect::Postgres, ColumnType::Integer) => "INTEGER",
            (Dialect::Postgres, ColumnType::BigInt) => "BIGINT",
            (Dialect::Postgres, ColumnType::Double) => "DOUBLE PRECISION",
            (Dialect::Postgres, ColumnType::Text) => "TEXT",
            (Dialect::Postgres, ColumnType::Bytes) => "BYTEA",
            (Dialect::Postgres, ColumnType::Time) => "TIMESTAMPTZ",
            (Dialect::Postgres, ColumnType::Uuid) => "UUID",
            (Dialect::Postgres, ColumnType::Json) => "JSONB",
            (Dialect::Sqlite, ColumnType::Bool | ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt | ColumnType::Time) => {
                "INTEGER"
            }
            (Dialect::Sqlite, ColumnType::Double) => "REAL",
            (Dialect::Sqlite, ColumnType::Text | ColumnType::Json) => "TEXT",
            (Dialect::Sqlite, ColumnType::Bytes | ColumnType::Uuid) => "BLOB",
        }
    }

    /// A name, quoted.
    pub fn quote(self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// A table's name, quoted. Where PostgreSQL's has a dot, the schema stands in front of it; SQLite has no schemas, and takes the dot for a part of the name.
    ///
    /// ```
    /// use store_core::sql::Dialect;
    ///
    /// assert_eq!(Dialect::Postgres.quote_table("game.player"), r#""game"."player""#);
    /// assert_eq!(Dialect::Sqlite.quote_table("game.player"), r#""game.player""#);
    /// ```
    pub fn quote_table(self, table: &str) -> String {
        match self.split_table(table) {
            (Some(schema), name) => format!("{}.{}", self.quote(schema), self.quote(name)),
            (None, name) => self.quote(name),
        }
    }

    /// The parts of a table's name: the database's schema, if it is named, and the name in it.
    pub fn split_table(self, table: &str) -> (Option<&str>, &str) {
        match (self, table.split_once('.')) {
            (Dialect::Postgres, Some((schema, name))) => (Some(schema), name),
            _ => (None, table),
        }
    }

    /// The place of the value with a number, counted from 1.
    pub fn placeholder(self, number: usize) -> String {
        match self {
            Dialect::Postgres => format!("${number}"),
            Dialect::Sqlite => format!("?{number}"),
        }
    }

    /// Zero, empty or false as a literal of a type, if it has one: what is empty in JSON is for the field to say.
    pub(super) const fn zero(self, column_type: ColumnType) -> Option<&'static str> {
        Some(match (self, column_type) {
            (Dialect::Postgres, ColumnType::Bool) => "FALSE",
            (Dialect::Sqlite, ColumnType::Bool | ColumnType::Time)
            | (_, ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => "0",
            (_, ColumnType::Double) => "0.0",
            (_, ColumnType::Text) => "''",
            (Dialect::Postgres, ColumnType::Bytes) => "''",
            (Dialect::Sqlite, ColumnType::Bytes) => "x''",
            (Dialect::Postgres, ColumnType::Time) => "'1970-01-01 00:00:00+00'",
            (Dialect::Postgres, ColumnType::Uuid) => "'00000000-0000-0000-0000-000000000000'",
            (Dialect::Sqlite, ColumnType::Uuid) => "x'00000000000000000000000000000000'",
            (_, ColumnType::Json) => return None,
        })
    }

    /// Text as a literal.
    pub(super) fn text(self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// A default as a literal.
    pub(super) fn literal(self, value: &DefaultValue, column_type: ColumnType) -> String {
        match (self, value) {
            (Dialect::Postgres, DefaultValue::Bool(value)) => value.to_string().to_uppercase(),
            (Dialect::Sqlite, DefaultValue::Bool(value)) => u8::from(*value).to_string(),
            (_, DefaultValue::Integer(value)) if column_type == ColumnType::Double => {
                format!("{value}.0")
            }
            (_, DefaultValue::Integer(value)) => value.to_string(),
            (_, DefaultValue::Double(value)) => format!("{value:?}"),
            (_, DefaultValue::Text(value)) => self.text(value),
        }
    }
}
