//! Random sequences of calls, held against a table in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::TryStreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store_core::facet::{Condition, Count, ReadPreference, Select, Touched};
use store_core::{BoundSchema, Comparison, Direction, ErrorKind, Filter, Order, Row, StoredRow, Value, Version};
use tokio::runtime::Handle;

use super::reference;
use super::schemas::{key_of, moment, player};
use crate::suites::truth::{Truth, TruthDatabase, open_with};

#[derive(Debug, Clone)]
enum Call {
    Put(Vec<Row<'static>>),
    /// With the present version, or another, where the condition names one.
    PutIf(Row<'static>, Expects),
    Delete(Vec<i64>),
    DeleteWhere(Filter),
    /// Sets the level.
    UpdateWhere(i64, Filter),
    Get(Vec<i64>),
    Exists(Vec<i64>),
    Select(Select),
    Count(Option<Filter>),
}

#[derive(Debug, Clone, Copy)]
enum Expects {
    Absent,
    Present,
    PresentVersion,
    OtherVersion,
}

impl Expects {
    fn condition(self, present: Option<Version>) -> Condition {
        let version = present.unwrap_or(Version::new(1));
        match self {
            Expects::Absent => Condition::Absent,
            Expects::Present => Condition::Present,
            Expects::PresentVersion => Condition::Version(version),
            Expects::OtherVersion => Condition::Version(Version::new(version.get() + 1)),
        }
    }
}

/// Few keys, so that calls meet.
fn ids() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::btree_set(1_i64..8, 0..5).prop_map(|ids| ids.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn optional(column: impl Strategy<Value = Value<'static>>) -> impl Strategy<Value = Value<'static>> {
    prop_oneof![4 => column, 1 => Just(Value::Null), 1 => Just(Value::Unset)]
}

fn level() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![(-2_i64..3).prop_map(Value::from), Just(Value::Integer(i64::MAX))]
}

fn region() -> impl Strategy<Value = Value<'static>> {
    "[a-c]{0,3}".prop_map(Value::from)
}

fn rating() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![Just(0.0), Just(-1.5), Just(2.25), Just(f64::INFINITY)].prop_map(Value::from)
}

fn content() -> impl Strategy<Value = Row<'static>> {
    let level = prop_oneof![4 => level(), 1 => Just(Value::Unset)];
    // Some rows break the rules: NULL or nothing where a value is required, and a user name that another may have.
    let secret = prop_oneof![10 => Just(Value::from("x")), 2 => Just(Value::Unset), 1 => Just(Value::Null)];
    let name = prop_oneof![10 => Just(None), 1 => Just(Some(Value::from("taken")))];
    (level, optional(region()), optional(rating()), secret, name, 0_i64..1_000).prop_map(|(level, region, rating, secret, name, time)| {
        vec![0.into(), name.unwrap_or(Value::Unset), level, region, rating, secret, moment(time), moment(time)]
    })
}

fn rows() -> impl Strategy<Value = Vec<Row<'static>>> {
    ids().prop_flat_map(|ids| {
        let count = ids.len();
        (Just(ids), proptest::collection::vec(content(), count)).prop_map(|(ids, mut rows)| {
            for (id, row) in ids.into_iter().zip(&mut rows) {
                row[0] = id.into();
                if row[1] == Value::Unset {
                    row[1] = format!("user{id}").into();
                }
            }
            rows
        })
    })
}

fn put_if() -> impl Strategy<Value = Call> {
    use Expects::{Absent, OtherVersion, Present, PresentVersion};
    let expects = prop::sample::select(vec![Absent, Present, PresentVersion, OtherVersion]);
    (1_i64..8, content(), expects).prop_map(|(id, mut row, expects)| {
        row[0] = id.into();
        if row[1] == Value::Unset {
            row[1] = format!("user{id}").into();
        }
        Call::PutIf(row, expects)
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Like, NotEqual};
    let comparison = || prop::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
    let compare = |column: &'static str, value: BoxedStrategy<Value<'static>>| {
        (comparison(), value).prop_map(move |(comparison, value)| Filter::Compare { column: column.into(), comparison, value })
    };
    let leaf = prop_oneof![
        compare("id", (0_i64..9).prop_map(Value::from).boxed()),
        compare("level", level().boxed()),
        compare("region", region().boxed()),
        compare("rating", rating().boxed()),
        "[a-cA*?%_]{0,3}".prop_map(|pattern| Filter::Compare { column: "region".into(), comparison: Like, value: pattern.into() }),
        prop::sample::select(vec!["region", "rating", "level"]).prop_map(|column| Filter::IsNull { column: column.into() }),
        proptest::collection::vec(prop_oneof![5 => region(), 1 => Just(Value::Null)], 0..4)
            .prop_map(|values| Filter::OneOf { column: "region".into(), values }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|inner| !inner),
        ]
    })
}

