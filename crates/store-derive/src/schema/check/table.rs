//! What PostgreSQL would refuse of a table: told when the program is built, with what mends it.

use std::collections::HashMap;

use proc_macro2::{Ident, Span};

use crate::context::Context;
use crate::schema::model::{Index, IndexKind, Model, Partition, Partitioning, Tag};
use crate::{input, name, suggestion};

/// Notes the errors of the table's name, indexes, partitions, references and checks.
pub(super) fn check(context: &Context, model: &Model) {
    check_name(context, model);
    check_indexes(context, model);
    if let Some(partition) = &model.partition {
        check_partition(context, model, partition);
    }
    for reference in &model.references {
        check_columns(context, model, &reference.columns, "reference");
    }
    for (position, check) in model.checks.iter().enumerate() {
        if model.checks[..position].iter().any(|earlier| (&earlier.column, &earlier.condition) == (&check.column, &check.condition)) {
            context.error(check.span, "the same check stands here already; remove it");
        }
        if check.column.as_ref().is_some_and(|column| is_encrypted(model, column)) {
            context
                .error(check.span, "the field is encrypted, so that the database cannot check it; remove `check`, or remove `encrypted`");
        } else {
            check_condition(context, model, &check.condition, check.condition_span);
        }
    }
}

/// The schema's name is the table's too, where nothing else names that.
fn check_name(context: &Context, model: &Model) {
    let is_table = model.policies.cache_only.is_none() && model.policies.l3.as_ref().is_none_or(|truth| truth.table.is_none());
    if let (true, Err(reason)) = (is_table, name::check_sqlite(&model.name)) {
        context.error(model.name_span, format!("{reason}, with `#[schema(table = \"…\")]`"));
    }
}

/// Notes a column that a condition reads and the database cannot.
fn check_condition(context: &Context, model: &Model, condition: &str, span: Span) {
    for field in model.columns().filter(|field| field.tags.has(Tag::Encrypted)) {
        let column = &field.column;
        let blind = format!("{column}_blind");
        if name::reads(condition, &blind) && !model.columns().any(|other| other.column == blind) {
            let message = format!(
                "`{blind}` holds what the store makes of `{column}` with a key, which no condition can name; take it out of the condition"
            );
            context.error(span, message);
        }
        if !name::reads(condition, column) {
            continue;
        }
        let message = format!(
            "`{column}` is encrypted, so that the database can only tell whether it is NULL; take it out of the condition, or remove `encrypted` from the field"
        );
        context.error(span, message);
    }
}

fn check_indexes(context: &Context, model: &Model) {
    let mut seen = Vec::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    for index in &model.indexes {
        let columns: Vec<String> = index.columns.iter().map(input::plain_name).collect();
        check_columns(context, model, &index.columns, "index");
        check_columns(context, model, &index.include, "index");
        check_kind(context, index);
        check_index_name(context, index, &mut names);
        if let Some((condition, span)) = &index.condition {
            check_condition(context, model, condition, *span);
        }
        let include: Vec<String> = index.include.iter().map(input::plain_name).collect();
        let this = (columns, index.unique, index.kind.variant(), include, index.condition.as_ref().map(|(condition, _)| condition));
        if seen.contains(&this) {
            context.error(index.span, "an index of these columns is declared already; remove one of them");
        }
        seen.push(this);
    }
}

fn check_index_name<'a>(context: &Context, index: &'a Index, names: &mut HashMap<&'a str, Span>) {
    if let Some((name, span)) = &index.name
        && names.insert(name, *span).is_some()
    {
        context.error(*span, format!("another index has the name `{name}`; choose a different one"));
    }
}

/// Notes columns that there are not, or that are named twice in one list.
fn check_columns(context: &Context, model: &Model, columns: &[Ident], of: &str) {
    let known: Vec<&str> = model.columns().map(|field| field.column.as_str()).collect();
    for (position, ident) in columns.iter().enumerate() {
        let (column, span) = (input::plain_name(ident), ident.span());
        if model.fields.iter().any(|field| field.tags.has(Tag::Skip) && field.column == column) {
            context.error(span, format!("the field `{column}` is skipped, so it has no column; remove it here, or remove `skip`"));
        } else if !known.contains(&column.as_str()) {
            context.error(span, suggestion::unknown("column", &column, &known));
        } else if is_encrypted(model, &column) {
            let message = match of {
                "index" => format!(
                    "`{column}` is encrypted, and found by itself alone; remove it here, and write `encrypted, index` or `encrypted, unique` at the field"
                ),
                _ => {
                    format!("`{column}` is encrypted, so that the database cannot read it; remove it from the {of}, or remove `encrypted`")
                }
            };
            context.error(span, message);
        } else if columns[..position].iter().any(|earlier| input::plain_name(earlier) == column) {
            context.error(span, format!("the column `{column}` is in this {of} already; remove it"));
        }
    }
}

fn is_encrypted(model: &Model, column: &str) -> bool {
    model.columns().any(|field| field.tags.has(Tag::Encrypted) && field.column == column)
}

fn check_kind(context: &Context, index: &Index) {
    if index.kind == IndexKind::GinTrigram {
        if index.unique {
            context.error(
                index.kind_span,
                "an index of the kind `gin_trigram` cannot be unique in PostgreSQL; remove `unique` here, and put it on the field or on an index of its own",
            );
        }
        if let Some(first) = index.include.first() {
            let message =
                "only a `btree` index includes columns, and `gin_trigram` finds texts that are alike; remove `include`, or the kind";
            context.error(first.span(), message);
        }
    }
    for include in &index.include {
        if index.columns.iter().any(|column| input::plain_name(column) == input::plain_name(include)) {
            context.error(
                include.span(),
                format!("the column `{}` is in this index already; remove it from `include`", input::plain_name(include)),
            );
        }
    }
}

fn check_partition(context: &Context, model: &Model, partition: &Partition) {
    let (column, span) = (input::plain_name(&partition.column), partition.column.span());
    check_columns(context, model, std::slice::from_ref(&partition.column), "partition");
    let Some(field) = model.columns().find(|field| field.column == column) else { return };
    const EACH: &str = "PostgreSQL keeps values unique within each partition alone";
    if !field.tags.has(Tag::PrimaryKey) {
        let message = format!(
            "{EACH}, so that the primary key must hold the column that says which one it is: put `primary_key` on `{column}` too, or divide by a column of the key"
        );
        context.error(span, message);
    }
    for other in model.columns().filter(|other| other.column != column) {
        if let Some(span) = other.tags.span(Tag::Unique) {
            let message = format!(
                "{EACH}, so that nothing would keep `{0}` unique in the table; declare `index(columns({0}, {column}), unique)`, or do not divide it",
                other.column
            );
            context.error(span, message);
        }
    }
    for index in model.indexes.iter().filter(|index| index.unique) {
        if !index.columns.iter().any(|other| input::plain_name(other) == column) {
            context.error(index.span, format!("{EACH}; add `{column}` to the columns of this unique index, or do not divide the table"));
        }
    }
    if let Partitioning::List { values } = &partition.partitioning {
        for (position, value) in values.iter().enumerate() {
            if values[..position].iter().any(|earlier| earlier.value == value.value) {
                context.error(value.span, "this value has a partition already; remove it");
            }
        }
    }
}
