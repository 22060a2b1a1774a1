use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store_core::{
    ColumnType, DefaultValue, Deferred, Eviction, IndexDefinition, Lifetime, NearPolicy, Policies, Residence, Schema as _,
    SchemaDefinition, SharedPolicy, Stamp, TruthPolicy, UpgradePolicies, WriteMode,
};
use store_derive::Schema;
use uuid::Uuid;

#[test]
fn the_name_is_the_structs_in_snake_case_and_nothing_else_is_assumed() {
    #[derive(Schema)]
    struct HTTPRequestLog {
        #[schema(primary_key)]
        id: i64,
    }

    let definition = HTTPRequestLog::definition();
    assert_eq!(definition.name(), "http_request_log");
    assert!(definition.indexes().is_empty());
    assert_eq!(definition.policies(), &Policies::default());
    assert!(std::ptr::eq(definition, HTTPRequestLog::definition()));
}

#[test]
fn a_field_may_have_its_models_name() {
    #[derive(Debug, Schema)]
    struct Password {
        #[schema(primary_key)]
        id: i64,
        password: String,
    }

    assert_eq!((Password::id().name(), Password::password().name()), ("id", "password"));
}

#[test]
fn struct_attributes_become_policies_and_indexes() {
    #[derive(Schema)]
    #[schema(name = "orders", l1(ttl = "90s", max_entries = 50_000, eviction = "fifo"))]
    #[schema(l2(ttl = "never", key_prefix = "shop:orders"), l3(table = "Old Orders"), negative_ttl = "1500ms", write_mode = "write_behind")]
    #[schema(index(columns(user_id, r#type)), index(columns = [r#type], unique, name = "types"))]
    struct Order {
        #[schema(primary_key)]
        id: i64,
        user_id: i64,
        r#type: String,
    }

    let definition = Order::definition();
    assert_eq!(definition.name(), "orders");
    assert_eq!(
        definition.policies(),
        &Policies {
            near: NearPolicy { ttl: Lifetime::For(Duration::from_secs(90)), max_entries: Some(50_000), eviction: Some(Eviction::Fifo) },
            shared: SharedPolicy { ttl: Lifetime::Never, key_prefix: Some("shop:orders".to_owned()) },
            truth: TruthPolicy { table: Some("Old Orders".to_owned()) },
            negative_ttl: Some(Duration::from_millis(1_500)),
            write_mode: Some(WriteMode::WriteBehind),
            cache_only: false,
            upgrades: UpgradePolicies::default(),
        }
    );
    assert_eq!(
        definition.indexes(),
        [
            IndexDefinition { columns: vec!["user_id", "type"], ..IndexDefinition::default() },
            IndexDefinition { name: Some("types"), columns: vec!["type"], unique: true, ..IndexDefinition::default() },
        ]
    );
}

#[test]
fn a_policy_says_only_what_it_was_told() {
    #[derive(Schema)]
    #[schema(cache_only, l1(ttl = "inherit"), l2(ttl = "250ms"))]
    struct Session {
        #[schema(primary_key)]
        id: i64,
    }

    let policies = Session::definition().policies();
    assert!(policies.cache_only);
    assert_eq!(policies.near, NearPolicy::default());
    assert_eq!(policies.shared, SharedPolicy { ttl: Lifetime::For(Duration::from_millis(250)), key_prefix: None });
    assert_eq!((&policies.truth, policies.write_mode), (&TruthPolicy::default(), None));
}

