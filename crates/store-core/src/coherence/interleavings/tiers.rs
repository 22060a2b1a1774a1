//! Tiers whose every call is one step.

mod transactions;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use shuttle::future::yield_now;
use shuttle::rand::{Rng, thread_rng};

use crate::error::{Error, ErrorKind, Result};
use crate::facet::{
    AppliedPlace, Begin, Condition, Count, Fetched, Fill, FillLease, Log, LogBatch, LogCursor, LogEntry, LogKind, Mark, PutOver, Records,
    Relay, Select, Shelf, Slot, SlotState, Tables, TagEras, Touched, Transaction,
};
use crate::health::ReplicaHealth;
use crate::query::Filter;
use crate::record::{EncodedRecord, Record, StoredRow};
use crate::schema::{BoundSchema, ColumnDefinition, Policies, Schema, SchemaDefinition};
use crate::sync::{Mutex, MutexGuard};
use crate::value::{ColumnType, Row, Value};
use crate::version::Version;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) id: i64,
    pub(crate) number: i64,
}

fn integer(value: &Value<'_>) -> i64 {
    match value {
        Value::Integer(number) => *number,
        other => panic!("{other:?}"),
    }
}

impl Schema for Counter {
    type Key = i64;

    fn definition() -> &'static SchemaDefinition {
        static DEFINITION: OnceLock<SchemaDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let id = ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::BigInt) };
            SchemaDefinition::new("counter", vec![id, ColumnDefinition::new("number", ColumnType::BigInt)], Vec::new(), Policies::default())
        })
    }

    fn key(&self) -> i64 {
        self.id
    }

    fn to_row(&self) -> Result<Row<'_>> {
        Ok(vec![Value::Integer(self.id), Value::Integer(self.number)])
    }

    fn from_row(row: Row<'static>) -> Result<Self> {
        Ok(Counter { id: integer(&row[0]), number: integer(&row[1]) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no step panics")
}

/// The truth and its log. It has one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct PlainTables {
    content: Arc<Mutex<Content>>,
    writer: Arc<tokio::sync::Mutex<()>>,
    /// Whether commits fail now and then, with or without an effect.
    pub(crate) fails: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Content {
    last: u64,
    rows: BTreeMap<i64, (i64, Version)>,
    log: Vec<LogEntry>,
    /// By key, each commit and the number that it left there, if any. The key's beginning, when it had none, is not among them.
    history: HashMap<i64, Vec<(Version, Option<i64>)>>,
    /// How far journals were applied.
    journals: HashMap<String, AppliedPlace>,
    letters: u64,
}

impl Content {
    fn commit(&mut self, key: i64, number: Option<i64>) -> Version {
        self.last += 1;
        let version = Version::new(self.last);
        let kind = match number {
            Some(number) => {
                self.rows.insert(key, (number, version));
                LogKind::Put
            }
            None => {
                self.rows.remove(&key);
                LogKind::Delete
            }
        };
        self.log.push(LogEntry { schema: "counter".to_owned(), key: Some(key.to_string()), version, kind, columns: None });
        self.history.entry(key).or_default().push((version, number));
        version
    }
}

impl PlainTables {
    /// What became of a key, from its beginning on.
    pub(crate) fn history(&self, key: i64) -> Vec<(Version, Option<i64>)> {
        let content = lock(&self.content);
        let commits = content.history.get(&key).into_iter().flatten().copied();
        std::iter::once((Version::new(0), None)).chain(commits).collect()
    }
}

#[async_trait]
impl Tables for PlainTables {
    async fn get_many(&self, _: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>> {
        let found = {
            let content = lock(&self.content);
            let row = |key: i64| content.rows.get(&key).map(|&(number, version)| (key, number, version));
            keys.iter().map(|key| row(integer(&key[0]))).collect::<Vec<_>>()
        };
        yield_now().await;
        let stored = |(key, number, version)| StoredRow { row: vec![Value::Integer(key), Value::Integer(number)], version };
        Ok(found.into_iter().map(|found| found.map(stored)).collect())
    }

    async fn exists_many(&self, _: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
        let content = lock(&self.content);
        Ok(keys.iter().map(|key| content.rows.contains_key(&integer(&key[0]))).collect())
    }

    async fn put_many(&self, _: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        let _turn = self.writer.lock().await;
        let versions: Vec<Version> = {
            let mut content = lock(&self.content);
            rows.iter().map(|row| content.commit(integer(&row[0]), Some(integer(&row[1])))).collect()
        };
        yield_now().await;
        let owned = |row: &Row<'_>| row.iter().map(|value| Value::Integer(integer(value))).collect();
        Ok(rows.iter().zip(versions).map(|(row, version)| StoredRow { row: owned(row), version }).collect())
    }

    async fn put_if(&self, _: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>> {
        let key = integer(&row[0]);
        let _turn = self.writer.lock().await;
        let version = {
            let mut content = lock(&self.content);
            let present = content.rows.get(&key).map(|&(_, version)| version);
            condition.holds(present).then(|| content.commit(key, Some(integer(&row[1]))))
        };
        yield_now().await;
        Ok(version.map(|version| StoredRow { row: row.iter().map(|value| Value::Integer(integer(value))).collect(), version }))
    }

    async fn delete_many(&self, _: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        let _turn = self.writer.lock().await;
        let deleted = {
            let mut content = lock(&self.content);
            let delete = |key: &Row<'_>| {
                let key = integer(&key[0]);
                content.rows.contains_key(&key).then(|| content.commit(key, None))
            };
            keys.iter().map(delete).collect()
        };
        yield_now().await;
        Ok(deleted)
    }

    async fn delete_where(&self, _: &BoundSchema, _: &Filter) -> Result<Vec<Touched>> {
        unreachable!("nobody deletes by condition")
    }

    async fn update_where(&self, _: &BoundSchema, _: &Row<'_>, _: &Filter) -> Result<Vec<Touched>> {
        unreachable!("nobody updates by condition")
    }

    fn select(self: Arc<Self>, _: Arc<BoundSchema>, _: Select) -> BoxStream<'static, Result<StoredRow>> {
        unreachable!("nobody searches")
    }

    fn reads_from_replica(&self) -> bool {
        false
    }

    fn replicas(&self) -> Vec<ReplicaHealth> {
        Vec::new()
    }

    async fn count(&self, _: &BoundSchema, _: Count) -> Result<u64> {
        unreachable!("nobody counts")
    }

    async fn begin(&self, _: &Begin) -> Result<Box<dyn Transaction>> {
        self.begin_plain().await
    }
}

fn position(cursor: &LogCursor) -> usize {
    cursor.as_str().parse().expect("a place in this log")
}

#[async_trait]
impl Log for PlainTables {
    async fn end(&self) -> Result<LogCursor> {
        let end = lock(&self.content).log.len();
        yield_now().await;
        Ok(LogCursor::new(end.to_string()))
    }

    async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
        let entries: Vec<LogEntry> = lock(&self.content).log.iter().skip(position(after)).cloned().collect();
        yield_now().await;
        let cursor = LogCursor::new((position(after) + entries.len()).to_string());
        Ok(LogBatch { entries, cursor, gap: false })
    }

    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
        position(place) >= position(earlier)
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
        let _turn = self.writer.lock().await;
        let mut content = lock(&self.content);
        let append = |entry: &LogEntry| {
            content.last += 1;
            let version = Version::new(content.last);
            content.log.push(LogEntry { version, ..entry.clone() });
            version
        };
        Ok(entries.iter().map(append).collect())
    }

    async fn prune(&self, _: Duration) -> Result<u64> {
        Ok(0)
    }

    async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
        Ok(vec![true; names.len()])
    }
}

