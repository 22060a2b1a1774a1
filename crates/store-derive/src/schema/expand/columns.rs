//! The typed columns: `City::population()`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Visibility;
use syn::token::Paren;

use super::codec;
use crate::runtime::at;
use crate::schema::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let schema = &model.name;
    let visibility = visible_as(&model.visibility);
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
            let owned = quote_spanned!(at(position)=> |__value| #runtime_there::encode_owned(#codec, __value));
            let doc = format!("The column `{column}`.");
            // A column that has its model's name is no constructor.
            let is_named_so = column.replace('_', "") == model.ident.to_string().to_lowercase();
            let lint = is_named_so.then(|| quote!(#[allow(clippy::self_named_constructors)]));
            quote! {
                #[doc = #doc]
                #lint
                #[must_use]
                #visibility fn #function() -> #runtime::Column<Self, #stored> {
                    #runtime::Column::new(#schema, #column, #value, #owned)
                }
            }
        })
        .collect()
}

/// The model's visibility as the macro's tokens, so that lints on the functions are not reported at the user's model.
pub(super) fn visible_as(visibility: &Visibility) -> Visibility {
    let mut visibility = visibility.clone();
    match &mut visibility {
        Visibility::Public(public) => public.span = at(public.span),
        Visibility::Restricted(restricted) => {
            restricted.pub_token.span = at(restricted.pub_token.span);
            restricted.paren_token = Paren(at(restricted.paren_token.span.join()));
        }
        Visibility::Inherited => {}
    }
    visibility
}

/// The field's name as the macro's token, so that lints on the function are not reported at the user's field.
pub(super) fn with_span(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(at(ident.span()));
    ident
}
