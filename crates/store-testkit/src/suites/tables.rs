//! The suite of the facet [`Tables`](store_core::facet::Tables).

#![expect(clippy::unwrap_used, reason = "a case fails by a panic")]

pub mod bulk;
pub mod concurrency;
pub mod conditional;
pub mod keys;
pub mod model;
pub mod prepare;
pub mod put;
mod reference;
pub(in crate::suites) mod schemas;
pub mod select;
pub mod stream;
pub mod types;

/// Makes a test of every case of the suite of [`Tables`](store_core::facet::Tables), in a module `tables_suite`.
///
/// `make` is the path of an async function without arguments that gives a [`TruthDatabase`](crate::suites::TruthDatabase). The crate needs
/// `tokio` with the features `macros` and `rt-multi-thread` among its dev-dependencies.
#[macro_export]
macro_rules! tables_suite {
    ($make:path) => {
        fn tables_suite_database() -> impl ::std::future::Future<Output = impl $crate::suites::TruthDatabase> {
            $make()
        }

        mod tables_suite {
            $crate::suite_cases! { super::tables_suite_database, tables::prepare:
                preparing_again_changes_nothing,
                preparing_without_schemas_makes_the_log,
                several_tiers_prepare_at_once,
                missing_tables_are_named_and_not_made,
                a_table_that_lacks_a_column_is_refused,
                a_table_with_a_column_that_nobody_fills_is_refused,
                a_table_with_a_column_of_another_type_is_refused,
                a_table_with_more_columns_is_accepted,
                names_need_no_care,
                a_missing_column_is_a_mismatch,
                a_missing_table_is_a_mismatch,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::put:
                an_insert_returns_what_the_table_holds,
                an_update_returns_what_the_table_holds,
                versions_of_a_key_rise,
                versions_of_other_keys_stay,
                versions_rise_across_a_deletion,
                insert_stamps_are_kept_on_update,
                unset_keeps_the_content_on_update,
                unset_takes_the_default_on_insert,
                unset_refuses_an_insert_where_a_value_is_required,
                null_is_refused_where_a_value_is_required,
                a_unique_violation_takes_the_batch_back,
                a_unique_violation_names_the_column_wherever_it_happens,
                a_unique_index_over_several_columns_holds,
                a_value_that_does_not_fit_is_refused,
                batches_are_answered_in_order,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::conditional:
                a_condition_that_holds_lets_the_row_be_written,
                a_condition_that_does_not_hold_changes_nothing,
                versions_do_not_hold_beyond_a_deletion,
                conditional_writes_keep_what_they_do_not_set,
                conditional_writes_find_keys_of_several_columns,
                rules_refuse_conditional_writes_too,
                one_of_many_inserts_of_a_key_takes_effect,
                counting_by_version_loses_nothing,
                a_dropped_conditional_write_leaves_all_or_nothing,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::bulk:
                deletions_by_condition_take_what_a_query_finds,
                updates_by_condition_set_what_they_are_given,
                conditions_that_hold_for_nothing_change_nothing,
                large_writes_by_condition_are_one_row_of_the_log,
                writes_by_condition_answer_keys_of_several_columns,
                refused_writes_by_condition_change_nothing,
                writes_by_condition_meet_batches,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::keys:
                reads_are_answered_in_order,
                deletions_are_answered_in_order,
                large_batches_are_answered_in_order,
                keys_of_several_columns_are_told_apart,
                a_row_may_be_nothing_but_its_key,
                text_keys_are_exact,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::types:
                booleans_are_held,
                integers_are_held_to_their_ends,
                doubles_are_held_to_the_last_bit,
                minus_zero_stays_a_zero,
                nan_is_held_or_refused,
                text_is_held_as_it_is,
                large_values_are_held,
                nul_within_text_is_refused,
                bytes_are_held_as_they_are,
                times_are_held_to_the_microsecond,
                uuids_are_held,
                json_keeps_its_meaning,
                null_is_held_in_every_type,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::select:
                conditions_find_their_rows,
                lists_of_conditions_may_be_long,
                rows_come_in_order,
                limit_and_offset_cut_a_page,
                columns_not_asked_for_are_unset,
                queries_see_every_write_that_returned,
                raw_conditions_take_values_by_number,
                raw_conditions_take_values_of_every_type,
                wrong_queries_are_refused,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::stream:
                a_large_result_arrives_whole,
                dropped_streams_give_everything_back,
                the_tier_works_while_a_stream_is_open,
                a_failed_stream_ends,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::concurrency:
                the_highest_version_of_a_key_stands,
                inserts_and_deletions_of_a_key_meet,
                batches_that_share_keys_meet,
                a_dropped_write_leaves_all_or_nothing,
            }
            $crate::suite_cases! { super::tables_suite_database, tables::model:
                random_calls_answer_as_a_table_in_memory,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_lists_every_case() {
        let listed = include_str!("tables.rs");
        for source in [
            include_str!("tables/bulk.rs"),
            include_str!("tables/concurrency.rs"),
            include_str!("tables/conditional.rs"),
            include_str!("tables/keys.rs"),
            include_str!("tables/model.rs"),
            include_str!("tables/prepare.rs"),
            include_str!("tables/put.rs"),
            include_str!("tables/select.rs"),
            include_str!("tables/stream.rs"),
            include_str!("tables/types.rs"),
        ] {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split('(').next().unwrap();
                assert!(listed.contains(&format!("                {case},\n")), "`tables_suite!` lacks {case}");
            }
        }
    }
}
