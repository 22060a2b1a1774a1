//! What each type of column holds.

use std::sync::Arc;

use futures_util::TryStreamExt;
use store_core::facet::{Count, ReadPreference, Select};
use store_core::{BoundSchema, Comparison, ErrorKind, Filter, Row, Timestamp, Value};

use super::schemas::{at, moment, specimen, with};
use crate::suites::truth::{Truth, TruthDatabase, assert_refused, open_with};

/// A row of `specimen` with nothing special in it.
pub(super) fn plain_row(id: i64) -> Row<'static> {
    let mut row = vec![
        id.into(),
        false.into(),
        1.into(),
        2.into(),
        3.into(),
        Value::from(4.5),
        Value::from("five"),
        Value::from(vec![6]),
        moment(7),
        Value::Uuid(uuid(8)),
        Value::Json("9".into()),
    ];
    row.resize(21, Value::Null);
    row
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

/// Stores a value in a required and in a nullable column, and gives what came back of each write and read: always the same.
async fn round_trip(truth: &Truth, schema: &BoundSchema, column: &'static str, value: &Value<'static>) -> Value<'static> {
    let maybe: String = format!("maybe_{column}");
    let row = with(schema, with(schema, plain_row(1), column, value.clone()), &maybe, value.clone());
    let stored = truth.tables.put_many(schema, &[row]).await.unwrap().remove(0);
    let held = truth.tables.get_many(schema, &[vec![1.into()]]).await.unwrap().remove(0).unwrap();
    assert_eq!(held, stored, "{column} {value:?}");
    assert_eq!(held.row[at(schema, column)], held.row[at(schema, &maybe)], "{column} {value:?}");
    held.row[at(schema, column)].clone()
}

async fn holds(database: &impl TruthDatabase, column: &'static str, values: Vec<Value<'static>>) {
    let schema = specimen();
    let truth = open_with(database, &[&schema]).await;
    for value in values {
        assert_eq!(round_trip(&truth, &schema, column, &value).await, value, "{column}");
        let equal = Filter::Compare { column: column.into(), comparison: Comparison::Equal, value: value.clone() };
        assert_eq!(
            truth.tables.count(&schema, Count { filter: Some(equal), preference: ReadPreference::Primary }).await.unwrap(),
            1,
            "a query finds {value:?} in {column}"
        );
    }
}

/// Truth values.
pub async fn booleans_are_held(database: impl TruthDatabase) {
    holds(&database, "bool", vec![true.into(), false.into()]).await;
}

/// Whole numbers to the ends of their width.
pub async fn integers_are_held_to_their_ends(database: impl TruthDatabase) {
    holds(&database, "small", vec![0.into(), u8::MAX.into(), i8::MIN.into(), i16::MIN.into(), i16::MAX.into()]).await;
    holds(&database, "integer", vec![0.into(), u16::MAX.into(), i32::MIN.into(), i32::MAX.into()]).await;
    let beyond_doubles = (1_i64 << 53) + 1;
    holds(&database, "big", vec![0.into(), (-1).into(), u32::MAX.into(), beyond_doubles.into(), i64::MIN.into(), i64::MAX.into()]).await;
}

