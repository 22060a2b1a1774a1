//! What `Schema::definition` says of the table: indexes, partitions, references and checks.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::definition::{default_value, optional, variant};
use crate::input;
use crate::schema::model::{Index, Model, Partition, Partitioning, Period, Reference};

pub(super) fn index(runtime: &Ident, index: &Index) -> TokenStream {
    let columns = names(&index.columns);
    let unique = index.unique;
    let name = optional(runtime, index.name.as_ref().map(|(name, _)| quote!(#name)));
    let kind = variant(runtime, "IndexKind", index.kind.variant());
    let include = names(&index.include);
    let condition = optional(runtime, index.condition.as_ref().map(|(condition, _)| quote!(#condition)));
    quote! {
        #runtime::IndexDefinition {
            name: #name,
            columns: #runtime::std::vec![#(#columns),*],
            unique: #unique,
            kind: #kind,
            include: #runtime::std::vec![#(#include),*],
            condition: #condition
        }
    }
}

/// The calls that follow the definition's `new`; none for most models.
pub(super) fn settings(runtime: &Ident, model: &Model) -> TokenStream {
    let mut settings = TokenStream::new();
    if let Some(found) = &model.partition {
        let partition = partition(runtime, found);
        settings.extend(quote!(.with_partition(#partition)));
    }
    if !model.references.is_empty() {
        let references = model.references.iter().map(|found| reference(runtime, found));
        settings.extend(quote!(.with_references(#runtime::std::vec![#(#references),*])));
    }
    if !model.checks.is_empty() {
        let checks = model.checks.iter().map(|check| {
            let column = optional(runtime, check.column.as_ref().map(|column| quote!(#column)));
            let condition = &check.condition;
            quote!(#runtime::CheckDefinition { column: #column, condition: #condition })
        });
        settings.extend(quote!(.with_checks(#runtime::std::vec![#(#checks),*])));
    }
    settings
}

fn partition(runtime: &Ident, partition: &Partition) -> TokenStream {
    let column = input::plain_name(&partition.column);
    let partitioning = match &partition.partitioning {
        Partitioning::Range { every, ahead } => {
            let every = match every {
                Period::Days(days) => quote!(Days(#days)),
                Period::Months(months) => quote!(Months(#months)),
            };
            quote!(Range { every: #runtime::Period::#every, ahead: #ahead })
        }
        Partitioning::List { values } => {
            let values = values.iter().map(|value| default_value(runtime, value));
            quote!(List { values: #runtime::std::vec![#(#values),*] })
        }
        Partitioning::Hash { partitions } => quote!(Hash { partitions: #partitions }),
    };
    quote!(#runtime::PartitionDefinition { column: #column, partitioning: #runtime::Partitioning::#partitioning })
}

fn reference(runtime: &Ident, reference: &Reference) -> TokenStream {
    let (columns, target_columns) = (names(&reference.columns), names(&reference.target_columns));
    let target = &reference.target;
    let on_delete = variant(runtime, "OnDelete", reference.on_delete);
    quote! {
        #runtime::ReferenceDefinition {
            columns: #runtime::std::vec![#(#columns),*],
            target: <#target as #runtime::Schema>::definition,
            target_columns: #runtime::std::vec![#(#target_columns),*],
            on_delete: #on_delete
        }
    }
}

fn names(idents: &[Ident]) -> Vec<String> {
    idents.iter().map(input::plain_name).collect()
}
