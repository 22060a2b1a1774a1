//! Queries and counts.

use std::sync::Arc;

use futures_util::TryStreamExt;
use store_core::facet::{Count, ReadPreference, Select, Tables};
use store_core::{BoundSchema, Comparison, Direction, Error, ErrorKind, Filter, Order, Row, StoredRow, Value};

use super::reference;
use super::schemas::{at, moment, player, player_row, with};
use crate::suites::truth::{Truth, TruthDatabase, assert_refused, open_with};

/// The rows that a query answers.
pub(super) async fn rows(tables: &Arc<dyn Tables>, schema: &Arc<BoundSchema>, select: Select) -> Result<Vec<StoredRow>, Error> {
    Arc::clone(tables).select(Arc::clone(schema), select).try_collect().await
}

/// Forty players with every mixture of NULLs and of equal values.
fn population() -> Vec<Row<'static>> {
    let schema = player();
    let regions = [Some("north"), Some("south"), None, Some("50%_off"), Some("a\\b")];
    let ratings = [Some(0.5), None, Some(-2.0), Some(f64::INFINITY)];
    (1_i64..=40)
        .map(|id| {
            let row = with(&schema, player_row(id), "region", regions[id as usize % regions.len()].into());
            with(&schema, row, "rating", ratings[id as usize % ratings.len()].into())
        })
        .collect()
}

async fn populated(database: &impl TruthDatabase) -> (Truth, Arc<BoundSchema>) {
    let schema = player();
    let truth = open_with(database, &[&schema]).await;
    truth.tables.put_many(&schema, &population()).await.unwrap();
    (truth, schema)
}

fn compare(column: &'static str, comparison: Comparison, value: impl Into<Value<'static>>) -> Filter {
    Filter::Compare { column: column.into(), comparison, value: value.into() }
}

fn by(column: &'static str, direction: Direction) -> Order {
    Order { column: column.into(), direction, similar_to: None }
}

fn by_id() -> Vec<Order> {
    vec![by("id", Direction::Ascending)]
}

fn raw(sql: &str, params: Vec<Value<'static>>) -> Filter {
    Filter::Raw { sql: sql.into(), params }
}

/// Every kind of condition, alone and combined, finds the rows for which it is true, and a count counts them.
pub async fn conditions_find_their_rows(database: impl TruthDatabase) {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Like, NotEqual};
    let (truth, schema) = populated(&database).await;
    let one_of = |column: &'static str, values: Vec<Value<'static>>| Filter::OneOf { column: column.into(), values };
    let is_null = |column: &'static str| Filter::IsNull { column: column.into() };
    let mut conditions = vec![
        compare("region", Equal, "north"),
        compare("region", NotEqual, "north"),
        compare("region", Equal, Value::Null),
        compare("rating", GreaterOrEqual, 0.5),
        compare("rating", Equal, f64::INFINITY),
        compare("rating", Less, f64::NEG_INFINITY),
        compare("username", Equal, "user7"),
        compare("created_at", Greater, moment(1_030)),
        one_of("id", vec![3.into(), 99.into(), 7.into(), 3.into()]),
        one_of("region", vec![Value::from("south"), Value::Null]),
        one_of("region", vec![]),
        is_null("region"),
        !is_null("rating"),
        !one_of("region", vec![]),
        !one_of("region", vec![Value::from("south")]),
        !compare("rating", Greater, 0.0),
        Filter::All(vec![]),
        Filter::Any(vec![]),
        !Filter::All(vec![]),
        compare("level", Equal, 3).and(compare("rating", Equal, 0.5)),
        compare("level", Equal, 3).or(compare("region", Equal, "south")).and(is_null("rating")),
        Filter::Any(vec![compare("level", Equal, 1).and(is_null("region")), !compare("level", Less, 8).or(is_null("rating"))]),
        compare("id", GreaterOrEqual, 5).and(compare("id", LessOrEqual, 15)),
        Filter::Any((1..300).map(|id| compare("id", Equal, id * 2)).collect()),
        compare("region", Equal, "south").or(compare("region", Equal, Value::Null)),
        !compare("region", Equal, "south").or(compare("region", Equal, "north")),
        !compare("region", Equal, "south").or(compare("region", Equal, Value::Null)),
        !one_of("region", vec![]).or(compare("region", Equal, "north")),
        one_of("id", (1..2_000).map(|id| Value::from(id * 3)).collect()),
        compare("id", Greater, i64::MIN),
        compare("id", Greater, i64::MAX),
    ];
    for comparison in [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] {
        conditions.push(compare("level", comparison, 4));
        conditions.push(compare("updated_at", comparison, moment(2_020)));
    }
    for pattern in ["north", "n%", "%th", "_outh", "50\\%\\_off", "50%", "%\\%%", "%\\_%", "a\\\\b", "%\\\\%", "%\\\\", "", "%", "_"] {
        conditions.push(compare("region", Like, pattern));
    }
    for pattern in ["North", "N%", "%TH", "n*", "*", "no?th", "[a-z]orth", "n[o]rth"] {
        conditions.push(compare("region", Like, pattern));
    }
    conditions.push(!compare("region", Like, "%o%"));

    for filter in conditions {
        let select = Select { filter: Some(filter.clone()), order: by_id(), preference: ReadPreference::Primary, ..Select::default() };
        let expected = reference::select(&schema, &population(), &select);
        let found: Vec<_> = rows(&truth.tables, &schema, select).await.unwrap().into_iter().map(|stored| stored.row).collect();
        assert_eq!(found, expected, "{filter:?}");
        let count = Count { filter: Some(filter.clone()), preference: ReadPreference::Primary };
        assert_eq!(truth.tables.count(&schema, count).await.unwrap(), expected.len() as u64, "{filter:?}");
    }
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 40);

    let signs = with(&schema, player_row(41), "region", Value::from("A*[b]?É"));
    truth.tables.put_many(&schema, &[signs]).await.unwrap();
    for (pattern, expected) in
        [("A*[b]?É", 1), ("a*[b]?É", 0), ("A*[b]?_", 1), ("A*[B]?%", 0), ("\\A\\*%", 1), ("A%", 1), ("%[_]%", 1), ("%*%", 1)]
    {
        let count = Count { filter: Some(compare("region", Like, pattern)), preference: ReadPreference::Primary };
        assert_eq!(truth.tables.count(&schema, count).await.unwrap(), expected, "{pattern}");
    }
}