fn select() -> impl Strategy<Value = Select> {
    let direction = || prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    let order = (prop::sample::subsequence(vec!["level", "region", "rating"], 0..=3).prop_shuffle(), direction(), direction()).prop_map(
        |(columns, first, rest)| {
            let directions = std::iter::once(first).chain(std::iter::repeat(rest));
            let criteria = columns.into_iter().chain(["id"]).zip(directions);
            criteria.map(|(column, direction)| Order { column: column.into(), direction, similar_to: None }).collect()
        },
    );
    let columns = proptest::option::of(prop::sample::subsequence((0..8).collect::<Vec<_>>(), 0..8).prop_shuffle());
    (columns, proptest::option::of(filter()), order, proptest::option::of(0_u64..6), 0_u64..3).prop_map(
        |(columns, filter, order, limit, offset)| Select { columns, filter, order, limit, offset, preference: ReadPreference::Primary },
    )
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => rows().prop_map(Call::Put),
        3 => put_if(),
        2 => ids().prop_map(Call::Delete),
        1 => filter().prop_map(Call::DeleteWhere),
        2 => (-2_i64..3, filter()).prop_map(|(level, filter)| Call::UpdateWhere(level, filter)),
        2 => ids().prop_map(Call::Get),
        1 => ids().prop_map(Call::Exists),
        3 => select().prop_map(Call::Select),
        1 => proptest::option::of(filter()).prop_map(Call::Count),
    ]
}

/// A table in memory: rows by id, and the highest version that each id has had.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, StoredRow>,
    versions: BTreeMap<i64, Version>,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted,
    Refused,
    Either,
}

fn id_of(row: &Row<'_>) -> i64 {
    if let Value::Integer(id) = row[0] { id } else { panic!("the key came back as {}", row[0].kind()) }
}

fn ids_of(touched: &[Touched]) -> BTreeSet<i64> {
    touched.iter().map(|touched| id_of(&touched.key)).collect()
}

impl Model {
    /// The ids of the rows that a condition holds for.
    fn matching(&self, schema: &BoundSchema, filter: &Filter) -> BTreeSet<i64> {
        let rows: Vec<_> = self.rows.values().map(|stored| stored.row.clone()).collect();
        reference::matching(schema, &rows, Some(filter)).iter().map(id_of).collect()
    }

