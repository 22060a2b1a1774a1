//! The code for a checked model.

mod assertions;
mod columns;
mod definition;
mod rows;
mod stub;
mod table;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::model::{Field, Model, Tag};
use crate::runtime::at;

pub(super) use stub::expand as expand_stub;

/// The implementation of `Schema` and the functions for the columns.
pub(super) fn expand(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let ident = &model.ident;
    let definition = definition::expand(model);
    let rows = rows::expand(model);
    let columns = columns::expand(model);
    let assertions = assertions::expand(model);
    let version = model.version.expand_schema(model);
    let order = model.version.expand_order(&model.runtime, &model.ident, "Schema");
    model.runtime.scope(&quote! {
        use #runtime::pick::*;

        #[automatically_derived]
        impl #runtime::Schema for #ident {
            #version
            #definition
            #rows
        }

        #[automatically_derived]
        impl #ident {
            #columns
        }

        #assertions
        #order
    })
}

/// The expression for a field's codec, spanned at the field's type so that a type which has none is reported there.
fn codec(model: &Model, field: &Field) -> TokenStream {
    let stored = &field.field_type.stored;
    let position = field.field_type.span;
    let runtime = model.runtime.path_at(position);
    let codec = quote_spanned!(at(position)=> #runtime::fitting::<#stored, _>((&&&&#runtime::Probe::<#stored>::NEW).strata_codec()));
    if field.tags.has(Tag::Nullable) { quote_spanned!(at(position)=> #runtime::or_default(#codec)) } else { codec }
}