/// Lists of conditions of any length find their rows, side by side and within each other, and one with too many values is refused.
pub async fn lists_of_conditions_may_be_long(database: impl TruthDatabase) {
    use Comparison::{Equal, LessOrEqual, NotEqual};
    let (truth, schema) = populated(&database).await;
    let id = |comparison, ids: std::ops::Range<i64>| ids.map(|id| compare("id", comparison, id)).collect::<Vec<_>>();
    let nulls = |column: &'static str, count| vec![Filter::IsNull { column: column.into() }; count];
    let chained =
        (100..10_000).fold(compare("id", Equal, 7), |list, id| list.or(compare("level", Equal, id).and(compare("id", Equal, id))));
    let deep = (0..150).fold(compare("id", LessOrEqual, 7), |inner, level| {
        if level % 2 == 0 {
            Filter::Any(vec![inner, compare("id", Equal, 9)])
        } else {
            Filter::All(vec![inner, compare("id", LessOrEqual, 8)])
        }
    });
    let cases = [
        (Filter::Any(id(Equal, 10..30_000)), 31),
        (Filter::All(id(NotEqual, 10..5_000)), 9),
        (!Filter::Any(id(Equal, 10..5_000)), 9),
        (chained, 1),
        (Filter::Any(nulls("id", 50_000)), 0),
        (!Filter::All(nulls("id", 50_000)), 40),
        (Filter::All((0..100).map(|start| Filter::Any(id(NotEqual, start..start + 100))).collect()), 40),
        (deep, 7),
    ];
    for (number, (filter, expected)) in cases.into_iter().enumerate() {
        let count = Count { filter: Some(filter), preference: ReadPreference::Primary };
        let counted = truth.tables.count(&schema, count).await.unwrap_or_else(|error| panic!("case {number}: {error:?}"));
        assert_eq!(counted, expected, "case {number}");
    }
    let many = || (0..70_000).map(Value::from).collect::<Vec<_>>();
    for filter in [
        Filter::Any(id(Equal, 0..70_000)),
        Filter::OneOf { column: "id".into(), values: many() },
        raw(&(1..=70_000).map(|number| format!("id = ${number}")).collect::<Vec<_>>().join(" OR "), many()),
    ] {
        let count = Count { filter: Some(filter), preference: ReadPreference::Primary };
        let error = assert_refused(truth.tables.count(&schema, count).await, ErrorKind::InvalidQuery, &schema, None);
        assert!(error.to_string().contains("split it"), "{error}");
    }
    // What a condition in SQL holds is the database's to judge: it answers, or its refusal says what to do.
    for levels in [1_500, 20_000] {
        let by_hand = raw(&format!("NOT {}id = 1{}", "(id = 0 OR ".repeat(levels), ")".repeat(levels)), vec![]);
        let count = Count { filter: Some(by_hand), preference: ReadPreference::Primary };
        if let Err(error) = truth.tables.count(&schema, count).await {
            assert_eq!((error.kind(), error.schema()), (ErrorKind::InvalidQuery, Some("player")), "{error:?}");
            assert!(error.to_string().contains("nest it less deeply"), "{error}");
        }
    }
}

