//! The key and the conversions between model and row.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};

use super::codec;
use crate::runtime::at;
use crate::schema::model::{Field, Model, Tag};

pub(super) fn expand(model: &Model) -> TokenStream {
    let key = key(model);
    let to_row = to_row(model);
    let from_row = from_row(model);
    quote!(#key #to_row #from_row)
}

fn key(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let types: Vec<&TokenStream> = model.key().map(|field| &field.field_type.stored).collect();
    let values: Vec<TokenStream> = model
        .key()
        .map(|field| {
            let ident = &field.ident;
            quote!(#runtime::std::clone::Clone::clone(&self.#ident))
        })
        .collect();
    let (key_type, value) = match (&*types, &*values) {
        ([key_type], [value]) => (quote!(#key_type), quote!(#value)),
        _ => (quote_spanned!(at(model.ident.span())=> (#(#types),*)), quote!((#(#values),*))),
    };
    quote! {
        type Key = #key_type;

        fn key(&self) -> Self::Key {
            #value
        }
    }
}

fn to_row(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let schema = &model.name;
    let values = model.columns().map(|field| {
        let (ident, column) = (&field.ident, &field.column);
        let position = field.field_type.span;
        let (runtime, codec) = (model.runtime.path_at(position), codec(model, field));
        let encode = Ident::new(if field.field_type.is_deferred { "encode_deferred" } else { "encode" }, at(position));
        quote_spanned!(at(position)=> #runtime::#encode(#codec, &self.#ident, #schema, #column)?)
    });
    // The store fills in the blind indexes.
    let blind = model.columns().filter_map(Field::blind_index).map(|_| quote!(#runtime::Value::Null));
    let values = values.chain(blind);
    quote! {
        fn to_row(&self) -> #runtime::Result<#runtime::Row<'_>> {
            #runtime::std::result::Result::Ok(#runtime::std::vec![#(#values),*])
        }
    }
}

fn from_row(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let schema = &model.name;
    let values: Vec<Ident> = (0..model.columns().count()).map(|position| format_ident!("__value_{position}")).collect();
    let stored = model.columns().zip(&values).map(|(field, value)| {
        let (ident, column) = (&field.ident, &field.column);
        let position = field.field_type.span;
        let (runtime, codec) = (model.runtime.path_at(position), codec(model, field));
        let decode = Ident::new(if field.field_type.is_deferred { "decode_deferred" } else { "decode" }, at(position));
        let decoded = quote_spanned!(at(position)=> #runtime::#decode(#codec, #value, #schema, #column)?);
        quote!(#ident: #decoded)
    });
    let skipped = model.fields.iter().filter(|field| field.tags.has(Tag::Skip)).map(|field| skipped(model, field));
    let blind = model.columns().filter_map(Field::blind_index).map(|_| quote!(_));
    let patterns: Vec<TokenStream> = values.iter().map(ToTokens::to_token_stream).chain(blind).collect();
    let count = patterns.len();
    quote! {
        fn from_row(__row: #runtime::Row<'static>) -> #runtime::Result<Self> {
            let [#(#patterns),*] = #runtime::columns::<#count>(__row, #schema)?;
            #runtime::std::result::Result::Ok(Self { #(#stored,)* #(#skipped,)* })
        }
    }
}

/// A field that is not stored, spanned at its type so that one without `Default` is reported there.
fn skipped(model: &Model, field: &Field) -> TokenStream {
    let runtime = model.runtime.path_at(field.field_type.span);
    let (ident, field_type) = (&field.ident, &field.field_type.stored);
    let value = quote_spanned!(at(field.field_type.span)=> <#field_type as #runtime::Skipped>::value());
    quote!(#ident: #value)
}
