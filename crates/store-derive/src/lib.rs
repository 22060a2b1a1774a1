//! The derive macros of Strata. The crate `strata` re-exports them; depend on that one.
//!
//! A macro reads its attributes into a model, checks the model, and expands it. All errors are reported at once, each at the token at fault.

mod argument;
mod context;
mod document;
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

/// Makes a type a document with versions: what a field of type `Versioned<…>` holds, or anything nested in a field.
///
/// `#[document(version = 2)]` says the version of this form, and `upgrade_from = AddressV1` the type of the one before, of which
/// `impl Upgrade<AddressV1> for Address` makes this one. The type needs serde's derives, and is written as a JSON object.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use store_core::{Upgrade, UpgradeError, Versioned};
/// use store_derive::Document;
///
/// #[derive(Serialize, Deserialize, Document)]
/// #[document(version = 1)]
/// struct PrizeV1 {
///     dollars: i64,
/// }
///
/// #[derive(Serialize, Deserialize, Document)]
/// #[document(version = 2, upgrade_from = PrizeV1)]
/// struct Prize {
///     cents: i64,
/// }
///
/// impl Upgrade<PrizeV1> for Prize {
///     fn upgrade(old: PrizeV1) -> Result<Self, UpgradeError> {
///         Ok(Prize { cents: old.dollars.checked_mul(100).ok_or("too many dollars")? })
///     }
/// }
///
/// let prize: Versioned<Prize> = serde_json::from_str(r#"{"_v":1,"dollars":3}"#).unwrap();
/// assert_eq!(prize.cents, 300);
/// ```
///
/// `#[document(crate = "::path::to::strata")]` says where the generated code finds Strata.
#[proc_macro_derive(Document, attributes(document))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    document::derive(&input, &Runtime::of_environment()).unwrap_or_else(|errors| errors).into()
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
