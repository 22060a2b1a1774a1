//! The suite of transactions: [`Tables::begin`] and what it gives.

#![expect(clippy::unwrap_used, reason = "a case fails by a panic")]

pub mod bulk;
pub mod conditional;
pub mod ends;
pub mod isolation;
pub mod rows;
pub mod savepoints;

use std::time::Duration;

use store_core::facet::{Begin, RowLock, Tables, Transaction};
use store_core::{BoundSchema, Isolation, StoredRow, Value};

use super::tables::schemas::{at, player_row, with};

/// Longer than any case takes.
const LIMIT: Duration = Duration::from_secs(60);

async fn begin(tables: &dyn Tables) -> Box<dyn Transaction> {
    begin_at(tables, Isolation::ReadCommitted).await
}

async fn begin_at(tables: &dyn Tables, isolation: Isolation) -> Box<dyn Transaction> {
    tables.begin(&Begin { isolation, limit: LIMIT }).await.unwrap()
}

/// A whole row of `player` at a level.
fn leveled(schema: &BoundSchema, id: i64, level: i64) -> store_core::Row<'static> {
    with(schema, player_row(id), "level", level.into())
}

fn level(schema: &BoundSchema, stored: Option<&StoredRow>) -> Option<i64> {
    match stored?.row[at(schema, "level")] {
        Value::Integer(level) => Some(level),
        ref other => panic!("a level is a number: {other:?}"),
    }
}

/// The level of a player as the transaction sees it.
async fn level_within(transaction: &mut dyn Transaction, schema: &BoundSchema, id: i64) -> Option<i64> {
    let found = transaction.get_many(schema, &[vec![id.into()]], RowLock::None).await.unwrap();
    level(schema, found[0].as_ref())
}

/// The level of a player as everybody sees it.
async fn level_of(tables: &dyn Tables, schema: &BoundSchema, id: i64) -> Option<i64> {
    let found = tables.get_many(schema, &[vec![id.into()]]).await.unwrap();
    level(schema, found[0].as_ref())
}

/// Makes a test of every case of the suite of [`Transaction`](store_core::facet::Transaction), in a module `transactions_suite`.
///
/// `make` is the path of an async function without arguments that gives a [`TruthDatabase`](crate::suites::TruthDatabase). The crate needs
/// `tokio` with the features `macros` and `rt-multi-thread` among its dev-dependencies.
#[macro_export]
macro_rules! transactions_suite {
    ($make:path) => {
        fn transactions_suite_database() -> impl ::std::future::Future<Output = impl $crate::suites::TruthDatabase> {
            $make()
        }

        mod transactions_suite {
            $crate::suite_cases! { super::transactions_suite_database, transactions::rows:
                own_writes_are_seen_within_and_nowhere_else,
                searches_and_counts_see_own_writes,
                what_is_written_is_answered_as_the_tables_answer_it,
                log_rows_come_with_the_commit,
                large_batches_are_one_row_of_the_log,
                a_violation_names_key_and_column,
                what_a_column_cannot_hold_is_refused,
            }
            $crate::suite_cases! { super::transactions_suite_database, transactions::conditional:
                conditions_hold_row_by_row,
                conditions_see_own_writes,
                conditional_rows_keep_what_they_do_not_set,
                updates_of_some_columns_name_no_other_in_the_log,
                rules_refuse_conditional_rows,
                large_conditional_batches_are_one_row_of_the_log,
                the_later_of_two_inserts_finds_what_the_earlier_wrote,
                counting_by_version_in_transactions_loses_nothing,
            }
            $crate::suite_cases! { super::transactions_suite_database, transactions::bulk:
                writes_by_condition_see_own_writes_and_come_with_the_commit,
                writes_by_condition_go_back_with_a_savepoint,
                large_writes_by_condition_of_a_transaction_are_one_row_of_the_log,
            }
            $crate::suite_cases! { super::transactions_suite_database, transactions::ends:
                a_rollback_leaves_nothing,
                a_dropped_transaction_leaves_nothing_and_holds_nobody_up,
                a_dropped_call_leaves_no_way_on,
                a_failed_call_leaves_only_the_way_back,
                the_limit_rolls_back_between_calls,
                the_limit_rolls_back_within_a_call,
                the_wait_for_its_turn_is_part_of_the_limit,
                many_transactions_one_after_the_other,
            }
            $crate::suite_cases! { super::transactions_suite_database, transactions::savepoints:
                a_savepoint_takes_back_what_follows_it,
                a_released_savepoint_keeps_what_follows_it,
                savepoints_nest,
                a_violation_is_undone_by_a_savepoint,
                a_savepoint_that_is_not_there_is_refused,
            }
            $crate::suite_cases! { super::transactions_suite_database, transactions::isolation:
                versions_rise_in_the_order_of_commits,
                locked_rows_are_counted_up_without_loss,
                repeatable_reads_repeat,
                serializable_transactions_keep_a_rule_over_two_rows,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_lists_every_case() {
        let listed = include_str!("transactions.rs");
        for source in [
            include_str!("transactions/bulk.rs"),
            include_str!("transactions/conditional.rs"),
            include_str!("transactions/ends.rs"),
            include_str!("transactions/isolation.rs"),
            include_str!("transactions/rows.rs"),
            include_str!("transactions/savepoints.rs"),
        ] {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split('(').next().unwrap();
                assert!(listed.contains(&format!("                {case},\n")), "`transactions_suite!` lacks {case}");
            }
        }
    }
}
