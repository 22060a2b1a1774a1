//! What every memory tier must do.
//!
//! A tier's crate runs all cases, one test each, with [`near_suite!`](crate::near_suite) in its integration tests:
//!
//! ```ignore
//! store_testkit::near_suite!(MemTier::new());
//! ```

pub mod accounting;
pub mod drops;
pub mod entries;
pub mod expiry;
pub mod limits;
pub mod notices;
pub mod policies;
mod reference;
pub mod threads;
pub mod tier;
mod workbench;

#[doc(hidden)]
pub use store_core::NearTier;

/// Runs the memory tier's conformance suite, one `#[test]` for each case, on the tier that the expression makes anew for each.
#[macro_export]
macro_rules! near_suite {
    ($make:expr) => {
        fn near_suite_tier() -> impl $crate::suites::near::NearTier {
            $make
        }

        $crate::near_suite! { @cases
            tier {
                is_near_and_has_that_facet_alone,
                answers_a_ping_and_closes_twice,
                counts_the_entries_of_all_shelves,
                clears_all_shelves_without_a_notice,
                sweeps_expired_entries_from_all_shelves,
                keeps_the_shelves_of_two_models_apart,
            }
            entries {
                what_is_installed_is_found_under_every_form_of_access,
                a_missing_key_is_a_miss,
                a_shelf_stores_what_it_is_told_to,
                a_removed_entry_is_gone_without_a_notice,
                a_cleared_shelf_is_empty_without_a_notice_and_goes_on,
                a_hit_gives_the_installed_model_itself,
                a_peek_touches_no_reference_count,
                a_panicking_visitor_leaves_the_shelf_usable,
                a_key_of_several_columns_is_found_by_all_of_them,
                debug_output_shows_no_content,
            }
            expiry {
                an_entry_lives_until_its_deadline_and_no_longer,
                an_expired_entry_leaves_with_the_read_that_meets_it,
                an_entry_without_deadline_lives_on,
                an_install_counts_by_its_own_deadline,
                an_install_past_its_deadline_keeps_nothing,
                an_expired_entry_is_not_there_to_be_removed,
                an_expired_entry_is_noticed_once,
            }
            limits {
                no_limit_keeps_everything,
                the_limit_of_entries_is_a_total,
                the_limit_of_weight_is_a_total,
                both_limits_count_at_once,
                weight_is_one_without_a_weigher,
                no_capacity_keeps_nothing,
                too_heavy_an_entry_is_not_kept_and_the_present_one_leaves,
                a_heavier_replacement_evicts_others,
                a_replacement_of_the_same_size_evicts_nobody,
                expired_entries_make_room_first,
                a_panicking_weigher_keeps_nothing_old,
            }
            policies {
                lru_evicts_what_was_not_used_for_the_longest_time,
                lfu_evicts_what_was_used_least_often,
                lfu_breaks_ties_by_the_longest_time_without_use,
                fifo_evicts_what_was_installed_first,
                asking_for_the_version_is_no_use,
                lru_follows_the_reference,
                lfu_follows_the_reference,
                fifo_follows_the_reference,
            }
            notices {
                a_notice_names_key_model_and_cause,
                a_replacement_gives_no_notice,
                a_notice_may_call_the_shelf,
                a_panicking_notice_loses_nothing,
            }
            drops {
                a_model_is_dropped_outside_the_locks,
            }
            threads {
                every_thread_finds_what_it_left_or_nothing,
                a_reader_never_sees_a_version_with_another_model_or_goes_back,
                an_expired_entry_takes_no_successor_with_it,
            }
            accounting {
                is_right_after_threads_without_limits,
                is_right_after_threads_under_lru,
                is_right_after_threads_under_lfu,
                is_right_after_threads_under_fifo,
            }
        }
    };
    (@cases $($group:ident { $($case:ident),* $(,)? })*) => {
        $(mod $group {
            $(
                #[test]
                fn $case() {
                    $crate::suites::near::$group::$case(super::near_suite_tier);
                }
            )*
        })*
    };
}
