//! Rows, values and conditions of a schema with encrypted columns.

use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use crate::crypto::plaintext;
use crate::crypto::{EncryptionKey, KeyRing, Sealer};
use crate::error::ErrorKind;
use crate::query::{Comparison, Filter};
use crate::schema::{BoundSchema, ColumnDefinition, Encryption, Policies, Residence, SchemaDefinition};
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Row, Value};

fn encrypted(name: &'static str, plain_type: ColumnType, plain_in_l2: bool, blind_index: Option<&'static str>) -> ColumnDefinition {
    let encryption = Some(Encryption { plain_type, plain_in_l2, blind_index });
    ColumnDefinition { nullable: true, encryption, ..ColumnDefinition::new(name, ColumnType::Bytes) }
}

/// The columns `region`, `id`, `secret`, `other`, `raw`, `secret_blind`.
fn schema(table: &str, plain_type: ColumnType) -> BoundSchema {
    let key = |name, column_type| ColumnDefinition { is_key: true, ..ColumnDefinition::new(name, column_type) };
    let blind = ColumnDefinition {
        nullable: true,
        indexed: true,
        residence: Residence::TruthOnly,
        blind_of: Some("secret"),
        ..ColumnDefinition::new("secret_blind", ColumnType::Bytes)
    };
    let columns = vec![
        key("region", ColumnType::Text),
        key("id", ColumnType::BigInt),
        encrypted("secret", plain_type, false, Some("secret_blind")),
        encrypted("other", plain_type, true, None),
        encrypted("raw", ColumnType::Bytes, true, None),
        blind,
    ];
    let definition = SchemaDefinition::new("thing", columns, Vec::new(), Policies::default());
    BoundSchema::standalone(Box::leak(Box::new(definition))).with_names(table, table)
}

fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(7, EncryptionKey::generate().unwrap()).with_index_key(EncryptionKey::from_bytes(&[9; 32]).unwrap()))
}

fn row(id: i64, secret: Value<'static>) -> Row<'static> {
    vec![Value::from("eu"), Value::from(id), secret.clone(), secret, Value::Bytes(vec![1, 2].into()), Value::Null]
}

fn bytes<'a>(value: &'a Value<'_>) -> &'a [u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        other => panic!("{other:?} is not encrypted"),
    }
}

#[test]
fn copies_of_another_table_are_of_another_layout() {
    let [one, same, other] = ["a", "a", "b"].map(|table| schema(table, ColumnType::Text).fingerprint());
    assert!(one == same && one != other);
}

#[test]
fn a_ciphertext_is_good_in_its_own_place_alone() {
    let keys = keys();
    let sealer = Sealer::new(&schema("things", ColumnType::Text), &keys).unwrap();
    let plain = row(1, Value::from("a secret"));
    let sealed = sealer.seal(plain.clone()).unwrap();
    assert_eq!(sealer.open(sealed.clone()).unwrap()[..5], plain[..5]);
    assert_eq!(&bytes(&sealed[2])[..5], [1, 0, 0, 0, 7], "the format and the key's number");
    assert_eq!(bytes(&sealed[2]).len(), 5 + 12 + 1 + 8 + 16);

    let refused = |sealer: &Sealer, row: &Row<'static>| {
        let error = sealer.open(row.clone()).unwrap_err();
        assert_eq!((error.kind(), error.schema(), error.column()), (ErrorKind::DecodeFailed, Some("thing"), Some("secret")), "{error}");
        assert!(!error.to_string().contains("a secret") && !format!("{error:?}").contains("a secret"), "{error:?}");
    };
    let other_key = Sealer::new(&schema("things", ColumnType::Text), &self::keys()).unwrap();
    refused(&other_key, &sealed);
    let unknown = KeyRing::new(8, EncryptionKey::generate().unwrap());
    refused(&Sealer::new(&schema("things", ColumnType::Text), &Arc::new(unknown)).unwrap(), &sealed);
    refused(&Sealer::new(&schema("others", ColumnType::Text), &keys).unwrap(), &sealed);
    for (position, value) in [
        (0, Value::from("us")),
        (1, Value::from(2)),
        (2, sealed[3].clone()),
        (2, Value::from("a plain text")),
        (2, Value::Bytes(vec![].into())),
    ] {
        let mut moved = sealed.clone();
        moved[position] = value;
        refused(&sealer, &moved);
    }
    let whole = bytes(&sealed[2]).to_vec();
    let mut changed = sealed.clone();
    for position in 0..whole.len() {
        changed[2] = Value::Bytes(whole[..position].to_vec().into());
        refused(&sealer, &changed);
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[position] ^= 1 << bit;
            changed[2] = Value::Bytes(flipped.into());
            refused(&sealer, &changed);
        }
    }
    let number = Sealer::new(&schema("things", ColumnType::BigInt), &keys).unwrap();
    refused(&number, &sealed);
}

