//! `index(columns(…), unique, name = "…")`.

use super::check_text;
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::schema::model::Index;
use crate::{name, suggestion};

const EXAMPLE: &str = "index(columns(user_id, created_at), unique)";
const ARGUMENTS: [&str; 3] = ["columns", "unique", "name"];

/// Reads one index of the struct.
pub(super) fn read(context: &Context, argument: &Argument) -> Option<Index> {
    let (mut columns, mut unique, mut index_name) = (None, None, None);
    let mut names_columns = false;
    for part in argument.list(context, EXAMPLE)? {
        match part.name.to_string().as_str() {
            "columns" => {
                names_columns = true;
                if let Some(names) = part.names(context, "columns(user_id, created_at)") {
                    set_once(context, &mut columns, &part.name, names);
                }
            }
            "unique" => {
                part.flag(context);
                set_once(context, &mut unique, &part.name, ());
            }
            "name" => {
                if let Some(text) = part.text(context, "name = \"recent_orders\"") {
                    check_text(context, &text, name::check);
                    set_once(context, &mut index_name, &part.name, (text.value(), text.span()));
                }
            }
            other => context.error(part.span(), suggestion::unknown("argument of `index`", other, &ARGUMENTS)),
        }
    }
    match columns {
        Some(columns) if !columns.is_empty() => Some(Index { span: argument.span(), columns, unique: unique.is_some(), name: index_name }),
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
