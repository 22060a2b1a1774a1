//! What only the compiler can check, because it knows the types: each as a constant whose evaluation fails with a message.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::input;
use crate::runtime::at;
use crate::schema::model::{DefaultValue, Field, IndexKind, Model, Partitioning, Reference, Tag};

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
    for index in &model.indexes {
        for (column, field) in index.columns.iter().filter_map(|column| Some((column, field_of(model, column)?))) {
            if index.kind == IndexKind::GinTrigram {
                let message = "a trigram index is of text: take a field such as `String`, or the kind `btree`";
                assertions.extend(is_of_type(model, field, column.span(), &quote!(Text), message));
            } else {
                assertions.extend(not_json(model, field, column.span()));
            }
        }
    }
    partition(model, &mut assertions);
    for reference in &model.references {
        self::reference(model, reference, &mut assertions);
    }
    assertions
}

fn field_of<'a>(model: &'a Model, column: &Ident) -> Option<&'a Field> {
    let name = input::plain_name(column);
    model.columns().find(|field| field.column == name)
}

fn partition(model: &Model, assertions: &mut TokenStream) {
    let Some(partition) = &model.partition else { return };
    let Some(field) = field_of(model, &partition.column) else { return };
    match &partition.partitioning {
        Partitioning::Range { .. } => {
            let message = "partitions of a range are periods of time, so that they need a time field; one of a key is a `Timestamp`";
            assertions.extend(is_of_type(model, field, partition.column.span(), &quote!(Time), message));
        }
        Partitioning::List { values } => {
            for value in values {
                let message = "the value is not of the column's type; write text for a text field, `true` or `false` for a boolean, else a whole number";
                let types = match value.value {
                    DefaultValue::Text(_) => vec![quote!(Text)],
                    DefaultValue::Bool(_) => vec![quote!(Bool)],
                    _ => vec![quote!(SmallInt), quote!(Integer), quote!(BigInt)],
                };
                let types = types.iter().map(|variant| column_type_is(model, field, variant));
                assertions.extend(assertion(model, value.span, &quote!(#(#types)||*), message));
            }
        }
        Partitioning::Hash { .. } => {}
    }
}

/// The functions of the other model's columns tell that these are there.
fn reference(model: &Model, reference: &Reference, assertions: &mut TokenStream) {
    let target = &reference.target;
    for (column, own) in reference.target_columns.iter().zip(&reference.columns) {
        let position = column.span();
        let Some(field) = field_of(model, own) else {
            assertions.extend(quote_spanned!(at(position)=> const _: fn() = || { let _ = #target::#column; };));
            continue;
        };
        let (runtime, stored) = (model.runtime.path_at(position), &field.field_type.stored);
        let described = target.segments.last().map(|model| format!("{}::{}", model.ident, input::plain_name(column)));
        let own = &field.column;
        assertions.extend(quote_spanned!(at(position)=>
            const _: () = #runtime::require_same_type(#own, #runtime::Probe::<#stored>::COLUMN_TYPE, #described, #runtime::column_type(#target::#column));
        ));
    }
    for (column, field) in reference.columns.iter().filter_map(|column| Some((column, field_of(model, column)?))) {
        if reference.on_delete == "SetNull" && !field.tags.has(Tag::Nullable) {
            let (runtime, stored) = (model.runtime.path(), &field.field_type.stored);
            let nullable = quote!(#runtime::Probe::<#stored>::NULLABLE);
            let message = format!(
                "`set_null` needs a field that may be NULL: make `{}` an `Option`, or delete the record with `cascade`",
                field.column
            );
            assertions.extend(assertion(model, reference.on_delete_span, &nullable, &message));
        }
        assertions.extend(not_json(model, field, column.span()));
    }
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
