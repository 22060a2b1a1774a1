//! `Schema::definition`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;

use crate::input;
use crate::schema::model::{DefaultLiteral, DefaultValue, Field, Lifetime, Model, Policies, Tag};

pub(super) fn expand(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let name = &model.name;
    let columns = model.columns().map(|field| column(model, field));
    let indexes = model.indexes.iter().map(|index| {
        let columns = index.columns.iter().map(input::plain_name);
        let unique = index.unique;
        let name = optional(&runtime, index.name.as_ref().map(|(name, _)| quote!(#name)));
        quote!(#runtime::IndexDefinition { name: #name, columns: #runtime::std::vec![#(#columns),*], unique: #unique })
    });
    let policies = policies(&runtime, &model.policies);
    quote! {
        fn definition() -> &'static #runtime::SchemaDefinition {
            static __DEFINITION: #runtime::std::sync::OnceLock<#runtime::SchemaDefinition> = #runtime::std::sync::OnceLock::new();
            __DEFINITION.get_or_init(|| {
                #runtime::SchemaDefinition::new(
                    #name,
                    #runtime::std::vec![#(#columns),*],
                    #runtime::std::vec![#(#indexes),*],
                    #policies,
                )
            })
        }
    }
}

fn column(model: &Model, field: &Field) -> TokenStream {
    let runtime = model.runtime.path();
    let name = &field.column;
    let stored = &field.field_type.stored;
    let tags = &field.tags;
    let mut settings = Vec::new();
    if tags.has(Tag::Nullable) {
        settings.push(quote!(nullable: true));
    } else {
        settings.push(quote!(nullable: #runtime::Probe::<#stored>::NULLABLE));
    }
    for (tag, setting) in
        [(Tag::PrimaryKey, quote!(is_key)), (Tag::Unique, quote!(unique)), (Tag::Index, quote!(indexed)), (Tag::OfRecord, quote!(is_tag))]
    {
        if tags.has(tag) {
            settings.push(quote!(#setting: true));
        }
    }
    if let Some(default) = &tags.default {
        let value = default_value(&runtime, default);
        let value = optional(&runtime, Some(value));
        settings.push(quote!(default: #value));
    }
    for (tag, variant) in [(Tag::AutoNowAdd, quote!(OnInsert)), (Tag::AutoNow, quote!(OnWrite))] {
        if tags.has(tag) {
            settings.push(quote!(stamp: #runtime::Stamp::#variant));
        }
    }
    for (tag, variant) in [(Tag::OmitL1, quote!(NotNear)), (Tag::OmitCache, quote!(TruthOnly))] {
        if tags.has(tag) {
            settings.push(quote!(residence: #runtime::Residence::#variant));
        }
    }
    // A column that may be NULL, or has a default, needs none.
    if !tags.has(Tag::Nullable) && !tags.has(Tag::PrimaryKey) && tags.default.is_none() && !field.field_type.is_option {
        settings.push(quote!(filler: (&&&#runtime::Probe::<#stored>::NEW).strata_filler()));
    }
    quote! {
        #runtime::ColumnDefinition {
            #(#settings,)*
            ..#runtime::ColumnDefinition::new(#name, #runtime::Probe::<#stored>::COLUMN_TYPE)
        }
    }
}

fn default_value(runtime: &Ident, default: &DefaultLiteral) -> TokenStream {
    match &default.value {
        DefaultValue::Bool(value) => quote!(#runtime::DefaultValue::Bool(#value)),
        DefaultValue::Integer(value) => {
            let value = Literal::i64_suffixed(*value);
            quote!(#runtime::DefaultValue::Integer(#value))
        }
        DefaultValue::Double(value) => {
            let value = Literal::f64_suffixed(*value);
            quote!(#runtime::DefaultValue::Double(#value))
        }
        DefaultValue::Text(value) => quote!(#runtime::DefaultValue::Text(#value)),
    }
}

fn policies(runtime: &Ident, policies: &Policies) -> TokenStream {
    let near = match &policies.l1 {
        Some(near) => {
            let ttl = lifetime(runtime, near.ttl);
            let max_entries = optional(runtime, near.max_entries.map(|entries| quote!(#entries)));
            let eviction = optional(runtime, near.eviction.map(|eviction| variant(runtime, "Eviction", eviction)));
            quote!(#runtime::NearPolicy { ttl: #ttl, max_entries: #max_entries, eviction: #eviction })
        }
        None => default(runtime),
    };
    let shared = match &policies.l2 {
        Some(shared) => {
            let ttl = lifetime(runtime, shared.ttl);
            let key_prefix = optional(runtime, shared.key_prefix.as_ref().map(|prefix| owned(runtime, prefix)));
            quote!(#runtime::SharedPolicy { ttl: #ttl, key_prefix: #key_prefix })
        }
        None => default(runtime),
    };
    let truth = match policies.l3.as_ref().and_then(|truth| truth.table.as_ref()) {
        Some(table) => {
            let table = optional(runtime, Some(owned(runtime, table)));
            quote!(#runtime::TruthPolicy { table: #table })
        }
        None => default(runtime),
    };
    let negative_ttl = optional(runtime, policies.negative_ttl.map(|milliseconds| quote!(#runtime::duration(#milliseconds))));
    let write_mode = optional(runtime, policies.write_mode.map(|mode| variant(runtime, "WriteMode", mode)));
    let cache_only = policies.cache_only.is_some();
    quote!(#runtime::Policies { near: #near, shared: #shared, truth: #truth, negative_ttl: #negative_ttl, write_mode: #write_mode, cache_only: #cache_only })
}

fn lifetime(runtime: &Ident, lifetime: Option<Lifetime>) -> TokenStream {
    match lifetime {
        Some(Lifetime::Never) => quote!(#runtime::Lifetime::Never),
        Some(Lifetime::Milliseconds(milliseconds)) => quote!(#runtime::lifetime(#milliseconds)),
        Some(Lifetime::Inherit) | None => quote!(#runtime::Lifetime::Inherit),
    }
}

fn variant(runtime: &Ident, enumeration: &str, variant: &str) -> TokenStream {
    let (enumeration, variant) = (Ident::new(enumeration, Span::call_site()), Ident::new(variant, Span::call_site()));
    quote!(#runtime::#enumeration::#variant)
}

fn default(runtime: &Ident) -> TokenStream {
    quote!(#runtime::std::default::Default::default())
}

fn owned(runtime: &Ident, text: &str) -> TokenStream {
    quote!(#runtime::std::convert::From::from(#text))
}

fn optional(runtime: &Ident, value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(#runtime::std::option::Option::Some(#value)),
        None => quote!(#runtime::std::option::Option::None),
    }
}
