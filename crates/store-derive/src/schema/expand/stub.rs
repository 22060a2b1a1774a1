//! What stands in for the code of a model with errors, so that the compiler does not report each use of the model beside them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::columns::{visible_as, with_span};
use crate::runtime::at;
use crate::schema::check::LONGEST_KEY;
use crate::schema::field_type::FieldType;
use crate::schema::model::Model;

/// The signatures of [`expand`](super::expand) without their bodies; nothing where the key has errors, whose types would be reported in their turn.
pub(in crate::schema) fn expand(model: &Model) -> TokenStream {
    let is_sound = |types: &FieldType| !types.is_option && !types.is_deferred && !types.is_reference;
    if !(1..=LONGEST_KEY).contains(&model.key().count()) || !model.key().all(|field| is_sound(&field.field_type)) {
        return TokenStream::new();
    }
    let runtime = model.runtime.path();
    let ident = &model.ident;
    let types: Vec<&TokenStream> = model.key().map(|field| &field.field_type.stored).collect();
    let key = match &*types {
        [key] => quote!(#key),
        _ => quote_spanned!(at(ident.span())=> (#(#types),*)),
    };
    let columns = model.columns().filter(|field| !field.field_type.is_reference).map(|field| {
        let (visibility, function) = (visible_as(&model.visibility), with_span(&field.ident));
        let stored = &field.field_type.stored;
        quote! {
            #visibility fn #function() -> #runtime::Column<Self, #stored> {
                loop {}
            }
        }
    });
    model.runtime.scope(&quote! {
        #[automatically_derived]
        impl #runtime::Schema for #ident {
            type Key = #key;

            fn definition() -> &'static #runtime::SchemaDefinition {
                loop {}
            }

            fn key(&self) -> Self::Key {
                loop {}
            }

            fn to_row(&self) -> #runtime::Result<#runtime::Row<'_>> {
                loop {}
            }

            fn from_row(_: #runtime::Row<'static>) -> #runtime::Result<Self> {
                loop {}
            }
        }

        #[automatically_derived]
        impl #ident {
            #(#columns)*
        }
    })
}