/// A shelf that forgets nothing by itself.
#[derive(Debug, Default)]
pub(crate) struct PlainMemory(Mutex<HashMap<i64, Record<Counter>>>);

impl Shelf<Counter> for PlainMemory {
    fn get(&self, key: &i64) -> Option<Record<Counter>> {
        lock(&self.0).get(key).cloned()
    }

    fn peek_with(&self, key: &i64, visit: &mut dyn FnMut(&Record<Counter>)) -> bool {
        let found = self.get(key);
        found.iter().for_each(|record| visit(record));
        found.is_some()
    }

    fn version(&self, key: &i64) -> Option<Version> {
        self.get(key).map(|record| record.version())
    }

    fn install(&self, key: i64, record: Record<Counter>, _: Option<Duration>) {
        lock(&self.0).insert(key, record);
    }

    fn remove(&self, key: &i64) -> bool {
        lock(&self.0).remove(key).is_some()
    }

    fn clear(&self) {
        lock(&self.0).clear();
    }

    fn entries(&self) -> u64 {
        lock(&self.0).len() as u64
    }
}

/// Fails one call in four.
fn may_fail() -> Result<()> {
    if thread_rng().gen_range(0..4) > 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::L2Unavailable, "the explorer chose this failure"))
}

/// A shared tier with one shard and one schema. Readers and writers may find it away, the relayer does not.
#[derive(Debug, Default)]
pub(super) struct PlainRecords(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    slots: HashMap<String, SlotState>,
    mark: Option<Arc<Mark>>,
    last_lease: u128,
}

