//! What a model must satisfy beyond the spelling of its attributes.

use std::collections::HashMap;

use proc_macro2::Span;

use super::model::{DefaultValue, Field, Index, Model, Tag};
use crate::context::Context;
use crate::{input, name, suggestion};

/// The traits of keys end at tuples of four.
pub(super) const LONGEST_KEY: usize = 4;

/// Pairs of tags that contradict each other; the error stands at the second.
const CONFLICTS: [(Tag, Tag, &str); 12] = [
    (Tag::PrimaryKey, Tag::Nullable, "a primary key is never NULL; remove `nullable`"),
    (Tag::PrimaryKey, Tag::Default, "a record is found by its key, so the writer must give it; remove `default`"),
    (Tag::PrimaryKey, Tag::AutoNow, "a record is found by its key, so the writer must give it; remove `auto_now`"),
    (Tag::PrimaryKey, Tag::AutoNowAdd, "a record is found by its key, so the writer must give it; remove `auto_now_add`"),
    (Tag::PrimaryKey, Tag::OmitCache, "every tier needs the key; remove `omit_cache`"),
    (Tag::PrimaryKey, Tag::OmitL1, "every tier needs the key; remove `omit_l1`"),
    (
        Tag::AutoNowAdd,
        Tag::AutoNow,
        "`auto_now` stamps the insert too; remove `auto_now_add`, or `auto_now` to keep the time of the insert",
    ),
    (Tag::AutoNow, Tag::Default, "the store stamps the field on every write, so its default is never used; remove `default`"),
    (Tag::AutoNowAdd, Tag::Default, "the store stamps the field on insert, so its default is never used; remove `default`"),
    (Tag::OmitCache, Tag::OfRecord, "a copy has the tag in every tier, so every tier needs the field; remove `omit_cache`, or `tag`"),
    (Tag::OmitL1, Tag::OfRecord, "a copy has the tag in every tier, so every tier needs the field; remove `omit_l1`, or `tag`"),
    (Tag::OmitCache, Tag::OmitL1, "`omit_cache` leaves the field out of memory too; remove `omit_l1`"),
];

/// Notes every error of the model.
pub(super) fn check(context: &Context, model: &Model) {
    for field in &model.fields {
        check_later_features(context, field);
        if field.tags.has(Tag::Skip) {
            check_skipped(context, field);
        } else {
            check_column(context, model, field);
        }
    }
    check_column_case(context, model);
    check_key(context, model);
    check_indexes(context, model);
    check_cache_only(context, model);
}

fn check_later_features(context: &Context, field: &Field) {
    for (tag, feature) in [(Tag::Encrypted, "encryption"), (Tag::Vector, "vector")] {
        if let Some(span) = field.tags.span(tag) {
            context.error(
                span,
                format!("`{}` comes with Strata's feature `{feature}`, which is not part of this version; remove it", tag.name()),
            );
        }
    }
}

fn check_skipped(context: &Context, field: &Field) {
    for (tag, span) in field.tags.given.iter().filter(|(tag, _)| !matches!(tag, Tag::Skip | Tag::Encrypted | Tag::Vector)) {
        context.error(*span, format!("a skipped field is not stored, so `{}` has no effect; remove it, or remove `skip`", tag.name()));
    }
}

