//! `index(columns(…), unique, kind = "…", include(…), where = "…", name = "…")`.

use proc_macro2::Ident;

use super::check_text;
use super::policy::choice;
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::schema::model::{Index, IndexKind};
use crate::{name, suggestion};

const EXAMPLE: &str = "index(columns(user_id, created_at), unique)";
const OF_FIELD: &str = "index(kind = \"gin_trigram\")";
const OF_STRUCT: [&str; 6] = ["columns", "unique", "kind", "include", "where", "name"];
const KINDS: [(&str, IndexKind); 2] = [("btree", IndexKind::BTree), ("gin_trigram", IndexKind::GinTrigram)];

/// Reads one index of the struct.
pub(super) fn read(context: &Context, argument: &Argument) -> Option<Index> {
    let mut columns = None;
    let mut names_columns = false;
    let index = read_parts(context, argument, EXAMPLE, &OF_STRUCT, |part| {
        let is_columns = part.name == "columns";
        if is_columns {
            names_columns = true;
            if let Some(names) = part.names(context, "columns(user_id, created_at)") {
                set_once(context, &mut columns, &part.name, names);
            }
        }
        is_columns
    })?;
    match columns {
        Some(columns) if !columns.is_empty() => Some(Index { columns, ..index }),
        // Unreadable columns were reported already.
        None if names_columns => None,
        _ => {
            context.error(
                argument.span(),
                format!("`index` on the struct needs its columns: `{EXAMPLE}`; an index of one column can stand on its field instead"),
            );
            None
        }
    }
}

/// Reads one index that stands on its field.
pub(super) fn read_of_field(context: &Context, argument: &Argument, field: &Ident) -> Option<Index> {
    let index = read_parts(context, argument, OF_FIELD, &OF_STRUCT[1..], |part| {
        let is_columns = part.name == "columns";
        if is_columns {
            context.error(part.span(), "an index on a field is of that column; put one of several on the struct: `index(columns(…))`");
        }
        is_columns
    })?;
    Some(Index { columns: vec![field.clone()], ..index })
}

/// Reads all but the columns, which `takes` may have for itself.
fn read_parts(
    context: &Context,
    argument: &Argument,
    example: &str,
    known: &[&str],
    mut takes: impl FnMut(&Argument) -> bool,
) -> Option<Index> {
    let (mut unique, mut kind, mut include, mut condition, mut index_name) = (None, None, None, None, None);
    for part in argument.list(context, example)? {
        if takes(&part) {
            continue;
        }
        match part.name.to_string().as_str() {
            "unique" => {
                part.flag(context);
                set_once(context, &mut unique, &part.name, ());
            }
            "kind" => {
                if let Some(found) = choice(context, &part, "kind = \"gin_trigram\"", &KINDS) {
                    set_once(context, &mut kind, &part.name, (found, part.span()));
                }
            }
            "include" => {
                if let Some(names) = part.names(context, "include(name, level)") {
                    set_once(context, &mut include, &part.name, names);
                }
            }
            "where" => {
                if let Some(text) = part.text(context, "where = \"level > 10\"") {
                    check_text(context, &text, name::check_condition);
                    set_once(context, &mut condition, &part.name, (text.value(), text.span()));
                }
            }
            "name" => {
                if let Some(text) = part.text(context, "name = \"recent_orders\"") {
                    check_text(context, &text, name::check_index);
                    set_once(context, &mut index_name, &part.name, (text.value(), text.span()));
                }
            }
            other => context.error(part.span(), suggestion::unknown("argument of `index`", other, known)),
        }
    }
    let (kind, kind_span) = kind.unwrap_or((IndexKind::BTree, argument.span()));
    Some(Index {
        span: argument.span(),
        columns: Vec::new(),
        unique: unique.is_some(),
        kind,
        kind_span,
        include: include.unwrap_or_default(),
        condition,
        name: index_name,
    })
}
