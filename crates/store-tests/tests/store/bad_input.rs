//! Input that no call can use: typed errors, and no panic.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use strata::mem::MemTier;
use strata::sqlite::SqliteTier;
use strata::{
    Codec, ColumnType, Comparison, Cursor, Error, ErrorKind, Filter, Key, PostcardCodec, Query, Role, Setup, Store, Timestamp, Value,
    Version, key_text, params,
};
use uuid::Uuid;

use store_tests::models::{City, Player, player};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    malformed_queries_are_refused_and_say_why,
    calls_that_give_what_is_no_tag_are_refused,
    writes_of_a_key_that_no_table_holds_are_refused,
]);

async fn writes_of_a_key_that_no_table_holds_are_refused(bench: &Bench) {
    let (store, players) = (&bench.store, bench.players());
    let bad = || player("a\0", 1);
    let errors = [
        players.set(bad()).await.unwrap_err(),
        players.set_many([player("b", 1), bad()]).await.unwrap_err(),
        players.import([player("b", 1), bad()]).run().await.unwrap_err().into(),
        players.insert_only(bad()).await.unwrap_err(),
        players.set_if_version(bad(), Version::default()).await.unwrap_err(),
        players.patch("a\0", Player::level().set(2)).await.unwrap_err(),
        players.update("a\0", |player| player.level = 2).await.unwrap_err(),
        players.delete("a\0").await.unwrap_err(),
        players.delete_many(["b", "a\0"]).await.unwrap_err(),
        store.transaction(async |tx| tx.set(bad()).await.map(drop)).await.unwrap_err(),
        store.transaction(async |tx| tx.insert_only(bad()).await.map(drop)).await.unwrap_err(),
        store.transaction(async |tx| tx.update::<Player, _>("a\0", |player| player.level = 2).await.map(drop)).await.unwrap_err(),
        store.transaction(async |tx| tx.delete::<Player>("a\0").await.map(drop)).await.unwrap_err(),
        store.tx().set(player("b", 1)).set(bad()).commit().await.unwrap_err(),
    ];
    for error in errors {
        let told = (error.kind(), error.schema(), error.column(), error.key());
        assert_eq!(told, (ErrorKind::InvalidValue, Some("player"), Some("id"), Some("a%00")), "{error}");
    }
    assert_eq!(players.count(Query::new()).await.unwrap(), 0);
}

async fn calls_that_give_what_is_no_tag_are_refused(bench: &Bench) {
    bench.players().set(player("a", 1)).await.unwrap();
    let players = bench.players().with_tags(["front", "a\0b"]);
    let truth = players.from(Role::Truth);
    let errors = [
        players.get("a").await.unwrap_err(),
        players.get_record("a").await.unwrap_err(),
        players.read("a").await.unwrap_err(),
        players.get_many(["a"]).await.unwrap_err(),
        players.set(player("a", 2)).await.unwrap_err(),
        players.set_many([player("a", 2)]).await.unwrap_err(),
        players.insert_only(player("b", 2)).await.unwrap_err(),
        players.patch("a", Player::level().set(2)).await.unwrap_err(),
        players.search(Query::new()).await.unwrap_err(),
        players.warm(None).await.unwrap_err(),
        truth.get("a").await.unwrap_err(),
        truth.get_many(["a"]).await.unwrap_err(),
        truth.search(Query::new()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.schema()), (ErrorKind::InvalidValue, Some("player")), "{error}");
        assert!(error.to_string().contains("`a\\0b` is no tag"), "{error}");
    }
    assert_eq!(bench.players().get("a").await.unwrap().unwrap().level, 1);
}

