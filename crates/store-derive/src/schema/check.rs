//! What a model must satisfy beyond the spelling of its attributes.

mod table;

use std::collections::HashMap;

use super::model::{DefaultValue, Field, Model, Tag};
use crate::context::Context;
use crate::name;

/// The traits of keys end at tuples of four.
pub(super) const LONGEST_KEY: usize = 4;

/// Pairs of tags that contradict each other; the error stands at the second.
const CONFLICTS: [(Tag, Tag, &str); 18] = [
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
    (Tag::PrimaryKey, Tag::Encrypted, "every tier finds a record by its key; remove `encrypted`, or make another field the key"),
    (
        Tag::OfRecord,
        Tag::Encrypted,
        "a tag stands as it is beside every copy and in the log; remove `tag`, or `encrypted` if the value is no secret",
    ),
    (Tag::AutoNow, Tag::Encrypted, "the version and the log tell of each write anyway; remove `encrypted` from the stamp"),
    (Tag::AutoNowAdd, Tag::Encrypted, "the database keeps the stamp of the insert, which it cannot do of a ciphertext; remove `encrypted`"),
    (Tag::Default, Tag::Encrypted, "the database puts the default, and it cannot encrypt; remove `default` and give the value in Rust"),
    (Tag::OmitCache, Tag::PlainInL2, "`omit_cache` leaves the field out of L2 altogether; remove `plain_in_l2`"),
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
    table::check(context, model);
    check_cache_only(context, model);
    check_version(context, model);
}

fn check_later_features(context: &Context, field: &Field) {
    if let Some(span) = field.tags.span(Tag::Vector) {
        context.error(span, "`vector` comes with Strata's feature `vector`, which is not part of this version; remove it");
    }
}

fn check_skipped(context: &Context, field: &Field) {
    for (tag, span) in field.tags.given.iter().filter(|(tag, _)| !matches!(tag, Tag::Skip | Tag::Vector)) {
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
    if let Err(reason) = name::check_column(&field.column) {
        context.error(span, reason);
    }

    if let Some(blind) = field.blind_index()
        && let Err(reason) = name::check_length(&blind)
    {
        context.error(span, format!("its blind index is a column too: {reason}"));
    }
    if let (Some(span), false) = (tags.span(Tag::PlainInL2), tags.has(Tag::Encrypted)) {
        context.error(span, "`plain_in_l2` says of an encrypted field that L2 holds it as it is; add `encrypted`, or remove it");
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
        if let Some(blind) = field.blind_index()
            && let Some(other) = model.columns().find(|other| other.column.eq_ignore_ascii_case(&blind))
        {
            context.error(
                other.ident.span(),
                format!("the column `{blind}` is the blind index of the encrypted field `{}`; rename this field", field.column),
            );
        }
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

fn check_version(context: &Context, model: &Model) {
    model.version.check(context, 1);
    let policies = &model.policies;
    if let (Some(span), None) = (policies.upgrade_incomplete, &model.version.older) {
        context.error(span, "without `upgrade_from` nothing is upgraded; name the older version's type, or remove `upgrade_incomplete`");
    }
    if let (Some(span), Some(_)) = (policies.upgrade_incomplete, policies.cache_only) {
        context.error(
            span,
            "a `cache_only` schema has no table that knows more than its records, so they are all upgraded; remove `upgrade_incomplete`",
        );
    }
}

fn check_cache_only(context: &Context, model: &Model) {
    if model.policies.cache_only.is_none() {
        return;
    }
    if let Some(truth) = &model.policies.l3 {
        context.error(truth.span, "a `cache_only` schema has no L3; remove `l3(…)` or `table`, or `cache_only` to store its records there");
    }
    let of_table = model.partition.iter().map(|partition| (partition.span, "partition_by"));
    let of_table = of_table.chain(model.references.iter().map(|reference| (reference.span, "references")));
    for (span, name) in of_table.chain(model.checks.iter().map(|check| (check.span, "check"))) {
        context.error(
            span,
            format!("a `cache_only` schema has no table for `{name}`; remove it, or `cache_only` to store the records in one"),
        );
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