#[test]
fn null_and_what_is_not_given_stay_so() {
    let sealer = Sealer::new(&schema("things", ColumnType::Text), &keys()).unwrap();
    for value in [Value::Null, Value::Unset] {
        let sealed = sealer.seal(row(1, value.clone())).unwrap();
        assert_eq!([&sealed[2], &sealed[3], &sealed[5]], [&value; 3]);
        assert_eq!(sealer.open(sealed).unwrap()[2], value);
    }
}

#[test]
fn an_older_key_decrypts_and_the_primary_one_encrypts() {
    let (old, new) = (EncryptionKey::generate().unwrap(), EncryptionKey::generate().unwrap());
    let index = EncryptionKey::generate().unwrap();
    let schema = schema("things", ColumnType::Text);
    let before = Sealer::new(&schema, &Arc::new(KeyRing::new(1, old.clone()).with_index_key(index.clone()))).unwrap();
    let after = Sealer::new(&schema, &Arc::new(KeyRing::new(2, new).with_key(1, old).with_index_key(index))).unwrap();
    let plain = row(1, Value::from("a secret"));
    let sealed = before.seal(plain.clone()).unwrap();
    let again = after.seal(after.open(sealed.clone()).unwrap()).unwrap();
    assert_eq!(after.open(again.clone()).unwrap()[..5], plain[..5]);
    assert_eq!(again[5], sealed[5], "the blind index is the same");
    assert!(bytes(&again[2]).starts_with(&after.header()) && !bytes(&sealed[2]).starts_with(&after.header()));
    assert!(before.open(again).unwrap_err().to_string().contains("key number 2"));
}

#[test]
fn equality_is_asked_of_the_blind_index_and_nothing_else_is() {
    let sealer = Sealer::new(&schema("things", ColumnType::Text), &keys()).unwrap();
    let blind = |text: &'static str| sealer.seal(row(1, Value::from(text))).unwrap()[5].clone();
    let compare = |column: &'static str, comparison, value| Filter::Compare { column: column.into(), comparison, value };
    let sealed = sealer
        .seal_filter(compare("secret", Comparison::Equal, Value::from("a")).or(!compare("id", Comparison::Less, Value::from(3))))
        .unwrap();
    assert_eq!(sealed, compare("secret_blind", Comparison::Equal, blind("a")).or(!compare("id", Comparison::Less, Value::from(3))));
    let list = Filter::OneOf { column: "secret".into(), values: vec![Value::from("a"), Value::from("b")] };
    assert_eq!(sealer.seal_filter(list).unwrap(), Filter::OneOf { column: "secret_blind".into(), values: vec![blind("a"), blind("b")] });
    let unknown = Filter::IsNull { column: "secret".into() };
    assert_eq!(sealer.seal_filter(unknown.clone()).unwrap(), unknown);
    for (column, comparison, told) in [
        ("secret", Comparison::Greater, "`eq`, `ne` or `one_of`"),
        ("secret", Comparison::Like, "`eq`, `ne` or `one_of`"),
        ("other", Comparison::Equal, "encrypted, index"),
    ] {
        let error = sealer.seal_filter(!compare(column, comparison, Value::from("a very secret"))).unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidQuery, Some(column)));
        assert!(error.to_string().contains(told) && !error.to_string().contains("very secret"), "{error}");
    }
}