fn check_column(context: &Context, model: &Model, field: &Field) {
    let (tags, span) = (&field.tags, field.ident.span());
    for (first, second, message) in CONFLICTS {
        if tags.has(first)
            && let Some(span) = tags.span(second)
        {
            context.error(span, message);
        }
    }
    if let Err(reason) = name::check_reserved(&field.column).and_then(|()| name::check_length(&field.column)) {
        context.error(span, reason);
    }

    let field_type = &field.field_type;
    if field_type.is_reference {
        context.error(
            field_type.span,
            "a record owns its values; use `String` for text, `Vec<u8>` for bytes, or skip the field with `#[schema(skip)]`",
        );
    }
    if let Some(default) = &tags.default
        && matches!(default.value, DefaultValue::Integer(number) if number < 0)
        && field_type.is_unsigned()
    {
        let reason = format!("`{}` holds no number below 0; give a default from 0 up, or make the field signed", field_type.inner);
        context.error(default.span, reason);
    }
    let omitted = [Tag::OmitCache, Tag::OmitL1].into_iter().find_map(|tag| tags.span(tag).map(|span| (tag, span)));
    match (omitted, field_type.is_deferred) {
        (Some((tag, span)), false) if !tags.has(Tag::PrimaryKey) => context.error(
            span,
            format!(
                "`{}` needs a field of type `Deferred<…>`, spelled so: a cached record lacks the value, and writing it back would blank the column",
                tag.name()
            ),
        ),
        (None, true) if !tags.has(Tag::PrimaryKey) => context.error(
            field_type.field_span,
            "a `Deferred` field says which caches leave it out: add `#[schema(omit_cache)]` or `#[schema(omit_l1)]`, or take `Deferred` away",
        ),
        _ => {}
    }
    if tags.has(Tag::PrimaryKey) {
        if field_type.is_deferred {
            context.error(field_type.field_span, "every tier needs the key; take `Deferred` away");
        } else if field_type.is_option {
            context.error(field_type.span, "a primary key is never NULL; take `Option` away");
        }
        if model.key().count() == 1 {
            for tag in [Tag::Unique, Tag::Index] {
                if let Some(span) = tags.span(tag) {
                    context.error(span, format!("the primary key is unique and has an index already; remove `{}`", tag.name()));
                }
            }
        }
    }
}

fn check_column_case(context: &Context, model: &Model) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for field in model.columns() {
        if let Some(other) = seen.insert(field.column.to_ascii_lowercase(), &field.column) {
            context.error(
                field.ident.span(),
                format!("the columns `{other}` and `{}` differ in case alone, which SQLite does not tell apart; rename one", field.column),
            );
        }
    }
}

fn check_key(context: &Context, model: &Model) {
    match model.key().count() {
        0 if model.has_unreadable_tags => {}
        0 => context.error(
            model.ident.span(),
            format!("`{}` has no primary key; put `#[schema(primary_key)]` on the field that identifies a record", model.ident),
        ),
        count if count > LONGEST_KEY => {
            if let Some(span) = model.key().nth(LONGEST_KEY).and_then(|field| field.tags.span(Tag::PrimaryKey)) {
                context.error(
                    span,
                    format!("a primary key has at most {LONGEST_KEY} fields, this one has {count}; remove `primary_key` from some"),
                );
            }
        }
        _ => {}
    }
}

fn check_indexes(context: &Context, model: &Model) {
    let known: Vec<&str> = model.columns().map(|field| field.column.as_str()).collect();
    let mut seen: Vec<(Vec<String>, bool)> = Vec::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    for index in &model.indexes {
        let columns: Vec<String> = index.columns.iter().map(input::plain_name).collect();
        for (position, column) in columns.iter().enumerate() {
            let span = index.columns[position].span();
            if model.fields.iter().any(|field| field.tags.has(Tag::Skip) && field.column == *column) {
                context.error(span, format!("the field `{column}` is skipped, so it has no column; remove it here, or remove `skip`"));
            } else if !known.contains(&column.as_str()) {
                context.error(span, suggestion::unknown("column", column, &known));
            } else if columns[..position].contains(column) {
                context.error(span, format!("the column `{column}` is in this index already; remove it"));
            }
        }
        check_index_name(context, index, &mut names);
        let this = (columns, index.unique);
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

fn check_cache_only(context: &Context, model: &Model) {
    if model.policies.cache_only.is_none() {
        return;
    }
    if let Some(truth) = &model.policies.l3 {
        context.error(truth.span, "a `cache_only` schema has no L3; remove `l3(…)`, or `cache_only` to store its records there");
    }
    const NO_TABLE: &str = "a `cache_only` schema has no table";
    for index in &model.indexes {
        context.error(index.span, format!("{NO_TABLE} to index; remove `index(…)`, or `cache_only` to store the records in one"));
    }
    for field in model.columns() {
        if let Some(span) = field.tags.span(Tag::Unique) {
            context.error(span, format!("{NO_TABLE}, so nothing keeps `unique`; remove it, or `cache_only` to store the records in one"));
        }
        if let Some(span) = field.tags.span(Tag::Index) {
            context.error(span, format!("{NO_TABLE} to index; remove `index`, or `cache_only` to store the records in one"));
        }
        if let Some(span) = field.tags.span(Tag::OmitCache) {
            context
                .error(span, "no tier would hold this field: a `cache_only` schema has caches alone; remove `omit_cache` or `cache_only`");
        }
    }
}
