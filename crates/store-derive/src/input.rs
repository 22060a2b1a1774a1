//! What both macros ask of the item that they stand on.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Fields};

use crate::context::Context;

/// The named fields of a struct without generics; `None`, and errors, for anything else.
pub(crate) fn named_fields<'a>(context: &Context, input: &'a DeriveInput, derive: &str) -> Option<Vec<(&'a Ident, &'a Field)>> {
    let name = &input.ident;
    if !input.generics.params.is_empty() {
        context.error(
            input.generics.span(),
            format!("`{derive}` takes no generic struct: its columns would differ from one type to the next; write one struct for each"),
        );
    }
    let data = match &input.data {
        Data::Struct(data) => data,
        Data::Enum(data) => {
            context.error(
                data.enum_token.span,
                format!("`{derive}` takes a struct with named fields; an enum can be the type of one of them"),
            );
            return None;
        }
        Data::Union(data) => {
            context.error(
                data.union_token.span,
                format!("`{derive}` takes a struct with named fields; a union says not which of its fields is set"),
            );
            return None;
        }
    };
    match &data.fields {
        Fields::Named(fields) if fields.named.is_empty() => {
            context.error(name.span(), format!("`{name}` has no fields, so it has no columns; give it some"));
            None
        }
        Fields::Named(fields) => Some(fields.named.iter().filter_map(|field| field.ident.as_ref().map(|ident| (ident, field))).collect()),
        Fields::Unnamed(fields) => {
            context.error(
                fields.span(),
                format!("`{derive}` names columns after fields, and these have no names; write `struct {name} {{ name: Type, … }}`"),
            );
            None
        }
        Fields::Unit => {
            context.error(name.span(), format!("`{name}` has no fields, so it has no columns; write `struct {name} {{ name: Type, … }}`"));
            None
        }
    }
}

/// An identifier without `r#`.
pub(crate) fn plain_name(ident: &Ident) -> String {
    ident.unraw().to_string()
}
