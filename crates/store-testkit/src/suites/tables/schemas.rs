//! The schemas that the cases store.

use std::sync::{Arc, LazyLock};

use store_core::{
    BoundSchema, ColumnDefinition, ColumnType, DefaultValue, IndexDefinition, Policies, Row, SchemaDefinition, Stamp, Timestamp, Value,
};

/// A required column.
fn required(name: &'static str, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition::new(name, column_type)
}

fn nullable(name: &'static str, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition { nullable: true, ..required(name, column_type) }
}

fn key(name: &'static str, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition { is_key: true, ..required(name, column_type) }
}

fn stamped(name: &'static str, stamp: Stamp) -> ColumnDefinition {
    ColumnDefinition { stamp, ..required(name, ColumnType::Time) }
}

fn with_default(name: &'static str, column_type: ColumnType, default: DefaultValue) -> ColumnDefinition {
    ColumnDefinition { default: Some(default), ..required(name, column_type) }
}

macro_rules! schemas {
    ($($(#[$docs:meta])* $function:ident => $name:literal, [$($column:expr),* $(,)?], [$($index:expr),* $(,)?];)*) => {$(
        $(#[$docs])*
        pub(in crate::suites) fn $function() -> Arc<BoundSchema> {
            static DEFINITION: LazyLock<SchemaDefinition> =
                LazyLock::new(|| SchemaDefinition::new($name, vec![$($column),*], vec![$($index),*], Policies::default()));
            Arc::new(BoundSchema::standalone(&DEFINITION))
        }
    )*};
}

schemas! {
    /// One of each kind of rule: unique, indexed, default, nullable, required, stamped.
    player => "player", [
        key("id", ColumnType::BigInt),
        ColumnDefinition { unique: true, ..required("username", ColumnType::Text) },
        with_default("level", ColumnType::BigInt, DefaultValue::Integer(1)),
        ColumnDefinition { indexed: true, ..nullable("region", ColumnType::Text) },
        nullable("rating", ColumnType::Double),
        required("secret", ColumnType::Text),
        stamped("created_at", Stamp::OnInsert),
        stamped("updated_at", Stamp::OnWrite),
    ], [];

    /// The table of `player` before two columns were added to it.
    player_before => "player", [
        key("id", ColumnType::BigInt),
        ColumnDefinition { unique: true, ..required("username", ColumnType::Text) },
        with_default("level", ColumnType::BigInt, DefaultValue::Integer(1)),
        nullable("region", ColumnType::Text),
        nullable("rating", ColumnType::Double),
        nullable("secret", ColumnType::Text),
    ], [];

    /// The table of `player_before` with columns that an insert may leave out.
    player_widened => "player", [
        key("id", ColumnType::BigInt),
        ColumnDefinition { unique: true, ..required("username", ColumnType::Text) },
        with_default("level", ColumnType::BigInt, DefaultValue::Integer(1)),
        nullable("region", ColumnType::Text),
        nullable("rating", ColumnType::Double),
        nullable("secret", ColumnType::Text),
        nullable("note", ColumnType::Text),
        with_default("points", ColumnType::BigInt, DefaultValue::Integer(0)),
    ], [];

    /// The table of `player` with a column of another type.
    player_retyped => "player", [
        key("id", ColumnType::BigInt),
        required("username", ColumnType::Text),
        with_default("level", ColumnType::Text, DefaultValue::Text("1")),
        nullable("region", ColumnType::Text),
        nullable("rating", ColumnType::Double),
        required("secret", ColumnType::Text),
        stamped("created_at", Stamp::OnInsert),
        stamped("updated_at", Stamp::OnWrite),
    ], [];

    /// A column of every type, required and nullable.
    specimen => "specimen", [
        key("id", ColumnType::BigInt),
        required("bool", ColumnType::Bool),
        required("small", ColumnType::SmallInt),
        required("integer", ColumnType::Integer),
        required("big", ColumnType::BigInt),
        required("double", ColumnType::Double),
        required("text", ColumnType::Text),
        required("bytes", ColumnType::Bytes),
        required("time", ColumnType::Time),
        required("uuid", ColumnType::Uuid),
        required("json", ColumnType::Json),
        nullable("maybe_bool", ColumnType::Bool),
        nullable("maybe_small", ColumnType::SmallInt),
        nullable("maybe_integer", ColumnType::Integer),
        nullable("maybe_big", ColumnType::BigInt),
        nullable("maybe_double", ColumnType::Double),
        nullable("maybe_text", ColumnType::Text),
        nullable("maybe_bytes", ColumnType::Bytes),
        nullable("maybe_time", ColumnType::Time),
        nullable("maybe_uuid", ColumnType::Uuid),
        nullable("maybe_json", ColumnType::Json),
    ], [];

    /// Defaults of every kind, and nothing else.
    with_defaults => "with_defaults", [
        key("id", ColumnType::BigInt),
        with_default("yes", ColumnType::Bool, DefaultValue::Bool(true)),
        with_default("no", ColumnType::Bool, DefaultValue::Bool(false)),
        with_default("negative", ColumnType::SmallInt, DefaultValue::Integer(-7)),
        with_default("lowest", ColumnType::BigInt, DefaultValue::Integer(i64::MIN)),
        with_default("half", ColumnType::Double, DefaultValue::Double(-0.5)),
        with_default("whole", ColumnType::Double, DefaultValue::Integer(3)),
        with_default("tiny", ColumnType::Double, DefaultValue::Double(1e-300)),
        with_default("quoted", ColumnType::Text, DefaultValue::Text("it's \"quoted\"; -- no comment")),
        with_default("empty", ColumnType::Text, DefaultValue::Text("")),
        with_default("document", ColumnType::Json, DefaultValue::Text("{\"a\": [1, null]}")),
        ColumnDefinition { nullable: true, ..with_default("maybe", ColumnType::BigInt, DefaultValue::Integer(9)) },
    ], [];

    /// A key of two columns that are not the first, and an index over two.
    score => "score", [
        required("points", ColumnType::BigInt),
        key("player", ColumnType::Text),
        key("season", ColumnType::Integer),
        nullable("place", ColumnType::BigInt),
    ], [IndexDefinition { columns: vec!["season", "place"], unique: true, ..IndexDefinition::default() }];

    /// Nothing but a key of every part's type.
    membership => "membership", [
        key("club", ColumnType::Text),
        key("number", ColumnType::BigInt),
        key("person", ColumnType::Uuid),
    ], [];

    /// A text key, and columns named as SQL's own words.
    word => "word", [
        key("select", ColumnType::Text),
        nullable("order", ColumnType::BigInt),
        nullable("group", ColumnType::Text),
    ], [];
}

/// The moment that `player_row` is stamped with.
pub(in crate::suites) fn moment(microseconds: i64) -> Value<'static> {
    Value::Time(Timestamp::from_microseconds(microseconds).expect("the cases' times are within the range"))
}

/// A whole row of `player`.
pub(in crate::suites) fn player_row(id: i64) -> Row<'static> {
    vec![
        id.into(),
        format!("user{id}").into(),
        (id % 10).into(),
        Value::from("north"),
        Value::from(0.5),
        Value::from("hidden"),
        moment(1_000 + id),
        moment(2_000 + id),
    ]
}

/// A whole row of `score`.
pub(in crate::suites) fn score_row(player: &str, season: i64, points: i64) -> Row<'static> {
    vec![points.into(), Value::from(player).into_owned(), season.into(), Value::Null]
}

/// The position of a column.
#[track_caller]
pub(in crate::suites) fn at(schema: &BoundSchema, column: &str) -> usize {
    schema.definition().position(column).expect("the case names a column of its schema")
}

/// The same row with one column replaced.
#[track_caller]
pub(in crate::suites) fn with(schema: &BoundSchema, mut row: Row<'static>, column: &str, value: Value<'static>) -> Row<'static> {
    row[at(schema, column)] = value;
    row
}

/// The key's values of a row.
pub(in crate::suites) fn key_of(schema: &BoundSchema, row: &Row<'static>) -> Row<'static> {
    schema.definition().key_positions().iter().map(|&position| row[position].clone()).collect()
}