#[test]
fn field_tags_become_columns() {
    #[derive(Schema)]
    struct Account {
        #[schema(primary_key)]
        id: Uuid,
        #[schema(unique, index)]
        email: String,
        #[schema(index, tag, default = "viewer")]
        role: Option<String>,
        #[schema(default = -3)]
        level: i16,
        #[schema(default = 0.25)]
        ratio: f32,
        #[schema(default = true, nullable, tag)]
        active: bool,
        #[schema(auto_now_add)]
        created: SystemTime,
        #[schema(auto_now)]
        updated: Option<SystemTime>,
        #[schema(omit_cache)]
        hash: Deferred<String>,
        #[schema(omit_l1)]
        avatar: Deferred<Option<Vec<u8>>>,
        #[schema(skip)]
        _loaded: bool,
    }

    let columns = Account::definition().columns();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    assert_eq!(names, ["id", "email", "role", "level", "ratio", "active", "created", "updated", "hash", "avatar"]);

    let with = |predicate: fn(&store_core::ColumnDefinition) -> bool| -> Vec<&str> {
        columns.iter().filter(|column| predicate(column)).map(|column| column.name).collect()
    };
    assert_eq!(with(|column| column.is_key), ["id"]);
    assert_eq!(with(|column| column.unique), ["email"]);
    assert_eq!(with(|column| column.indexed), ["email", "role"]);
    assert_eq!(with(|column| column.is_tag), ["role", "active"]);
    assert_eq!(with(|column| column.nullable), ["role", "active", "updated", "avatar"]);
    assert_eq!(with(|column| column.stamp == Stamp::OnInsert), ["created"]);
    assert_eq!(with(|column| column.stamp == Stamp::OnWrite), ["updated"]);
    assert_eq!(with(|column| column.residence == Residence::TruthOnly), ["hash"]);
    assert_eq!(with(|column| column.residence == Residence::NotNear), ["avatar"]);
    let defaults: Vec<DefaultValue> = columns.iter().filter_map(|column| column.default).collect();
    assert_eq!(defaults, [DefaultValue::Text("viewer"), DefaultValue::Integer(-3), DefaultValue::Double(0.25), DefaultValue::Bool(true)]);
}

#[derive(Serialize, Deserialize)]
struct Address {
    street: String,
}

type Name = String;
type MaybeName = Option<Name>;
type Blob = Vec<u8>;
type Labels = HashMap<String, String>;
type MaybeLabels = Option<Labels>;

#[test]
fn each_type_has_its_column_whatever_name_it_goes_by() {
    #[derive(Schema)]
    struct Everything {
        #[schema(primary_key)]
        key: u64,
        boolean: bool,
        tiny: i8,
        byte: u8,
        short: i16,
        unsigned_short: u16,
        int: i32,
        unsigned: u32,
        long: i64,
        size: usize,
        float: f32,
        double: f64,
        text: String,
        bytes: Vec<u8>,
        shared_bytes: Bytes,
        uuid: Uuid,
        time: SystemTime,
        maybe_text: Option<String>,
        maybe_bytes: std::option::Option<Vec<u8>>,
        name: Name,
        maybe_name: MaybeName,
        blob: Blob,
        maybe_blob: Option<Blob>,
        list: Vec<String>,
        maybe_list: Option<Vec<String>>,
        labels: Labels,
        maybe_labels: MaybeLabels,
        json: serde_json::Value,
        maybe_json: Option<serde_json::Value>,
        nested: Address,
        maybe_nested: Option<Address>,
        twice_optional: Option<Option<i64>>,
        pair: (i64, String),
    }

    let found: Vec<(&str, ColumnType, bool)> =
        Everything::definition().columns().iter().map(|column| (column.name, column.column_type, column.nullable)).collect();
    let expected = [
        ("key", ColumnType::BigInt, false),
        ("boolean", ColumnType::Bool, false),
        ("tiny", ColumnType::SmallInt, false),
        ("byte", ColumnType::SmallInt, false),
        ("short", ColumnType::SmallInt, false),
        ("unsigned_short", ColumnType::Integer, false),
        ("int", ColumnType::BigInt, false),
        ("unsigned", ColumnType::BigInt, false),
        ("long", ColumnType::BigInt, false),
        ("size", ColumnType::BigInt, false),
        ("float", ColumnType::Double, false),
        ("double", ColumnType::Double, false),
        ("text", ColumnType::Text, false),
        ("bytes", ColumnType::Bytes, false),
        ("shared_bytes", ColumnType::Bytes, false),
        ("uuid", ColumnType::Uuid, false),
        ("time", ColumnType::Time, false),
        ("maybe_text", ColumnType::Text, true),
        ("maybe_bytes", ColumnType::Bytes, true),
        ("name", ColumnType::Text, false),
        ("maybe_name", ColumnType::Text, true),
        ("blob", ColumnType::Bytes, false),
        ("maybe_blob", ColumnType::Bytes, true),
        ("list", ColumnType::Json, false),
        ("maybe_list", ColumnType::Json, true),
        ("labels", ColumnType::Json, false),
        ("maybe_labels", ColumnType::Json, true),
        ("json", ColumnType::Json, false),
        ("maybe_json", ColumnType::Json, true),
        ("nested", ColumnType::Json, false),
        ("maybe_nested", ColumnType::Json, true),
        ("twice_optional", ColumnType::Json, true),
        ("pair", ColumnType::Json, false),
    ];
    assert_eq!(found, expected);
}

