//! The SQL that both dialects share: names, types, tables, conditions and queries.

mod condition;
mod constraint;
mod definition;
mod dialect;
mod index;
mod name;
mod partition;
mod placeholders;
mod refused;
mod requirement;
mod script;
mod select;
mod similarity;

pub use condition::condition;
pub use constraint::{ConstraintPlan, constraint_plans, is_made_up_constraint};
pub use definition::{
    add_column_statement, column_definition, create_all_statements, create_statements, duplicates, explain_bytes_column,
    explain_left_column, explain_left_rule, explain_look_alike, explain_missing_column, explain_needed_value, explain_nullable_column,
    explain_old_name, explain_plain_column, explain_taken_name, explain_view_column, may_be_renamed,
};
pub use dialect::{Dialect, VERSION_COLUMN};
pub use index::{IndexPlan, index_plans};
pub(crate) use name::LONGEST_NAME;
pub use partition::{PartitionPlan, partition_plans};
pub use refused::explain_refused_condition;
pub use requirement::{Requirement, requirements};
pub use script::script_statements;
pub(crate) use script::{leading_comments, statement_words, unclosed};
pub use select::{Statement, count, select};
pub use similarity::similarity;