async fn malformed_queries_are_refused_and_say_why(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let raw = |sql: &str, params| Query::new().where_sql(sql, params);
    let compare =
        |column: &'static str, value| Query::from(Filter::Compare { column: column.into(), comparison: Comparison::Equal, value });
    let nested = (0..500).fold(Player::level().eq(1), |inner, _| !inner);
    let cases: Vec<(Query<Player>, &str)> = vec![
        (raw("level > $1", params![]), "0 value(s) were given"),
        (raw("level > $2", params![1]), "names $2"),
        (raw("level > $0", params![1]), "names $0"),
        (raw("level > 1", params![1]), "value 1 is never used"),
        (raw("level > $1", params![1, 2]), "value 2 is never used"),
        (raw("level > $99999999999999999999", params![1]), "too large"),
        (raw("level = ?", params![1]), "the condition holds a `?`; write `$1`, `$2`, … for values"),
        (raw("level = ?", params![]), "write `$1`, `$2`, … for values"),
        (raw("level = ?1", params![]), "write `$1`, `$2`, … for values"),
        (raw("level = :level", params![]), "write `$1`, `$2`, … for values"),
        (raw("level = 'x", params![]), "ends within a string"),
        (raw("\"level = 1", params![]), "ends within a quoted name"),
        (raw("level = 1 /* ", params![]), "ends within a comment"),
        (raw("level = 1 -- all", params![]), "`--` comment"),
        (raw("(level = 1", params![]), "leaves a parenthesis open"),
        (raw("level = 1) OR (1 = 1", params![]), "closes a parenthesis"),
        (raw("level = 1; DROP TABLE player", params![]), "`;`"),
        (raw("", params![]), "the condition is empty"),
        (raw("level = $1", vec![Value::Unset]), "value 1: it is `Value::Unset`"),
        (raw("level = $2 OR score > $1", params![f64::NAN, 1]), "value 1: NaN cannot be compared with"),
        (raw("level = $1 OR score > $2", params![1, Some(f32::NAN)]), "value 2: NaN cannot be compared with"),
        (
            raw("created_at > $1", params![SystemTime::UNIX_EPOCH - Duration::from_secs(300_000_000_000)]),
            "value 1: it is `Value::Unset`, which a time that no column holds becomes (a time must lie between the years 4714 BC and 294247)",
        ),
        (raw("level === 1", params![]), ""),
        (raw("level = 1 ORDER BY level", params![]), ""),
        (compare("nonsense", Value::Integer(1)), "there is no column `nonsense`"),
        (compare("level", Value::Unset), "it is `Value::Unset`"),
        (Query::from(Filter::IsNull { column: "x\"y".into() }), "there is no column"),
        (Query::from(Filter::OneOf { column: "nonsense".into(), values: vec![Value::Integer(1)] }), "there is no column"),
        (Query::from(Player::score().gt(f64::NAN)), "NaN"),
        (Query::from(Player::username().like("50\\")), "the pattern of LIKE ends with a `\\`"),
        (Query::from(Player::level().one_of(0..40_000)), "more than 32000 values"),
        (Query::from(nested), "nested more than"),
        (Query::from((0..30_000).fold(Player::level().eq(1), |inner, _| !inner)), "nested more than 200 levels"),
        (
            Query::from((0..30_000).fold(Player::level().eq(1), |inner, _| inner.and(Player::level().eq(2)).or(Player::level().eq(3)))),
            "nested more than 200 levels",
        ),
        (
            Query::from(City::name().eq("Lima")),
            "the column `name` is one of `city`, and the query is for `player`; name a column of that model",
        ),
        (Query::from(City::id().one_of([0_i64; 0])), "is one of `city`"),
        (Query::from(!Filter::Invalid { column: "level".into(), reason: "no good".to_owned() }), "no good"),
    ];
    for (query, said) in cases {
        let shown = format!("{query:?}");
        for error in [
            players.search(query.clone()).await.unwrap_err(),
            players.count(query.clone()).await.unwrap_err(),
            match players.stream(query.clone()) {
                Ok(mut stream) => futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap_err(),
                Err(error) => error,
            },
            players.select(query, Player::id()).await.unwrap_err(),
        ] {
            let shown = &shown[..shown.len().min(200)];
            assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}\n{shown}");
            assert!(error.to_string().contains(said), "`{said}` is not in: {error}\n{shown}");
            assert_eq!(error.schema(), Some("player"), "{error}");
            assert!(!error.is_retryable());
        }
    }
    let error = players.search(raw("nonsense = $1", params![1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
    let error = players.search(Query::new().order_by(String::from("level; --"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery);
    assert!(error.to_string().contains("cannot order by `level; --`") && error.to_string().contains("username"), "{error}");
    let error = players.search(Query::new().order_by(City::id())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery);
    assert!(error.to_string().contains("cannot order by `id`: the column `id` is one of `city`"), "{error}");
    let too_large = Query::<City>::from(City::id().eq(1))
        .filter(strata::Column::<City, u64>::new("city", "id", |_| Ok(0), |_| Ok(0.into())).eq(u64::MAX));
    let error = bench.of::<City>().search(too_large).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidQuery, Some("id")));
    assert_eq!(players.count(Query::new()).await.unwrap(), 1, "nothing of it ran");
}

#[tokio::test]
async fn a_file_that_cannot_be_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("text.db");
    std::fs::write(
        &file,
        "this is no database, and longer than a header of one hundred bytes, so that nobody takes it for an empty file".repeat(9),
    )
    .unwrap();
    let missing = directory.path().join("missing").join("a.db");
    let nul = directory.path().join("a\0b");
    for path in [directory.path(), &missing, &file, &nul] {
        for error in [SqliteTier::open(path).await.map(drop).unwrap_err(), Store::open(path).await.map(drop).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
            assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
        }
    }
    assert_eq!(SqliteTier::open("").await.map(drop).unwrap_err().kind(), ErrorKind::InvalidConfig);
}

#[test]
fn keys_that_are_no_keys_are_refused() {
    fn refused<K: Key>(texts: &[&str]) {
        for text in texts {
            assert_eq!(K::from_text(text).unwrap_err().kind(), ErrorKind::DecodeFailed, "{text}");
        }
        assert_eq!(K::from_values(Vec::new()).unwrap_err().kind(), ErrorKind::DecodeFailed);
        assert_eq!(K::from_values(vec![Value::Null; 9]).unwrap_err().kind(), ErrorKind::DecodeFailed);
    }
    refused::<String>(&["a:b", "%", "%zz", "%41", "\n"]);
    refused::<i64>(&["", "x", "1.0", "+1", "01", "9223372036854775808", " 1"]);
    refused::<u8>(&["256", "-1"]);
    refused::<Uuid>(&["", "x", "67E55044-10B1-426F-9247-BB680E5FE0C8", "67e5504410b1426f9247bb680e5fe0c8"]);
    refused::<(String, i64)>(&["", "a", "a:b", "a:1:2", ":"]);
    assert_eq!(<u64 as Key>::to_values(&u64::MAX).unwrap_err().kind(), ErrorKind::InvalidValue);
    assert_eq!(key_text(&[Value::Bool(true)]).unwrap_err().kind(), ErrorKind::InvalidValue);
    assert_eq!(Timestamp::from_microseconds(i64::MIN).unwrap_err().kind(), ErrorKind::InvalidValue);
}

/// All codecs.
fn codecs() -> Vec<Box<dyn Codec>> {
    vec![Box::new(PostcardCodec), Box::new(strata::JsonCodec), Box::new(strata::MessagePackCodec)]
}

const COLUMNS: [ColumnType; 10] = [
    ColumnType::Bool,
    ColumnType::SmallInt,
    ColumnType::Integer,
    ColumnType::BigInt,
    ColumnType::Double,
    ColumnType::Text,
    ColumnType::Bytes,
    ColumnType::Time,
    ColumnType::Uuid,
    ColumnType::Json,
];

/// A value that the column of a type may hold.
fn value(column: ColumnType) -> BoxedStrategy<Value<'static>> {
    let some = match column {
        ColumnType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => any::<i64>().prop_map(Value::Integer).boxed(),
        // NaN is not equal to itself.
        ColumnType::Double => {
            prop_oneof![any::<f64>().prop_filter("a number", |number| !number.is_nan()), Just(f64::INFINITY), Just(-0.0), Just(1.0)]
                .prop_map(Value::Double)
                .boxed()
        }
        ColumnType::Text => any::<String>().prop_map(Value::from).boxed(),
        ColumnType::Bytes => any::<Vec<u8>>().prop_map(Value::from).boxed(),
        ColumnType::Time => {
            (Timestamp::MIN.as_microseconds()..).prop_map(|time| Value::Time(Timestamp::from_microseconds(time).unwrap())).boxed()
        }
        ColumnType::Uuid => any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))).boxed(),
        ColumnType::Json => any::<String>().prop_map(|text| Value::Json(serde_json::to_string(&text).unwrap().into())).boxed(),
    };
    prop_oneof![6 => some, 1 => Just(Value::Null), 1 => Just(Value::Unset)].boxed()
}

