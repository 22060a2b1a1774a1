//! The derive macros of Strata. The crate `strata` re-exports them; depend on that one.
//!
//! A macro reads its attributes into a model, checks the model, and expands it. All errors are reported at once, each at the token at fault.

mod argument;
mod context;
mod duration;
#[cfg(test)]
mod golden;
mod input;
mod name;
mod projection;
mod runtime;
mod schema;
mod suggestion;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::runtime::Runtime;

/// Makes a struct a model, which Strata can store.
///
/// The struct has named fields and no generics. Each field is a column of the same name; one field or more make the primary key. A model needs no
/// other derive. Types that it nests as JSON need serde's.
///
/// ```
/// use std::time::SystemTime;
///
/// use store_core::{Deferred, Schema as _};
/// use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(l1(ttl = "60s", max_entries = 50_000), index(columns(level, username)))]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(unique)]
///     username: String,
///     #[schema(default = 1)]
///     level: i64,
///     email: Option<String>,
///     #[schema(omit_cache)]
///     password_hash: Deferred<String>,
///     #[schema(auto_now)]
///     updated_at: SystemTime,
/// }
///
/// assert_eq!(Player::definition().name(), "player");
/// assert_eq!(Player::level().name(), "level");
/// ```
///
/// For each column there is a function of its name, which queries take: `Player::level().gt(10)`. It is as visible as the struct.
///
/// # On a field
///
/// | `#[schema(…)]` | effect |
/// |---|---|
/// | `primary_key` | The field identifies the record. Two to four such fields make a tuple, in their order. Strings, integers of a fixed width and `Uuid`. |
/// | `unique` | No two records hold the same value. |
/// | `index` | The column has an index. |
/// | `nullable` | The column may hold NULL, which reads as the type's `Default`. `Option` fields are so by themselves, and read NULL as `None`. |
/// | `default = 1` | What the database puts where a writer gives no value: a boolean, a number or a string. |
/// | `auto_now_add` | The store sets the field to the time of the insert, and keeps it on update. |
/// | `auto_now` | The store sets the field to the time of each write. |
/// | `omit_cache` | The field is in L3 alone. Its type is `Deferred<…>`. |
/// | `omit_l1` | The field is not in L1. Its type is `Deferred<…>`. |
/// | `skip` | The field is not stored. Reading fills it with its type's `Default`. |
/// | `encrypted`, `vector` | Not part of this version. |
///
/// # On the struct
///
/// | `#[schema(…)]` | effect | default |
/// |---|---|---|
/// | `name = "players"` | The schema's name: at most 63 letters, digits and `_` | the struct's in snake case |
/// | `l1(ttl = "60s")` | How long memory keeps an entry: `"500ms"`, `"60s"`, `"5m"`, `"4h"`, `"7d"`, `"never"` or `"inherit"` | `"inherit"`: the store's |
/// | `l1(max_entries = 50_000)` | The most entries in memory, in total | the store's, which is no limit |
/// | `l1(eviction = "lru")` | Which entry leaves memory first: `"lru"`, `"lfu"` or `"fifo"` | the store's, which is `"lru"` |
/// | `l2(ttl = "30m")` | How long the shared tier keeps a record, written as in `l1` | `"inherit"`: the store's |
/// | `l2(key_prefix = "players")` | What stands in place of the schema's name in keys | the schema's name |
/// | `l3(table = "players")` | The SQL table | the schema's name |
/// | `write_mode = "write_through"` | How writes travel: or `"write_through_lazy_l1"`, `"write_behind"` | the store's |
/// | `cache_only` | There is no L3 on purpose: what the caches lose is lost | L3 is needed |
/// | `index(columns(a, b), unique, name = "c")` | An index of several columns; may be repeated | none |
/// | `crate = "::path::to::strata"` | Where the generated code finds Strata | found by the package's Cargo.toml |
///
/// `columns = [a, b]` is another spelling of `columns(a, b)`. Clippy's `duplicated_attributes` takes two indexes that share a column, or are both
/// `unique`, for a repetition; with brackets it does not.
#[proc_macro_derive(Schema, attributes(schema))]
pub fn derive_schema(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    schema::derive(&input, &Runtime::of_environment()).unwrap_or_else(|errors| errors).into()
}

/// Makes a struct a projection: what a search reads in place of whole records.
///
/// Each field is read from the model's column of its name, or of the name that `#[projection(column = "…")]` gives. The compiler checks that the
/// model has the column and that the types agree.
///
/// ```
/// use store_core::Projection as _;
/// use store_derive::{Projection, Schema};
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
///     population: Option<i64>,
/// }
///
/// #[derive(Projection)]
/// #[projection(of = City)]
/// struct Size {
///     name: String,
///     #[projection(column = "population")]
///     inhabitants: Option<i64>,
/// }
///
/// assert_eq!(Size::columns(), ["name", "population"]);
/// ```
///
/// A column of type `Deferred<F>` is read as `F`. `#[projection(of = City, crate = "::path::to::strata")]` says where the generated code finds Strata.
#[proc_macro_derive(Projection, attributes(projection))]
pub fn derive_projection(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    projection::derive(&input, &Runtime::of_environment()).unwrap_or_else(|errors| errors).into()
}