/// NULL comes last in ascending order and first in descending order; later criteria break ties.
pub async fn rows_come_in_order(database: impl TruthDatabase) {
    use Direction::{Ascending, Descending};
    let (truth, schema) = populated(&database).await;
    for order in [
        by_id(),
        vec![by("id", Descending)],
        vec![by("rating", Ascending), by("id", Ascending)],
        vec![by("rating", Descending), by("id", Descending)],
        vec![by("rating", Ascending), by("level", Descending), by("id", Ascending)],
        vec![by("level", Descending), by("rating", Descending), by("id", Ascending)],
        vec![by("created_at", Descending)],
    ] {
        let select = Select { order: order.clone(), ..Select::default() };
        let expected = reference::select(&schema, &population(), &select);
        let found: Vec<_> = rows(&truth.tables, &schema, select).await.unwrap().into_iter().map(|stored| stored.row).collect();
        assert_eq!(found, expected, "{order:?}");
    }
}

/// Limit and offset cut a page out of the order, at the ends too.
pub async fn limit_and_offset_cut_a_page(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    for limit in [None, Some(0), Some(1), Some(7), Some(40), Some(u64::MAX)] {
        for offset in [0, 1, 35, 40, 41, u64::MAX] {
            let select = Select { order: by_id(), limit, offset, ..Select::default() };
            let expected: Vec<i64> = (1..=40).skip(offset.min(50) as usize).take(limit.unwrap_or(50).min(50) as usize).collect();
            let found = rows(&truth.tables, &schema, select).await.unwrap();
            assert!(
                found.iter().map(|stored| &stored.row[0]).eq(&expected.into_iter().map(Value::from).collect::<Vec<_>>()),
                "{limit:?} {offset}"
            );
        }
    }
}

/// Columns that were not asked for come back unset; the version comes always.
pub async fn columns_not_asked_for_are_unset(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let all = rows(&truth.tables, &schema, Select { order: by_id(), ..Select::default() }).await.unwrap();
    for columns in [vec![1], vec![6, 0], vec![0, 1, 2, 3, 4, 5, 6, 7], vec![]] {
        let select = Select { columns: Some(columns), order: by_id(), limit: Some(3), ..Select::default() };
        let expected = reference::select(&schema, &population(), &select);
        let found = rows(&truth.tables, &schema, select.clone()).await.unwrap();
        assert!(found.iter().map(|stored| &stored.row).eq(&expected), "{select:?}");
        assert!(found.iter().map(|stored| stored.version).eq(all.iter().take(3).map(|stored| stored.version)));
    }
}

/// A query answers what reads by key answer, versions included, as soon as a write returned.
pub async fn queries_see_every_write_that_returned(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let only_first =
        || Select { filter: Some(compare("id", Comparison::Equal, 1)), preference: ReadPreference::Primary, ..Select::default() };
    for level in 50..60 {
        let stored = truth.tables.put_many(&schema, &[with(&schema, player_row(1), "level", level.into())]).await.unwrap();
        assert_eq!(rows(&truth.tables, &schema, only_first()).await.unwrap(), stored);
        assert_eq!(truth.tables.get_many(&schema, &[vec![1.into()]]).await.unwrap(), [Some(stored[0].clone())]);
    }
    truth.tables.delete_many(&schema, &[vec![1.into()]]).await.unwrap();
    assert!(rows(&truth.tables, &schema, only_first()).await.unwrap().is_empty());
}