proptest! {
    #[test]
    fn codecs_read_what_they_wrote_and_survive_what_they_did_not(
        row in COLUMNS.map(value).to_vec(),
        garbage in proptest::collection::vec(any::<u8>(), 0..60),
        position in any::<prop::sample::Index>(),
    ) {
        for codec in codecs() {
            let bytes = codec.encode(&row).unwrap();
            prop_assert_eq!(&codec.decode(&COLUMNS, &bytes).unwrap(), &row);
            let refused = |result: Result<_, Error>| result.is_ok() || result.is_err_and(|error| error.kind() == ErrorKind::DecodeFailed);
            prop_assert!(refused(codec.decode(&COLUMNS, &garbage)));
            let mut damaged = bytes.clone();
            let damaged_at = position.index(bytes.len());
            damaged[damaged_at] ^= 0x55;
            prop_assert!(refused(codec.decode(&COLUMNS, &damaged)));
            prop_assert!(codec.decode(&COLUMNS, &bytes[..damaged_at]).is_err(), "a record that was cut is no record");
            prop_assert!(refused(codec.decode(&COLUMNS[..3], &bytes)));
        }
    }

    #[test]
    fn texts_survive_being_read_as_cursors_and_keys(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [text, hexadecimal] {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text.to_lowercase());
            }
            if let Ok(key) = <(String, i64, Uuid)>::from_text(&text) {
                prop_assert_eq!(key.to_text(), &*text);
            }
            if let Ok(key) = String::from_text(&text) {
                prop_assert_eq!(key.to_text(), &*text);
            }
        }
    }
}

#[tokio::test]
async fn a_builder_that_is_dropped_or_shown_does_nothing() {
    let builder = Store::builder().near(MemTier::new()).schema::<Player>();
    let shown = format!("{builder:?}");
    assert!(shown.contains("player") && shown.contains("MemTier"), "{shown}");
}
