//! `#[derive(Projection)]`: a struct that is read from some columns of a model.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, LitStr, Path, Type};

use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::runtime::{Runtime, at};
use crate::{input, suggestion};

/// The code for one struct, or its errors.
pub(crate) fn derive(input: &DeriveInput, runtime: &Runtime) -> Result<TokenStream, TokenStream> {
    let context = Context::new();
    let projection = read(&context, input, runtime);
    context.finish()?;
    Ok(projection.as_ref().map(expand).unwrap_or_default())
}

struct Projection<'a> {
    ident: &'a Ident,
    model: Path,
    runtime: Runtime,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    ident: &'a Ident,
    /// The model's function for the column.
    column: Ident,
    field_type: &'a Type,
}

fn read<'a>(context: &Context, input: &'a DeriveInput, runtime: &Runtime) -> Option<Projection<'a>> {
    let (mut model, mut given_runtime) = (None, None);
    let mut of_is_given = false;
    for argument in Argument::of_attributes(context, &input.attrs, "projection") {
        match argument.name.to_string().as_str() {
            "of" => {
                of_is_given = true;
                if let Some(path) = argument.path(context, "of = City") {
                    set_once(context, &mut model, &argument.name, path);
                }
            }
            "crate" => {
                if let Some(runtime) = Runtime::of_argument(context, &argument) {
                    set_once(context, &mut given_runtime, &argument.name, runtime);
                }
            }
            "column" => context.error(argument.span(), "`column` belongs on a field, not on the struct"),
            other => context.error(argument.span(), suggestion::unknown("argument", other, &["of", "crate"])),
        }
    }
    if !of_is_given {
        context.error(input.ident.span(), "the model is missing; name it: `#[projection(of = City)]`");
    }
    let fields = input::named_fields(context, input, "Projection")?
        .into_iter()
        .map(|(ident, field)| Field { ident, column: column(context, ident, &field.attrs), field_type: &field.ty })
        .collect();
    Some(Projection { ident: &input.ident, model: model?, runtime: given_runtime.unwrap_or_else(|| runtime.clone()), fields })
}

/// The column that a field reads: the one of its name unless it says otherwise.
fn column(context: &Context, ident: &Ident, attributes: &[syn::Attribute]) -> Ident {
    let mut column = None;
    for argument in Argument::of_attributes(context, attributes, "projection") {
        match argument.name.to_string().as_str() {
            "column" => {
                if let Some(text) = argument.text(context, "column = \"population\"") {
                    match function_name(&text) {
                        Some(name) => set_once(context, &mut column, &argument.name, name),
                        None => {
                            context.error(text.span(), "`column` takes the name of one of the model's fields: `column = \"population\"`")
                        }
                    }
                }
            }
            "of" | "crate" => context.error(argument.span(), format!("`{}` belongs on the struct, not on a field", argument.name)),
            other => context.error(argument.span(), suggestion::unknown("argument", other, &["column"])),
        }
    }
    column.unwrap_or_else(|| ident.clone())
}

/// The identifier that a string names: a keyword gets its `r#`, without which no field has its name.
fn function_name(text: &LitStr) -> Option<Ident> {
    if let Ok(ident) = text.parse::<Ident>() {
        return Some(ident);
    }
    let keyword = text.parse_with(Ident::parse_any).ok()?;
    let can_be_raw = !["self", "Self", "super", "crate", "_"].iter().any(|never_raw| keyword == never_raw);
    can_be_raw.then(|| Ident::new_raw(&keyword.to_string(), text.span()))
}

fn expand(projection: &Projection<'_>) -> TokenStream {
    let Projection { ident, model, fields, .. } = projection;
    let runtime = projection.runtime.path();
    let columns: Vec<TokenStream> = fields
        .iter()
        .map(|Field { column, .. }| {
            let model = located_at(model.to_token_stream(), column.span());
            quote_spanned!(at(column.span())=> <#model>::#column())
        })
        .collect();
    let missing = missing_columns(projection);
    let types = fields.iter().map(|Field { field_type, .. }| {
        let runtime = projection.runtime.path_at(field_type.span());
        quote_spanned!(at(field_type.span())=> #runtime::Column<#model, #field_type>)
    });
    let typed: Vec<Ident> = (0..fields.len()).map(|position| format_ident!("__column_{position}")).collect();
    let values: Vec<Ident> = (0..fields.len()).map(|position| format_ident!("__value_{position}")).collect();
    let names = fields.iter().map(|field| field.ident);
    let count = fields.len();
    let name = ident.to_string();
    projection.runtime.scope(&quote! {
        #missing

        #[automatically_derived]
        impl #runtime::Projection<#model> for #ident {
            fn columns() -> #runtime::std::vec::Vec<&'static #runtime::std::primitive::str> {
                #runtime::std::vec![#(#columns.name()),*]
            }

            fn from_values(__row: #runtime::Row<'static>) -> #runtime::Result<Self> {
                let [#(#values),*] = #runtime::columns::<#count>(__row, #name)?;
                #(let #typed: #types = #columns;)*
                #runtime::std::result::Result::Ok(Self { #(#names: #runtime::decode_column(#typed, #values)?,)* })
            }
        }
    })
}

/// The same tokens, reported elsewhere.
fn located_at(tokens: TokenStream, position: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(position));
            token
        })
        .collect()
}

/// Functions that are called in place of those that the model lacks, and cannot be: they say that the model has no such column. Its own ones count
/// before those of a trait.
fn missing_columns(projection: &Projection<'_>) -> TokenStream {
    let runtime = projection.runtime.path();
    let mut columns: Vec<Ident> = projection.fields.iter().map(|field| field.column.clone()).collect();
    columns.sort();
    columns.dedup();
    for column in &mut columns {
        column.set_span(at(column.span()));
    }
    quote! {
        trait __MissingColumns: #runtime::std::marker::Sized {
            #(fn #columns<__Field>() -> #runtime::Column<Self, __Field> where Self: #runtime::HasColumn { #runtime::std::unreachable!() })*
        }
        impl<__Model> __MissingColumns for __Model {}
    }
}