#[test]
fn blind_indexes_tell_neither_tables_columns_nor_signs_of_zero() {
    let of = |table: &str, column_type, value| {
        Sealer::new(&schema(table, column_type), &keys()).unwrap().seal(row(1, value)).unwrap()[5].clone()
    };
    let text = |table| of(table, ColumnType::Text, Value::from("a"));
    assert_eq!(text("things"), text("things"), "whatever the record and the key that encrypts");
    assert_ne!(text("things"), text("others"));
    let double = |value| of("things", ColumnType::Double, Value::Double(value));
    assert_eq!(double(0.0), double(-0.0));
    assert_eq!(double(f64::NAN), double(-f64::NAN));
    assert_ne!(double(0.0), double(f64::MIN_POSITIVE));
    assert_ne!(of("things", ColumnType::Text, Value::from("1")), of("things", ColumnType::BigInt, Value::from(1)));
    assert_eq!(bytes(&text("things")).len(), 16);
}

fn values() -> impl Strategy<Value = (ColumnType, Value<'static>)> {
    prop_oneof![
        any::<bool>().prop_map(|value| (ColumnType::Bool, Value::Bool(value))),
        any::<i64>().prop_map(|value| (ColumnType::BigInt, Value::Integer(value))),
        any::<i16>().prop_map(|value| (ColumnType::SmallInt, Value::Integer(value.into()))),
        any::<u16>().prop_map(|value| (ColumnType::Integer, Value::Integer(value.into()))),
        any::<f64>().prop_map(|value| (ColumnType::Double, Value::Double(value))),
        any::<String>().prop_map(|value| (ColumnType::Text, Value::Text(value.into()))),
        any::<Vec<u8>>().prop_map(|value| (ColumnType::Bytes, Value::Bytes(value.into()))),
        (-1_000_000_000_000_000_i64..1_000_000_000_000_000)
            .prop_map(|value| (ColumnType::Time, Value::Time(Timestamp::from_microseconds(value).unwrap()))),
        any::<u128>().prop_map(|value| (ColumnType::Uuid, Value::Uuid(Uuid::from_u128(value)))),
        any::<String>().prop_map(|value| (ColumnType::Json, Value::Json(serde_json::to_string(&value).unwrap().into()))),
    ]
}

proptest! {
    #[test]
    fn every_value_comes_back((column_type, value) in values(), id in any::<i64>(), raw in any::<Vec<u8>>()) {
        let schema = schema("things", column_type);
        let sealer = Sealer::new(&schema, &keys()).unwrap();
        let mut plain = row(id, value);
        plain[4] = Value::Bytes(raw.into());
        let sealed = sealer.seal(plain.clone()).unwrap();
        prop_assert_eq!(&sealer.open(sealed.clone()).unwrap()[..5], &plain[..5]);
        // As the shared tier holds it.
        let mut shared = sealed;
        for position in 0..5 {
            if let Some(value) = sealer.shared_value(&shared, position).unwrap() {
                prop_assert!(!matches!(value, Value::Bytes(_)));
                shared[position] = value;
            }
        }
        prop_assert_eq!(&sealer.open(shared).unwrap()[..5], &plain[..5]);
    }

    #[test]
    fn plaintexts_are_read_whatever_they_are(bytes in any::<Vec<u8>>(), kind in 0_u8..10) {
        for column_type in [ColumnType::Bool, ColumnType::BigInt, ColumnType::Double, ColumnType::Text, ColumnType::Bytes, ColumnType::Time, ColumnType::Uuid, ColumnType::Json] {
            let bytes = [&[kind], &*bytes].concat();
            if let Some(value) = plaintext::decode(bytes.clone(), column_type) {
                prop_assert_eq!(&*plaintext::encode(&value).unwrap(), &bytes);
            }
        }
    }
}
