//! `references(Team::id, on_delete = "cascade")` on a field, and with `columns(…)` and `target(…)` on the struct.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::Path;

use super::policy::choice;
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::schema::model::Reference;
use crate::suggestion;

const OF_FIELD: &str = "references(Team::id, on_delete = \"cascade\")";
const OF_STRUCT: &str = "references(columns(region, team), target(Team::region, Team::id), on_delete = \"cascade\")";
const ON_DELETE: [(&str, &str); 3] = [("restrict", "Restrict"), ("cascade", "Cascade"), ("set_null", "SetNull")];

/// Reads the reference of a field.
pub(super) fn read_of_field(context: &Context, argument: &Argument, model: &Ident, field: &Ident) -> Option<Reference> {
    let (path, parts) = argument.path_and_list(context, OF_FIELD)?;
    let (target, column) = column_of(context, &path, model)?;
    let mut on_delete = None;
    for part in parts {
        match part.name.to_string().as_str() {
            "on_delete" => read_on_delete(context, &part, &mut on_delete),
            other => context.error(part.span(), suggestion::unknown("argument of `references`", other, &["on_delete"])),
        }
    }
    let (on_delete, on_delete_span) = on_delete.unwrap_or(("Restrict", argument.span()));
    let columns = vec![field.clone()];
    Some(Reference { span: argument.span(), columns, target, target_columns: vec![column], on_delete, on_delete_span })
}

/// Reads a reference of several fields.
pub(super) fn read(context: &Context, argument: &Argument, model: &Ident) -> Option<Reference> {
    let (mut columns, mut target, mut on_delete) = (None, None, None);
    for part in argument.list(context, OF_STRUCT)? {
        match part.name.to_string().as_str() {
            "columns" => set_once(context, &mut columns, &part.name, part.names(context, "columns(region, team)")?),
            "target" => set_once(context, &mut target, &part.name, part.paths(context, "target(Team::region, Team::id)")?),
            "on_delete" => read_on_delete(context, &part, &mut on_delete),
            other => {
                context.error(part.span(), suggestion::unknown("argument of `references`", other, &["columns", "target", "on_delete"]));
                return None;
            }
        }
    }
    let (columns, paths) = (columns.unwrap_or_default(), target.unwrap_or_default());
    if columns.is_empty() || columns.len() != paths.len() {
        let message = format!(
            "`references` on the struct needs its columns, and as many of one other model: `{OF_STRUCT}`; one of a single column can stand on its field"
        );
        context.error(argument.span(), message);
        return None;
    }
    let mut targets = Vec::new();
    for path in &paths {
        targets.push(column_of(context, path, model)?);
    }
    let (types, target_columns): (Vec<Path>, Vec<Ident>) = targets.into_iter().unzip();
    let target = types.first()?.clone();
    if types.iter().any(|other| other.to_token_stream().to_string() != target.to_token_stream().to_string()) {
        context.error(argument.span(), "a reference names columns of one model; declare one for each model");
        return None;
    }
    let (on_delete, on_delete_span) = on_delete.unwrap_or(("Restrict", argument.span()));
    Some(Reference { span: argument.span(), columns, target, target_columns, on_delete, on_delete_span })
}

fn read_on_delete(context: &Context, part: &Argument, slot: &mut Option<(&'static str, Span)>) {
    if let Some(found) = choice(context, part, "on_delete = \"cascade\"", &ON_DELETE) {
        set_once(context, slot, &part.name, (found, part.span()));
    }
}

/// The model and the column of `Team::id`.
fn column_of(context: &Context, path: &Path, model: &Ident) -> Option<(Path, Ident)> {
    let mut target = path.clone();
    let column = target.segments.pop();
    target.segments.pop_punct();
    let Some(column) = column.filter(|column| column.arguments.is_none() && !target.segments.is_empty()) else {
        context.error(syn::spanned::Spanned::span(path), format!("`references` takes a model and a column of it: `{OF_FIELD}`"));
        return None;
    };
    if target.is_ident("Self") {
        target = Path::from(model.clone());
    }
    Some((target, column.ident))
}
