//! The attributes of one field.

use proc_macro2::Ident;
use syn::Field as SynField;

use super::{STRUCT_ARGUMENTS, default, index, read_check, reference};
use crate::argument::{Argument, given_twice};
use crate::context::Context;
use crate::input;
use crate::schema::field_type::FieldType;
use crate::schema::model::{Check, Field, Index, Reference, Tag, Tags};
use crate::suggestion;

/// What a field declares of the table, beside its column.
#[derive(Default)]
pub(super) struct OfTable {
    pub(super) indexes: Vec<Index>,
    pub(super) references: Vec<Reference>,
    pub(super) checks: Vec<Check>,
}

/// Reads one field of the struct `model`.
pub(super) fn read(context: &Context, model: &Ident, ident: &Ident, field: &SynField, of_table: &mut OfTable) -> Field {
    let mut tags = Tags::default();
    for argument in Argument::of_attributes(context, &field.attrs, "schema") {
        let name = argument.name.to_string();
        let Some(tag) = find(&name) else {
            unknown(context, &argument.name, &name);
            continue;
        };
        if tag == Tag::Index && argument.is_list() {
            of_table.indexes.extend(index::read_of_field(context, &argument, ident));
            continue;
        }
        if tags.has(tag) {
            context.error(argument.span(), given_twice(&argument.name));
            continue;
        }
        tags.given.push((tag, argument.span()));
        match tag {
            Tag::References => of_table.references.extend(reference::read_of_field(context, &argument, model, ident)),
            Tag::Check => of_table.checks.extend(read_check(context, &argument, Some(input::plain_name(ident)))),
            Tag::Default => tags.default = default::read(context, &argument),
            // What it will take is for the feature that brings it.
            Tag::Vector => {}
            _ => argument.flag(context),
        }
    }
    Field { ident: ident.clone(), column: input::plain_name(ident), field_type: FieldType::new(&field.ty, model), tags }
}

/// Whether a field takes an argument of this name.
pub(super) fn is_tag(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<Tag> {
    Tag::ALL.into_iter().find(|tag| tag.name() == name)
}

fn unknown(context: &Context, ident: &Ident, name: &str) {
    if name == "name" {
        context.error(ident.span(), "a column has the name of its field; rename the field, and only a struct takes `name`");
    } else if STRUCT_ARGUMENTS.contains(&name) {
        context.error(ident.span(), format!("`{name}` belongs on the struct, not on a field"));
    } else {
        context.error(ident.span(), suggestion::unknown("field tag", name, &Tag::ALL.map(Tag::name)));
    }
}
