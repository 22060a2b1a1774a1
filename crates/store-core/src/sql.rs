//! The SQL that both dialects share: names, types, tables, conditions and queries.

mod condition;
mod definition;
mod dialect;
mod placeholders;
mod select;

pub use condition::condition;
pub use definition::{
    IndexPlan, add_column_statement, column_definition, create_statements, explain_missing_column, explain_taken_name, explain_view_column,
    index_plans,
};
pub use dialect::{Dialect, VERSION_COLUMN};
pub use select::{Statement, count, select};
