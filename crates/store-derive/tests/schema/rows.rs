use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store_core::{Column, Columns as _, Deferred, Direction, ErrorKind, Key as _, Row, Schema as _, Value};
use store_derive::Schema;
use uuid::Uuid;

fn owned(row: Row<'_>) -> Row<'static> {
    row.into_iter().map(Value::into_owned).collect()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Shape {
    Round { radius: f64 },
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct Everything {
    #[schema(primary_key)]
    id: Uuid,
    boolean: bool,
    tiny: i8,
    byte: u8,
    short: i16,
    unsigned_short: u16,
    int: i32,
    unsigned: u32,
    long: i64,
    unsigned_long: u64,
    size: isize,
    float: f32,
    double: f64,
    text: String,
    bytes: Vec<u8>,
    shared_bytes: Bytes,
    time: SystemTime,
    maybe: Option<i32>,
    list: Vec<Shape>,
    map: BTreeMap<String, i64>,
    json: serde_json::Value,
    maybe_json: Option<serde_json::Value>,
    children: Vec<Child>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Child {
    name: String,
    children: Vec<Self>,
}

fn everything() -> Everything {
    Everything {
        id: Uuid::from_u128(7),
        boolean: true,
        tiny: i8::MIN,
        byte: u8::MAX,
        short: i16::MIN,
        unsigned_short: u16::MAX,
        int: i32::MIN,
        unsigned: u32::MAX,
        long: i64::MIN,
        unsigned_long: i64::MAX as u64,
        size: -1,
        float: 0.1,
        double: 1e300,
        text: "it's \"quoted\", 100 %".to_owned(),
        bytes: vec![0, 255],
        shared_bytes: Bytes::from_static(b"shared"),
        time: UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456),
        maybe: Some(-1),
        list: vec![Shape::Round { radius: 0.5 }, Shape::Named("x".to_owned())],
        map: BTreeMap::from([("a".to_owned(), 1)]),
        json: json!({ "deep": [1, null, "two"] }),
        maybe_json: Some(json!([])),
        children: vec![Child { name: "c".to_owned(), children: vec![Child { name: "d".to_owned(), children: Vec::new() }] }],
    }
}

#[test]
fn a_record_survives_the_way_to_a_row_and_back() {
    let record = everything();
    let row = owned(record.to_row().unwrap());
    assert_eq!(row.len(), Everything::definition().columns().len());
    assert_eq!(Everything::from_row(row).unwrap(), record);

    let empty = Everything { maybe: None, maybe_json: None, list: Vec::new(), map: BTreeMap::new(), children: Vec::new(), ..record };
    assert_eq!(Everything::from_row(owned(empty.to_row().unwrap())).unwrap(), empty);
}

#[test]
fn a_row_borrows_from_its_record() {
    let record = everything();
    let row = record.to_row().unwrap();
    assert_eq!(row[13], Value::Text((&*record.text).into()));
    assert!(matches!(&row[13], Value::Text(std::borrow::Cow::Borrowed(_))));
    assert!(matches!(&row[14], Value::Bytes(std::borrow::Cow::Borrowed(_))));
    assert!(matches!(&row[20], Value::Json(text) if text == r#"{"deep":[1,null,"two"]}"#));
}

#[test]
fn a_value_that_no_column_holds_is_an_error_with_the_place() {
    let record = Everything { unsigned_long: u64::MAX, ..everything() };
    let error = record.to_row().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    let message = error.to_string();
    assert!(message.contains("everything") && message.contains("unsigned_long"), "{message}");
}

#[test]
fn a_row_that_does_not_fit_is_an_error_with_the_place() {
    let mut row = owned(everything().to_row().unwrap());
    row.pop();
    let error = Everything::from_row(row).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DecodeFailed);
    assert!(error.to_string().contains("22 columns, the model 23"), "{error}");

    for (position, value) in [
        (2, Value::Integer(1_000)),
        (6, Value::Null),
        (11, Value::Double(1e39)),
        (11, Value::Double(-1e39)),
        (13, Value::Bool(true)),
        (18, Value::Json("{".into())),
    ] {
        let mut row = owned(everything().to_row().unwrap());
        row[position] = value;
        let error = Everything::from_row(row).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DecodeFailed);
        let (message, column) = (error.to_string(), Everything::definition().columns()[position].name);
        assert!(message.contains("everything") && message.contains(column), "{message}");
    }
}

#[test]
fn a_double_is_read_as_the_nearest_f32_and_an_infinity_as_itself() {
    let largest = f64::from(f32::MAX);
    for (stored, read) in
        [(0.1, 0.1), (largest.next_up(), f32::MAX), (f64::INFINITY, f32::INFINITY), (f64::NEG_INFINITY, f32::NEG_INFINITY)]
    {
        let mut row = owned(everything().to_row().unwrap());
        row[11] = Value::Double(stored);
        assert_eq!(Everything::from_row(row).unwrap().float, read, "{stored}");
    }
}

#[derive(Debug, PartialEq, Schema)]
struct Document {
    #[schema(primary_key)]
    id: i64,
    #[schema(omit_cache)]
    body: Deferred<Vec<u8>>,
    #[schema(omit_l1)]
    note: Deferred<Option<String>>,
    #[schema(omit_l1, nullable)]
    pages: Deferred<i32>,
}

#[test]
fn a_deferred_field_that_is_not_loaded_is_unset() {
    let unloaded = Document { id: 1, body: Deferred::NotLoaded, note: Deferred::NotLoaded, pages: Deferred::NotLoaded };
    let row = owned(unloaded.to_row().unwrap());
    assert_eq!(row, [Value::Integer(1), Value::Unset, Value::Unset, Value::Unset]);
    assert_eq!(Document::from_row(row).unwrap(), unloaded);

    let loaded = Document { id: 1, body: vec![1].into(), note: Deferred::Loaded(None), pages: 3.into() };
    let row = owned(loaded.to_row().unwrap());
    assert_eq!(row, [Value::Integer(1), Value::Bytes(vec![1].into()), Value::Null, Value::Integer(3)]);
    assert_eq!(Document::from_row(row).unwrap(), loaded);

    let null = Document::from_row(vec![Value::Integer(1), Value::Unset, Value::Null, Value::Null]).unwrap();
    assert_eq!((null.note, null.pages), (Deferred::Loaded(None), Deferred::Loaded(0)));
}

#[test]
fn null_is_the_default_of_a_nullable_field_and_skipped_fields_are_filled() {
    #[derive(Debug, Default, PartialEq)]
    struct Cache(Option<String>);

    #[derive(Debug, PartialEq, Schema)]
    struct Profile {
        #[schema(primary_key)]
        id: i64,
        #[schema(nullable)]
        bio: String,
        #[schema(nullable)]
        tags: Vec<String>,
        #[schema(nullable)]
        age: Option<i32>,
        #[schema(skip)]
        cache: Cache,
    }

    let empty = Profile::from_row(vec![Value::Integer(1), Value::Null, Value::Null, Value::Null]).unwrap();
    assert_eq!(empty, Profile { id: 1, bio: String::new(), tags: Vec::new(), age: None, cache: Cache(None) });

    let full = Profile { id: 1, bio: "b".to_owned(), tags: vec!["t".to_owned()], age: Some(1), cache: Cache(Some("c".to_owned())) };
    let row = owned(full.to_row().unwrap());
    assert_eq!(row, [Value::Integer(1), Value::from("b"), Value::Json("[\"t\"]".into()), Value::Integer(1)]);
    assert_eq!(Profile::from_row(row).unwrap(), Profile { cache: Cache(None), ..full });
}

#[test]
fn the_key_is_the_marked_field_or_a_tuple_of_them_in_order() {
    #[derive(Schema)]
    struct Player {
        name: String,
        #[schema(primary_key)]
        id: String,
    }

    #[derive(Schema)]
    struct Score {
        #[schema(primary_key)]
        player: String,
        points: i64,
        #[schema(primary_key)]
        season: i32,
        #[schema(primary_key, index)]
        game: Uuid,
    }

    let player = Player { name: "Ada".to_owned(), id: "p1".to_owned() };
    let key: String = player.key();
    assert_eq!(key, "p1");
    assert_eq!(Player::definition().key_positions(), [1]);
    assert_eq!(Player::from_row(owned(player.to_row().unwrap())).unwrap().name, "Ada");

    let score = Score { player: "a:b".to_owned(), points: 9, season: 3, game: Uuid::nil() };
    let key: (String, i32, Uuid) = score.key();
    assert_eq!(key, ("a:b".to_owned(), 3, Uuid::nil()));
    assert_eq!(key.to_text(), "a%3Ab:3:00000000-0000-0000-0000-000000000000");
    let names: Vec<&str> = Score::definition().key_columns().map(|column| column.name).collect();
    assert_eq!(names, ["player", "season", "game"]);
    assert_eq!(Score::from_row(owned(score.to_row().unwrap())).unwrap().points, 9);
}

#[test]
fn columns_are_typed_functions_of_the_model() {
    #[derive(Schema)]
    struct City {
        #[schema(primary_key)]
        id: i64,
        population: Option<i64>,
        r#type: String,
        #[schema(omit_cache)]
        history: Deferred<String>,
        #[schema(nullable)]
        mayor: String,
    }

    let _: Column<City, i64> = City::id();
    let _: Column<City, Option<i64>> = City::population();
    let _: Column<City, String> = City::history();
    assert_eq!(City::r#type().name(), "type");
    assert_eq!(City::population().desc().direction, Direction::Descending);

    let values = vec![Value::Integer(5), Value::Null, Value::Null];
    let read = (City::id(), City::population(), City::mayor()).decode(values).unwrap();
    assert_eq!(read, (5, None, String::new()));
    let error = City::r#type().decode(vec![Value::Null]).unwrap_err().to_string();
    assert!(error.contains("type") && error.contains("Option"), "{error}");

    // The functions take nothing from the model.
    let city = City::from_row(vec![Value::Integer(1), Value::Null, "town".into(), Value::Unset, Value::Null]).unwrap();
    assert_eq!((city.id, city.population, &*city.r#type, city.history.loaded(), &*city.mayor), (1, None, "town", None, ""));
}
