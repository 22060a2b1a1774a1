//! `Schema::definition`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote};

use super::table;
use crate::schema::model::{DefaultLiteral, DefaultValue, Field, Lifetime, Model, Policies, Tag};

pub(super) fn expand(model: &Model) -> TokenStream {
    let runtime = model.runtime.path();
    let name = &model.name;
    let columns = model.columns().map(|field| column(model, field)).chain(model.columns().filter_map(|field| blind_index(model, field)));
    let indexes = model.indexes.iter().map(|index| table::index(&runtime, index));
    let of_table = table::settings(&runtime, model);
    let policies = policies(&runtime, &model.policies);
    let version = model.version.version.map(|(version, _)| quote!(.with_version(#version)));
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
                #of_table
                #version
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
    let is_encrypted = tags.has(Tag::Encrypted);
    for (tag, setting) in
        [(Tag::PrimaryKey, quote!(is_key)), (Tag::Unique, quote!(unique)), (Tag::Index, quote!(indexed)), (Tag::OfRecord, quote!(is_tag))]
    {
        // The blind index has them.
        if tags.has(tag) && !is_encrypted {
            settings.push(quote!(#setting: true));
        }
    }
    if is_encrypted {
        let plain_in_l2 = tags.has(Tag::PlainInL2);
        let blind_index = optional(&runtime, field.blind_index().map(|name| quote!(#name)));
        let encryption = quote!(#runtime::Encryption {
            plain_type: #runtime::Probe::<#stored>::COLUMN_TYPE,
            plain_in_l2: #plain_in_l2,
            blind_index: #blind_index,
        });
        let encryption = optional(&runtime, Some(encryption));
        settings.push(quote!(encryption: #encryption));
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
    if !is_encrypted && !tags.has(Tag::Nullable) && !tags.has(Tag::PrimaryKey) && tags.default.is_none() && !field.field_type.is_option {
        settings.push(quote!(filler: (&&&#runtime::Probe::<#stored>::NEW).strata_filler()));
    }
    let column_type = if is_encrypted { quote!(#runtime::ColumnType::Bytes) } else { quote!(#runtime::Probe::<#stored>::COLUMN_TYPE) };
    quote! {
        #runtime::ColumnDefinition {
            #(#settings,)*
            ..#runtime::ColumnDefinition::new(#name, #column_type)
        }
    }
}

/// The column by which the truth finds equal values of an encrypted field. Rows that are older than it may lack it.
fn blind_index(model: &Model, field: &Field) -> Option<TokenStream> {
    let runtime = model.runtime.path();
    let name = field.blind_index()?;
    let of = optional(&runtime, Some(field.column.to_token_stream()));
    let (unique, indexed) = (field.tags.has(Tag::Unique), field.tags.has(Tag::Index));
    Some(quote! {
        #runtime::ColumnDefinition {
            nullable: true,
            unique: #unique,
            indexed: #indexed,
            residence: #runtime::Residence::TruthOnly,
            blind_of: #of,
            ..#runtime::ColumnDefinition::new(#name, #runtime::ColumnType::Bytes)
        }
    })
}

pub(super) fn default_value(runtime: &Ident, default: &DefaultLiteral) -> TokenStream {
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
    let upgrades = match (policies.upgrade_policy, policies.upgrade_incomplete) {
        (None, None) => default(runtime),
        (policy, incomplete) => {
            let policy = optional(runtime, policy.map(|policy| variant(runtime, "UpgradePolicy", policy)));
            let incomplete = incomplete.is_some();
            quote!(#runtime::UpgradePolicies { policy: #policy, incomplete: #incomplete })
        }
    };
    quote! {
        #runtime::Policies {
            near: #near, shared: #shared, truth: #truth, negative_ttl: #negative_ttl, write_mode: #write_mode, cache_only: #cache_only,
            upgrades: #upgrades
        }
    }
}

fn lifetime(runtime: &Ident, lifetime: Option<Lifetime>) -> TokenStream {
    match lifetime {
        Some(Lifetime::Never) => quote!(#runtime::Lifetime::Never),
        Some(Lifetime::Milliseconds(milliseconds)) => quote!(#runtime::lifetime(#milliseconds)),
        Some(Lifetime::Inherit) | None => quote!(#runtime::Lifetime::Inherit),
    }
}

pub(super) fn variant(runtime: &Ident, enumeration: &str, variant: &str) -> TokenStream {
    let (enumeration, variant) = (Ident::new(enumeration, Span::call_site()), Ident::new(variant, Span::call_site()));
    quote!(#runtime::#enumeration::#variant)
}

fn default(runtime: &Ident) -> TokenStream {
    quote!(#runtime::std::default::Default::default())
}

fn owned(runtime: &Ident, text: &str) -> TokenStream {
    quote!(#runtime::std::convert::From::from(#text))
}

pub(super) fn optional(runtime: &Ident, value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(#runtime::std::option::Option::Some(#value)),
        None => quote!(#runtime::std::option::Option::None),
    }
}
