//! Derived code depends on nothing that is in scope, and clashes with nothing.
#![no_implicit_prelude]
#![expect(dead_code, non_camel_case_types, non_upper_case_globals, unused_macros, reason = "the names are there to be in the way")]
#![deny(unused_imports)]

use ::std::string::String as Text;

use ::store_derive::{Projection, Schema};

// Names that derived code would use if it were careless.
struct Vec;
struct Result;
struct Ok;
struct Err;
struct Some;
struct None;
struct Clone;
struct Default;
struct Column;
struct Probe;
struct std;
struct store_core;
struct str;
mod strata {}
const row: i32 = 1;
const value: i32 = 1;

macro_rules! vec {
    () => {};
}
macro_rules! assert {
    () => {};
}

trait Codec {
    fn codec(&self) {}
    fn key(&self) {}
    fn columns(&self) {}
}
impl<T> Codec for T {}

#[derive(Schema)]
#[schema(l1(ttl = "60s", max_entries = 1, eviction = "fifo"), l2(key_prefix = "o"), l3(table = "o"), negative_ttl = "5s", write_mode = "write_behind")]
#[schema(index(columns(key, row), unique, name = "x"))]
struct Option {
    #[schema(primary_key)]
    key: Text,
    #[schema(primary_key)]
    row: i64,
    #[schema(default = "x")]
    codec: Text,
    #[schema(default = 1)]
    definition: ::std::option::Option<i64>,
    #[schema(omit_cache)]
    to_row: ::store_core::Deferred<::std::vec::Vec<u8>>,
    #[schema(nullable)]
    from_row: f64,
    #[schema(auto_now)]
    value: ::std::time::SystemTime,
    #[schema(skip)]
    __value: bool,
    r#fn: bool,
}

#[derive(Schema)]
struct Value {
    #[schema(primary_key)]
    columns: i64,
}

#[derive(Projection)]
#[projection(of = Option)]
struct Row {
    codec: Text,
    #[projection(column = "fn")]
    value: bool,
}

mod declared_by_a_macro {
    macro_rules! model {
        ($name:ident, $key:ty, $field:ident: $kind:ty = $default:expr, $deferred:ty) => {
            #[derive(::store_derive::Schema)]
            struct $name {
                #[schema(primary_key)]
                id: $key,
                #[schema(default = $default)]
                $field: $kind,
                #[schema(omit_l1)]
                later: $deferred,
            }
        };
    }
    model!(Made, i64, level: ::std::option::Option<i32> = -1, ::store_core::Deferred<i64>);
}

/// The path may be given by hand.
mod given {
    pub mod inner {
        pub use ::store_core as runtime;
    }

    #[derive(::store_derive::Schema)]
    #[schema(crate = "crate::given::inner::runtime")]
    struct Model {
        #[schema(primary_key)]
        id: i64,
    }

    #[derive(::store_derive::Projection)]
    #[projection(of = Model, crate = "inner::runtime")]
    struct Part {
        id: i64,
    }
}

fn main() {
    let _: ::store_core::Column<Option, Text> = Option::codec();
    let _: ::store_core::Column<Option, ::std::vec::Vec<u8>> = Option::to_row();
    let _: ::store_core::Column<Option, i64> = Option::row();
}
