//! `#[derive(Document)]`: a nested value whose form has versions.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput};

use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::runtime::{Runtime, at};
use crate::schema::Versions;
use crate::suggestion;

/// The code for one type, or its errors.
pub(crate) fn derive(input: &DeriveInput, runtime: &Runtime) -> Result<TokenStream, TokenStream> {
    let context = Context::new();
    let (mut versions, mut given_runtime) = (Versions::default(), None);
    for argument in Argument::of_attributes(&context, &input.attrs, "document") {
        match argument.name.to_string().as_str() {
            "version" | "upgrade_from" => versions.read(&context, &argument, "AddressV1"),
            "crate" => {
                if let Some(runtime) = Runtime::of_argument(&context, &argument) {
                    set_once(&context, &mut given_runtime, &argument.name, runtime);
                }
            }
            other => context.error(argument.span(), suggestion::unknown("argument", other, &["version", "upgrade_from", "crate"])),
        }
    }
    versions.check(&context, 0);
    if versions.version.is_none() && versions.older.is_none() && context.count() == 0 {
        let message = "the version is missing; write `#[document(version = 1)]`, or 0 for documents that were stored without one";
        context.error(input.ident.span(), message);
    }
    if !input.generics.params.is_empty() {
        context.error(input.generics.span(), "`Document` takes no generic type: each has versions of its own; write one type for each");
    }
    check_names(&context, input);
    context.finish()?;
    Ok(expand(input, &versions, given_runtime.as_ref().unwrap_or(runtime)))
}

/// Where the version stands in a document.
const VERSION: &str = "_v";

/// Notes what would stand in a document under the name of its version.
fn check_names(context: &Context, input: &DeriveInput) {
    let message = "a document holds its version in `_v`; give this another name";
    if serde_name(&input.attrs, "tag").as_deref() == Some(VERSION) {
        context.error(input.ident.span(), message);
    }
    let fields: Vec<&syn::Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    for field in fields {
        let name = serde_name(&field.attrs, "rename").or_else(|| field.ident.as_ref().map(crate::input::plain_name));
        if name.as_deref() == Some(VERSION) {
            context.error(field.ident.as_ref().map_or_else(|| field.span(), Spanned::span), message);
        }
    }
}

/// The name that an argument of serde gives. What serde refuses, it refuses itself.
fn serde_name(attributes: &[Attribute], argument: &str) -> Option<String> {
    let mut name = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            } else if meta.input.peek(syn::Token![=]) {
                let value: syn::Expr = meta.value()?.parse()?;
                if let (true, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) = (meta.path.is_ident(argument), value) {
                    name = Some(text.value());
                }
            }
            Ok(())
        });
    }
    name
}

fn expand(input: &DeriveInput, versions: &Versions, given: &Runtime) -> TokenStream {
    let (runtime, ident) = (given.path(), &input.ident);
    let version = versions.version.map_or(0, |(version, _)| version);
    let read = match &versions.older {
        None => quote!(#runtime::document::<Self>(__version, __document)),
        Some((older, _)) => {
            let position = older.span();
            let runtime = given.path_at(position);
            quote_spanned!(at(position)=> #runtime::upgraded_document::<Self, #older>(__version, __document))
        }
    };
    let order = versions.expand_order(given, ident, "Document");
    given.scope(&quote! {
        #[automatically_derived]
        impl #runtime::Document for #ident {
            const VERSION: #runtime::std::primitive::u32 = #version;

            fn of_version(
                __version: #runtime::std::primitive::u32,
                __document: #runtime::DocumentContent,
            ) -> #runtime::std::result::Result<Self, #runtime::UpgradeError> {
                #read
            }
        }

        #order
    })
}
