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

#[doc = include_str!("schema.md")]
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