impl Slots {
    fn slot(&mut self, key: &str) -> &mut SlotState {
        self.slots.entry(key.to_owned()).or_default()
    }

    fn draw_lease(&mut self) -> FillLease {
        self.last_lease += 1;
        FillLease::new(self.last_lease)
    }
}

#[async_trait]
impl Records for PlainRecords {
    async fn fetch(&self, _: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        may_fail()?;
        let fetched = {
            let mut slots = lock(&self.0);
            let fetch = |key: &String| match lease {
                Some(_) => {
                    let lease = slots.draw_lease();
                    slots.slot(key).lease(lease)
                }
                None => slots.slot(key).read(),
            };
            keys.iter().map(fetch).collect()
        };
        yield_now().await;
        Ok(fetched)
    }

    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>> {
        let mark = lock(&self.0).mark.clone();
        let slots = self.fetch(schema, keys, lease).await?;
        Ok(slots.into_iter().map(|slot| Fetched { slot, mark: mark.clone() }).collect())
    }

    async fn take_over(&self, _: &BoundSchema, records: &[(String, EncodedRecord)], _: Duration) -> Result<Vec<Option<FillLease>>> {
        let mut slots = lock(&self.0);
        let take_over = |(key, record): &(String, EncodedRecord)| {
            let lease = slots.draw_lease();
            slots.slot(key).take_over(record, lease).then_some(lease)
        };
        Ok(records.iter().map(take_over).collect())
    }

    async fn fill(&self, _: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        may_fail()?;
        yield_now().await;
        let mut slots = lock(&self.0);
        Ok(fills.iter().map(|fill| slots.slot(&fill.key).fill(fill.lease, &fill.record)).collect())
    }

    async fn replace(&self, _: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        may_fail()?;
        yield_now().await;
        let replaced = {
            let mut slots = lock(&self.0);
            records.iter().map(|(key, record)| slots.slot(key).replace(record)).collect()
        };
        yield_now().await;
        Ok(replaced)
    }

    async fn remove(&self, _: &BoundSchema, keys: &[String]) -> Result<()> {
        may_fail()?;
        yield_now().await;
        keys.iter().for_each(|key| lock(&self.0).slot(key).remove());
        Ok(())
    }

    async fn clear(&self, _: &BoundSchema) -> Result<u64> {
        may_fail()?;
        lock(&self.0).slots.clear();
        Ok(0)
    }

    async fn tag_eras(&self, _: &BoundSchema, _: &str, _: &[String]) -> Result<Option<TagEras>> {
        Ok(None)
    }

    async fn invalidate_tags(&self, _: &BoundSchema, _: &[String]) -> Result<()> {
        unreachable!("it is no truth")
    }

    async fn put_over(&self, _: &BoundSchema, _: &[PutOver]) -> Result<Vec<Option<Version>>> {
        unreachable!("it is no truth")
    }

    async fn drop_loaded(&self, _: &BoundSchema, _: Option<&[String]>) -> Result<u64> {
        unreachable!("it is no truth")
    }

    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        let mark = lock(&self.0).mark.as_deref().cloned();
        yield_now().await;
        Ok(schemas.iter().map(|_| vec![mark.clone()]).collect())
    }

    async fn relay(&self, relay: &Relay) -> Result<()> {
        for removal in &relay.removals {
            let mut slots = lock(&self.0);
            match (&removal.key, removal.below) {
                (None, _) => slots.slots.clear(),
                (Some(key), None) => slots.slot(key).remove(),
                (Some(key), Some(below)) => slots.slot(key).remove_older(below),
            }
        }
        let mut slots = lock(&self.0);
        for (_, mark) in &relay.marks {
            slots.mark = Some(Arc::new(mark.clone()));
        }
        Ok(())
    }

    async fn put(&self, _: &BoundSchema, _: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        unreachable!("it is no truth")
    }

    async fn delete(&self, _: &BoundSchema, _: &[String]) -> Result<Vec<Option<Version>>> {
        unreachable!("it is no truth")
    }
}