/// A module for each variant of one model, because they share a name.
macro_rules! variant {
    ($module:ident, $(#[$attribute:meta])* { $($fields:tt)* }) => {
        mod $module {
            #[derive(store_derive::Schema)]
            #[schema(name = "city")]
            $(#[$attribute])*
            pub(super) struct City {
                $($fields)*
            }
        }
    };
}

variant!(original, { #[schema(primary_key)] id: i64, name: String, area: f64 });
variant!(
    other_policies,
    #[schema(l1(ttl = "1s"), l2(key_prefix = "c"), l3(table = "towns"), write_mode = "write_behind", index(columns(name, area)))]
    { #[schema(primary_key)] id: i64, #[schema(unique, default = "?")] name: String, #[schema(index)] area: f64 }
);
variant!(skipped_field, {
    #[schema(primary_key)] id: i64,
    name: String,
    #[schema(skip)]
    #[expect(dead_code, reason = "the definition alone is compared")]
    cached: bool,
    area: f64
});
variant!(renamed_field, { #[schema(primary_key)] id: i64, title: String, area: f64 });
variant!(other_type, { #[schema(primary_key)] id: i64, name: String, area: i64 });
variant!(nullable, { #[schema(primary_key)] id: i64, name: String, area: Option<f64> });
variant!(nullable_by_tag, { #[schema(primary_key)] id: i64, #[schema(nullable)] name: String, area: f64 });
variant!(other_order, { #[schema(primary_key)] id: i64, area: f64, name: String });
variant!(other_key, { #[schema(primary_key)] id: i64, #[schema(primary_key)] name: String, area: f64 });
variant!(more_fields, { #[schema(primary_key)] id: i64, name: String, area: f64, mayor: String });
variant!(deferred, { #[schema(primary_key)] id: i64, name: String, #[schema(omit_l1)] area: store_core::Deferred<f64> });

#[test]
fn the_fingerprint_follows_the_layout_alone() {
    let original = original::City::definition().fingerprint();
    assert_eq!(other_policies::City::definition().fingerprint(), original);
    assert_eq!(skipped_field::City::definition().fingerprint(), original);

    let others: [(&str, &SchemaDefinition); 7] = [
        ("renamed field", renamed_field::City::definition()),
        ("other type", other_type::City::definition()),
        ("nullable", nullable::City::definition()),
        ("nullable by tag", nullable_by_tag::City::definition()),
        ("other order", other_order::City::definition()),
        ("other key", other_key::City::definition()),
        ("more fields", more_fields::City::definition()),
    ];
    for (position, (change, definition)) in others.iter().enumerate() {
        assert_ne!(definition.fingerprint(), original, "{change}");
        for (other, before) in &others[..position] {
            assert_ne!(definition.fingerprint(), before.fingerprint(), "{change} and {other}");
        }
    }
    assert_ne!(deferred::City::definition().fingerprint(), original);
}