    /// What the table holds after a batch, if the batch is accepted, and whether it is.
    fn after_put(&self, batch: &[Row<'static>]) -> (BTreeMap<i64, Row<'static>>, Verdict) {
        let mut rows: BTreeMap<i64, Row<'static>> = self.rows.iter().map(|(&id, stored)| (id, stored.row.clone())).collect();
        for new in batch {
            let mut row = new.clone();
            match rows.get(&id_of(new)) {
                Some(old) => {
                    row[6] = old[6].clone();
                    for (value, old) in row.iter_mut().zip(old) {
                        if *value == Value::Unset {
                            *value = old.clone();
                        }
                    }
                }
                None => {
                    for (value, default) in row.iter_mut().skip(2).zip([1.into(), Value::Null, Value::Null]) {
                        if *value == Value::Unset {
                            *value = default;
                        }
                    }
                }
            }
            rows.insert(id_of(&row), row);
        }
        let lacks = rows.values().any(|row| matches!(row[5], Value::Unset | Value::Null));
        let collide = rows.iter().any(|(id, row)| rows.range(id + 1..).any(|(_, other)| other[1] == row[1]));
        // A name that moves from one row of the batch to another collides or not by the order in which the rows are written.
        let moves = batch.iter().any(|new| self.rows.iter().any(|(&id, old)| id != id_of(new) && old.row[1] == new[1]));
        let verdict = match (lacks || collide, moves) {
            (true, _) => Verdict::Refused,
            (false, true) => Verdict::Either,
            (false, false) => Verdict::Accepted,
        };
        (rows, verdict)
    }

    fn note_version(&mut self, id: i64, version: Version) {
        let before = self.versions.insert(id, version);
        assert!(before.is_none_or(|before| before < version), "the version of {id} went from {before:?} to {version}");
    }
}

async fn run(truth: &Truth, schema: &Arc<BoundSchema>, model: &mut Model, call: Call) {
    let keys = |ids: &[i64]| ids.iter().map(|&id| vec![Value::from(id)]).collect::<Vec<_>>();
    match call {
        Call::Put(batch) => {
            let result = truth.tables.put_many(schema, &batch).await;
            let (rows, verdict) = model.after_put(&batch);
            match result {
                Ok(stored) => {
                    assert_ne!(verdict, Verdict::Refused, "{stored:?}");
                    assert_eq!(stored.len(), batch.len());
                    for (stored, new) in stored.into_iter().zip(&batch) {
                        assert_eq!(key_of(schema, &stored.row), key_of(schema, new));
                        assert_eq!(stored.row, rows[&id_of(new)]);
                        model.note_version(id_of(new), stored.version);
                        model.rows.insert(id_of(new), stored);
                    }
                }
                Err(error) => {
                    assert_ne!(verdict, Verdict::Accepted, "{error:?}");
                    assert!(matches!(error.kind(), ErrorKind::UniqueViolation | ErrorKind::ConstraintViolation), "{error:?}");
                }
            }
        }
        Call::PutIf(row, expects) => {
            let id = id_of(&row);
            let present = model.rows.get(&id).map(|stored| stored.version);
            let condition = expects.condition(present);
            let result = truth.tables.put_if(schema, &row, condition).await;
            let (rows, verdict) = model.after_put(std::slice::from_ref(&row));
            match result {
                Ok(None) => assert!(!condition.holds(present)),
                Ok(Some(stored)) => {
                    assert!(condition.holds(present) && verdict != Verdict::Refused, "{stored:?}");
                    assert_eq!(stored.row, rows[&id]);
                    model.note_version(id, stored.version);
                    model.rows.insert(id, stored);
                }
                Err(error) => {
                    // What no insert would take may be refused before it is known that there is nothing to insert.
                    let is_no_insert = condition == Condition::Absent && row[5] == Value::Unset;
                    assert!(is_no_insert || verdict != Verdict::Accepted, "{error:?}");
                    assert!(matches!(error.kind(), ErrorKind::UniqueViolation | ErrorKind::ConstraintViolation), "{error:?}");
                }
            }
        }
        Call::Delete(ids) => {
            let versions = truth.tables.delete_many(schema, &keys(&ids)).await.unwrap();
            for (id, version) in ids.into_iter().zip(versions) {
                assert_eq!(model.rows.remove(&id).is_some(), version.is_some());
                if let Some(version) = version {
                    model.note_version(id, version);
                }
            }
        }
        Call::DeleteWhere(filter) => {
            let touched = truth.tables.delete_where(schema, &filter).await.unwrap();
            assert_eq!(ids_of(&touched), model.matching(schema, &filter));
            for touched in touched {
                let id = id_of(&touched.key);
                assert!(model.rows.remove(&id).is_some());
                model.note_version(id, touched.version);
            }
        }
        Call::UpdateWhere(level, filter) => {
            let mut changes = vec![Value::Unset; 8];
            changes[2] = level.into();
            let touched = truth.tables.update_where(schema, &changes, &filter).await.unwrap();
            assert_eq!(ids_of(&touched), model.matching(schema, &filter));
            for touched in touched {
                let id = id_of(&touched.key);
                model.note_version(id, touched.version);
                let stored = model.rows.get_mut(&id).unwrap();
                (stored.row[2], stored.version) = (level.into(), touched.version);
            }
        }
        Call::Get(ids) => {
            let held = truth.tables.get_many(schema, &keys(&ids)).await.unwrap();
            assert_eq!(held, ids.iter().map(|id| model.rows.get(id).cloned()).collect::<Vec<_>>());
        }
        Call::Exists(ids) => {
            let held = truth.tables.exists_many(schema, &keys(&ids)).await.unwrap();
            assert_eq!(held, ids.iter().map(|id| model.rows.contains_key(id)).collect::<Vec<_>>());
        }
        Call::Select(select) => {
            let rows: Vec<_> = model.rows.values().map(|stored| stored.row.clone()).collect();
            let expected = reference::select(schema, &rows, &select);
            let found: Vec<StoredRow> = Arc::clone(&truth.tables).select(Arc::clone(schema), select).try_collect().await.unwrap();
            assert_eq!(found.into_iter().map(|stored| stored.row).collect::<Vec<_>>(), expected);
        }
        Call::Count(filter) => {
            let rows: Vec<_> = model.rows.values().map(|stored| stored.row.clone()).collect();
            let expected = reference::matching(schema, &rows, filter.as_ref()).len() as u64;
            assert_eq!(truth.tables.count(schema, Count { filter, preference: ReadPreference::Primary }).await.unwrap(), expected);
        }
    }
}

/// Random sequences of calls answer as a table in memory does.
pub async fn random_calls_answer_as_a_table_in_memory(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&proptest::collection::vec(call(), 1..40), |calls| {
            Handle::current().block_on(async {
                let keys: Vec<_> = (0..10).map(|id| vec![Value::from(id)]).collect();
                truth.tables.delete_many(&schema, &keys).await.unwrap();
                let mut model = Model::default();
                for call in calls {
                    run(&truth, &schema, &mut model, call).await;
                }
            });
            Ok(())
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
