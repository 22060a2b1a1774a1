//! What only the compiler can check, because it knows the types: each as a constant whose evaluation fails with a message.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::input;
use crate::runtime::at;
use crate::schema::model::{DefaultValue, Field, Model, Tag};

pub(super) fn expand(model: &Model) -> TokenStream {
    let mut assertions = TokenStream::new();
    for field in model.columns() {
        key_part(model, field, &mut assertions);
        stamp(model, field, &mut assertions);
        default(model, field, &mut assertions);
        tag(model, field, &mut assertions);
        for tag in [Tag::Unique, Tag::Index] {
            if field.tags.has(tag) {
                assertions.extend(not_json(model, field, field.field_type.span));
                break;
            }
        }
    }
    for column in model.indexes.iter().flat_map(|index| &index.columns) {
        let name = input::plain_name(column);
        if let Some(field) = model.columns().find(|field| field.column == name) {
            assertions.extend(not_json(model, field, column.span()));
        }
    }
    assertions
}

/// The tuple is checked where it is used, but as a whole: this names the part.
fn key_part(model: &Model, field: &Field, assertions: &mut TokenStream) {
    if field.tags.has(Tag::PrimaryKey) && model.key().count() > 1 {
        let position = field.field_type.span;
        let (runtime, stored) = (model.runtime.path_at(position), &field.field_type.stored);
        assertions.extend(quote_spanned!(at(position)=> const _: () = #runtime::require_key_part::<#stored>();));
    }
}

fn stamp(model: &Model, field: &Field, assertions: &mut TokenStream) {
    for tag in [Tag::AutoNow, Tag::AutoNowAdd] {
        if field.tags.has(tag) {
            let message = format!("`{}` needs a time field such as `SystemTime`", tag.name());
            assertions.extend(is_of_type(model, field, field.field_type.span, &quote!(Time), &message));
        }
    }
}

/// Numbers are checked by the compiler at their literal. Text is not a constant of any owned type, so its column is.
fn default(model: &Model, field: &Field, assertions: &mut TokenStream) {
    let Some(default) = &field.tags.default else { return };
    let (inner, literal) = (&field.field_type.inner, &default.tokens);
    match &default.value {
        DefaultValue::Text(_) => {
            let message = "a default of text needs a text field such as `String`; give other fields a number or `true`, or compute their value in Rust";
            assertions.extend(is_of_type(model, field, default.span, &quote!(Text), message));
        }
        DefaultValue::Bool(_) | DefaultValue::Integer(_) | DefaultValue::Double(_) => {
            assertions.extend(quote_spanned!(at(default.span)=> const _: #inner = #literal;));
        }
    }
}

fn tag(model: &Model, field: &Field, assertions: &mut TokenStream) {
    if field.tags.has(Tag::OfRecord) {
        let message = "a tag is text, an integer, a boolean or a UUID; move what records are told apart by into a field of such a type";
        let others = [quote!(Double), quote!(Bytes), quote!(Time), quote!(Json)].map(|variant| column_type_is(model, field, &variant));
        assertions.extend(assertion(model, field.field_type.span, &quote!(!(#(#others)||*)), message));
    }
}

fn not_json(model: &Model, field: &Field, span: Span) -> TokenStream {
    let message = "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own";
    let json = column_type_is(model, field, &quote!(Json));
    assertion(model, span, &quote!(!#json), message)
}

fn is_of_type(model: &Model, field: &Field, span: Span, variant: &TokenStream, message: &str) -> TokenStream {
    let condition = column_type_is(model, field, variant);
    assertion(model, span, &condition, message)
}

fn column_type_is(model: &Model, field: &Field, variant: &TokenStream) -> TokenStream {
    let runtime = model.runtime.path();
    let stored = &field.field_type.stored;
    quote!(#runtime::std::matches!(#runtime::Probe::<#stored>::COLUMN_TYPE, #runtime::ColumnType::#variant))
}

fn assertion(model: &Model, position: Span, condition: &TokenStream, message: &str) -> TokenStream {
    let runtime = model.runtime.path_at(position);
    quote_spanned!(at(position)=> const _: () = #runtime::require(#condition, #message);)
}