/// Conditions in SQL, with values by number, beside others of their kind and typed ones.
pub async fn raw_conditions_take_values_by_number(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let level = |row: &Row<'static>| if let Value::Integer(level) = row[at(&player(), "level")] { level } else { 0 };
    type Case = (Filter, fn(i64, i64) -> bool);
    let cases: [Case; 6] = [
        (raw("level > $1 AND id <= $2", vec![5.into(), 20.into()]), |id, level| level > 5 && id <= 20),
        (raw("id <= $2 AND level > $1 AND level > $1", vec![5.into(), 20.into()]), |id, level| level > 5 && id <= 20),
        (raw("level > $1", vec![2.into()]).and(raw("level < $1 OR id = $2", vec![5.into(), 9.into()])), |id, level| {
            level > 2 && (level < 5 || id == 9)
        }),
        (
            compare("level", Comparison::Greater, 2).and(raw("id < $1", vec![30.into()])).and(compare("id", Comparison::Greater, 4)),
            |id, level| level > 2 && id < 30 && id > 4,
        ),
        (raw("level = 1 OR level = 2", vec![]).and(compare("id", Comparison::Less, 15)), |id, level| (level == 1 || level == 2) && id < 15),
        (!raw("username = '$1' OR id > $1", vec![3.into()]), |id, _| id <= 3),
    ];
    for (filter, expected) in cases {
        let select = Select { filter: Some(filter.clone()), order: by_id(), ..Select::default() };
        let found: Vec<_> = rows(&truth.tables, &schema, select).await.unwrap().into_iter().map(|stored| stored.row[0].clone()).collect();
        let expected: Vec<_> =
            population().iter().zip(1_i64..).filter(|(row, id)| expected(*id, level(row))).map(|(_, id)| Value::Integer(id)).collect();
        assert_eq!(found, expected, "{filter:?}");
        let count = Count { filter: Some(filter), preference: ReadPreference::Replica };
        assert_eq!(truth.tables.count(&schema, count).await.unwrap(), expected.len() as u64);
    }
}

/// Values of every type can stand in a raw condition.
pub async fn raw_conditions_take_values_of_every_type(database: impl TruthDatabase) {
    let schema = super::schemas::specimen();
    let truth = open_with(&database, &[&schema]).await;
    let row = super::types::plain_row(1);
    truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap();
    for column in ["bool", "small", "integer", "big", "double", "text", "bytes", "time", "uuid"] {
        let filter = raw(&format!("\"{column}\" = $1"), vec![row[at(&schema, column)].clone()]);
        assert_eq!(rows(&truth.tables, &schema, Select { filter: Some(filter), ..Select::default() }).await.unwrap().len(), 1, "{column}");
    }
}

/// A query that is wrong is refused by a kind, from the stream and from a count alike.
pub async fn wrong_queries_are_refused(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let wrong = [
        (compare("no_such", Comparison::Equal, 1), ErrorKind::InvalidQuery),
        (Filter::IsNull { column: "_version".into() }, ErrorKind::InvalidQuery),
        (compare("rating", Comparison::Equal, f64::NAN), ErrorKind::InvalidQuery),
        (compare("region", Comparison::Like, "a\\"), ErrorKind::InvalidQuery),
        (compare("region", Comparison::Like, "nor\0%"), ErrorKind::InvalidQuery),
        (compare("region", Comparison::Like, "no such region\\\\\\"), ErrorKind::InvalidQuery),
        (Filter::Invalid { column: "level".into(), reason: "it cannot be compared".into() }, ErrorKind::InvalidQuery),
        (raw("level >", vec![]), ErrorKind::InvalidQuery),
        (raw("level ! 1", vec![]), ErrorKind::InvalidQuery),
        (raw("level = $2", vec![1.into()]), ErrorKind::InvalidQuery),
        (raw("level = 1", vec![1.into()]), ErrorKind::InvalidQuery),
        (raw("level = 1; DROP TABLE player", vec![]), ErrorKind::InvalidQuery),
        (raw("level = 1) OR (1 = 1", vec![]), ErrorKind::InvalidQuery),
        (raw("region = 'nor\0th'", vec![]), ErrorKind::InvalidQuery),
        (raw("no_such = 1", vec![]), ErrorKind::InvalidQuery),
        (raw("\"no_such\" = 'x'", vec![]), ErrorKind::InvalidQuery),
        (raw("player.no_such = 1", vec![]), ErrorKind::InvalidQuery),
        (raw("no_such.level = 1", vec![]), ErrorKind::InvalidQuery),
        (raw("level IN (SELECT level FROM no_such_table)", vec![]), ErrorKind::InvalidQuery),
    ];
    for (filter, kind) in wrong {
        let select = Select { filter: Some(filter.clone()), ..Select::default() };
        assert_refused(rows(&truth.tables, &schema, select).await, kind, &schema, None);
        let count = Count { filter: Some(filter), preference: ReadPreference::Replica };
        assert_refused(truth.tables.count(&schema, count).await, kind, &schema, None);
    }
    let order = Select { order: vec![by("no_such", Direction::Ascending)], ..Select::default() };
    assert_refused(rows(&truth.tables, &schema, order).await, ErrorKind::InvalidQuery, &schema, None);
    let beyond = Select { columns: Some(vec![0, 8]), ..Select::default() };
    assert_refused(rows(&truth.tables, &schema, beyond).await, ErrorKind::InvalidQuery, &schema, None);
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 40);
}
