//! The table that the tests write.

use std::sync::{Arc, LazyLock};

use futures_util::TryStreamExt;
use store_core::facet::{Log, LogCursor, LogEntry, ReadPreference, Select, Tables};
use store_core::{
    BoundSchema, ColumnDefinition, ColumnType, DefaultValue, Filter, IndexDefinition, Policies, Result, Row, SchemaDefinition, StoredRow,
    Value,
};
use tier_pg::PgTier;

/// A schema `account` with one rule of each kind.
pub(crate) fn account() -> Arc<BoundSchema> {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let column = ColumnDefinition::new;
        SchemaDefinition::new(
            "account",
            vec![
                ColumnDefinition { is_key: true, ..column("id", ColumnType::BigInt) },
                ColumnDefinition { unique: true, ..column("email", ColumnType::Text) },
                ColumnDefinition { default: Some(DefaultValue::Integer(1)), ..column("level", ColumnType::BigInt) },
                ColumnDefinition { nullable: true, indexed: true, ..column("region", ColumnType::Text) },
                ColumnDefinition { nullable: true, ..column("profile", ColumnType::Json) },
            ],
            vec![IndexDefinition { name: Some("account_place"), columns: vec!["region", "level"], ..IndexDefinition::default() }],
            Policies::default(),
        )
    });
    Arc::new(BoundSchema::standalone(&DEFINITION))
}

/// A schema with a column of every type.
pub(crate) fn specimen() -> Arc<BoundSchema> {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| every_type(true));
    Arc::new(BoundSchema::standalone(&DEFINITION))
}

/// [`specimen`], with columns that need a value.
pub(crate) fn required_specimen() -> Arc<BoundSchema> {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| every_type(false));
    Arc::new(BoundSchema::standalone(&DEFINITION))
}

fn every_type(nullable: bool) -> SchemaDefinition {
    let types = [
        ("bool", ColumnType::Bool),
        ("small", ColumnType::SmallInt),
        ("integer", ColumnType::Integer),
        ("double", ColumnType::Double),
        ("text", ColumnType::Text),
        ("bytes", ColumnType::Bytes),
        ("time", ColumnType::Time),
        ("uuid", ColumnType::Uuid),
        ("json", ColumnType::Json),
    ];
    let key = ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::BigInt) };
    let others = types.map(|(name, column_type)| ColumnDefinition {
        nullable,
        filler: || Some("{}".to_owned()),
        ..ColumnDefinition::new(name, column_type)
    });
    SchemaDefinition::new("specimen", std::iter::once(key).chain(others).collect(), vec![], Policies::default())
}

pub(crate) const LEVEL: usize = 2;
pub(crate) const REGION: usize = 3;
pub(crate) const PROFILE: usize = 4;

pub(crate) fn row(id: i64) -> Row<'static> {
    vec![id.into(), format!("{id}@example.org").into(), (id % 10).into(), Value::from("north"), Value::Json("{}".into())]
}

pub(crate) fn row_with(id: i64, column: usize, value: impl Into<Value<'static>>) -> Row<'static> {
    let mut row = row(id);
    row[column] = value.into();
    row
}

pub(crate) fn key(id: i64) -> Row<'static> {
    vec![id.into()]
}

pub(crate) fn keys(ids: impl IntoIterator<Item = i64>) -> Vec<Row<'static>> {
    ids.into_iter().map(key).collect()
}

/// A condition in SQL.
pub(crate) fn raw(sql: &str, params: Vec<Value<'static>>) -> Filter {
    Filter::Raw { sql: sql.to_owned(), params }
}

pub(crate) async fn search(tier: &Arc<PgTier>, filter: Filter) -> Result<Vec<StoredRow>> {
    let select = Select { filter: Some(filter), ..Select::default() };
    Arc::clone(tier).select(account(), select).try_collect().await
}

/// The ids of the rows that a condition in SQL finds.
pub(crate) async fn ids(tier: &Arc<PgTier>, sql: &str, params: Vec<Value<'static>>) -> Result<Vec<i64>> {
    let mut ids: Vec<i64> = search(tier, raw(sql, params)).await?.iter().map(|stored| integer(&stored.row[0])).collect();
    ids.sort_unstable();
    Ok(ids)
}

pub(crate) fn integer(value: &Value<'_>) -> i64 {
    match value {
        Value::Integer(number) => *number,
        other => panic!("expected an integer, found {}", other.kind()),
    }
}

pub(crate) async fn get(tier: &PgTier, id: i64) -> Result<Option<StoredRow>> {
    Ok(tier.get_many(&account(), &[key(id)]).await?.remove(0))
}

pub(crate) async fn put(tier: &PgTier, row: Row<'static>) -> Result<StoredRow> {
    Ok(tier.put_many(&account(), &[row]).await?.remove(0))
}

/// The entries since a cursor, which moves on; there must be no gap.
pub(crate) async fn since(tier: &PgTier, cursor: &mut LogCursor) -> Vec<LogEntry> {
    let batch = Log::read(tier, cursor).await.unwrap();
    assert!(!batch.gap);
    *cursor = batch.cursor;
    batch.entries
}

/// A replica that has replayed a place, or any.
pub(crate) fn preference(after: Option<&LogCursor>) -> ReadPreference {
    after.map_or(ReadPreference::Replica, |place| ReadPreference::Replayed(place.clone()))
}
