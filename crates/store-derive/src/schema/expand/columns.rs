//! The typed columns: `City::population()`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use super::codec;
use crate::runtime::at;
use crate::schema::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let schema = &model.name;
    let visibility = &model.visibility;
    model
        .columns()
        .map(|field| {
            let column = &field.column;
            let stored = &field.field_type.stored;
            let codec = codec(model, field);
            let function = with_span(&field.ident);
            let position = field.field_type.span;
            let runtime_there = model.runtime.path_at(position);
            let value = quote_spanned!(at(position)=> |__value| #runtime_there::decode(#codec, __value, #schema, #column));
            let doc = format!("The column `{column}`.");
            quote! {
                #[doc = #doc]
                #[must_use]
                #visibility fn #function() -> #runtime::Column<Self, #stored> {
                    #runtime::Column::new(#schema, #column, #value)
                }
            }
        })
        .collect()
}

/// The field's name as the macro's token, so that lints on the function are not reported at the user's field.
fn with_span(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(at(ident.span()));
    ident
}