/// Floating-point numbers to the last bit, the infinities included.
pub async fn doubles_are_held_to_the_last_bit(database: impl TruthDatabase) {
    let values = [
        0.0,
        0.1,
        -1.0,
        1.0 / 3.0,
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::EPSILON,
        9_007_199_254_740_993.0,
        1e300,
        f64::from(f32::MAX),
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    holds(&database, "double", values.into_iter().map(Value::from).collect()).await;
}

/// Minus zero comes back as a zero; which of the two is the database's choice, since they are equal.
pub async fn minus_zero_stays_a_zero(database: impl TruthDatabase) {
    holds(&database, "double", vec![Value::from(-0.0)]).await;
}

/// What is not a number is held or refused, never turned into something else.
pub async fn nan_is_held_or_refused(database: impl TruthDatabase) {
    let schema = specimen();
    let truth = open_with(&database, &[&schema]).await;
    for column in ["double", "maybe_double"] {
        match truth.tables.put_many(&schema, &[with(&schema, plain_row(1), column, Value::from(f64::NAN))]).await {
            Ok(stored) => assert!(matches!(stored[0].row[at(&schema, column)], Value::Double(number) if number.is_nan())),
            refused => {
                assert_refused(refused, ErrorKind::InvalidValue, &schema, Some(column));
                assert_eq!(truth.tables.exists_many(&schema, &[vec![1.into()]]).await.unwrap(), [false]);
            }
        }
    }
}

/// Text of every script and length; nothing is trimmed, folded or normalised.
pub async fn text_is_held_as_it_is(database: impl TruthDatabase) {
    let texts = [
        "",
        " ",
        "trailing ",
        "it's \"quoted\" `so` \\ too; -- no comment",
        "%_$1?1:name@x",
        "line\nbreak\r\n\ttab\u{1}\u{7f}",
        "Ünï¢ødé 漢字 🦀 \u{10FFFF} \u{FEFF}",
        // One letter, composed and decomposed.
        "\u{e9}",
        "e\u{301}",
        "NULL",
        "12",
    ];
    holds(&database, "text", texts.into_iter().map(Value::from).collect()).await;
}

/// Text and bytes of several megabytes.
pub async fn large_values_are_held(database: impl TruthDatabase) {
    let schema = specimen();
    let truth = open_with(&database, &[&schema]).await;
    let text = Value::from("0123456789é".repeat(300_000));
    assert!(round_trip(&truth, &schema, "text", &text).await == text);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let bytes = Value::from(bytes);
    assert!(round_trip(&truth, &schema, "bytes", &bytes).await == bytes);
}

/// A NUL within text is refused, as not every database could hold it.
pub async fn nul_within_text_is_refused(database: impl TruthDatabase) {
    let schema = specimen();
    let truth = open_with(&database, &[&schema]).await;
    let row = with(&schema, plain_row(1), "text", Value::from("before\0after"));
    assert_refused(truth.tables.put_many(&schema, &[row]).await, ErrorKind::InvalidValue, &schema, Some("text"));
}

/// Bytes of every value; none is not NULL.
pub async fn bytes_are_held_as_they_are(database: impl TruthDatabase) {
    let values = vec![vec![], vec![0], vec![0xFF, 0, 0xFE], (0..=u8::MAX).collect(), b"text".to_vec()];
    holds(&database, "bytes", values.into_iter().map(Value::from).collect()).await;
}

/// Times to the microsecond, from end to end of the range, before and after the epoch.
pub async fn times_are_held_to_the_microsecond(database: impl TruthDatabase) {
    let microseconds = [0, 1, -1, -999_999, 1_700_000_000_123_456, -62_135_596_800_000_001, 253_402_300_800_000_000];
    let ends = [Value::Time(Timestamp::MIN), Value::Time(Timestamp::MAX)];
    holds(&database, "time", microseconds.into_iter().map(moment).chain(ends).collect()).await;
}

/// UUIDs, in the order of their bytes.
pub async fn uuids_are_held(database: impl TruthDatabase) {
    holds(&database, "uuid", [0, 1, 0x0102_0304_0506_0708, u128::MAX].into_iter().map(|number| Value::Uuid(uuid(number))).collect()).await;
}

/// JSON documents keep their meaning, whatever happens to spaces and the order of names; a JSON null is not NULL.
pub async fn json_keeps_its_meaning(database: impl TruthDatabase) {
    let schema = specimen();
    let truth = open_with(&database, &[&schema]).await;
    for document in [
        "null",
        "true",
        "0",
        "-12.5",
        "9007199254740993",
        "-9223372036854775808",
        "18446744073709551615",
        "0.1",
        "\"\"",
        "\"quoted \\\" \\\\ \\u00e9 \\n 🦀\"",
        "[]",
        "{}",
        "[[[[[[[[[[]]]]]]]]]]",
        " { \"b\" : 1 , \"a\" : [ 1, 2.5, \"x\", null, true, { \"\" : {} } ] } ",
    ] {
        let held = round_trip(&truth, &schema, "json", &Value::Json(document.into())).await;
        let Value::Json(held) = held else { panic!("{document} came back as {}", held.kind()) };
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&held), parse(document));
    }
    let null = Select { filter: Some(Filter::IsNull { column: "maybe_json".into() }), ..Select::default() };
    truth.tables.put_many(&schema, &[plain_row(2)]).await.unwrap();
    round_trip(&truth, &schema, "json", &Value::Json("null".into())).await;
    let rows: Vec<_> = Arc::clone(&truth.tables).select(Arc::clone(&schema), null).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(|stored| stored.row[0].clone()).collect::<Vec<_>>(), [Value::Integer(2)]);
}

/// NULL in every nullable column, and back to a value.
pub async fn null_is_held_in_every_type(database: impl TruthDatabase) {
    let schema = specimen();
    let truth = open_with(&database, &[&schema]).await;
    let mut full = plain_row(1);
    for position in 11..21 {
        full[position] = full[position - 10].clone();
    }
    for row in [plain_row(1), full, plain_row(1)] {
        let stored = truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap().remove(0);
        assert_eq!(stored.row, row);
        assert_eq!(truth.tables.get_many(&schema, &[vec![1.into()]]).await.unwrap()[0].as_ref(), Some(&stored));
    }
}
