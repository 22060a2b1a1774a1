//! What every shared tier must do.
//!
//! A tier's crate runs all cases, one test each, with [`records_suite!`](crate::records_suite) in its integration tests:
//!
//! ```ignore
//! use std::sync::Arc;
//! use store_core::{BoundSchema, Tier};
//! use store_testkit::ModelRecords;
//! use store_testkit::suites::records::RecordsServer;
//!
//! struct Model(ModelRecords);
//!
//! impl RecordsServer for Model {
//!     async fn open(&self) -> Arc<dyn Tier> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     async fn put_foreign_content(&self, schema: &BoundSchema, key: &str) {
//!         self.0.put_foreign_content(schema, key);
//!     }
//!
//!     async fn clean_up(&self) {}
//! }
//!
//! store_testkit::records_suite!(async { Model(ModelRecords::new()) });
//! ```

mod bench;
pub mod clear;
pub mod fetch;
pub mod fill;
pub mod keys;
pub mod loads;
pub mod marks;
pub mod model;
pub mod races;
pub mod replace;
pub mod tags;
pub mod take_over;
pub mod tier;
pub mod truth;
pub mod wakes;

use std::future::Future;
use std::sync::Arc;

use store_core::{BoundSchema, Tier};

pub use bench::Bench;

/// A server, as far as the suite needs one: open to several tiers at once. It may hold other content, which the suite leaves alone.
pub trait RecordsServer: Send + Sync {
    /// Opens one more tier on the server. It must have the facets `records` and `wakes`.
    fn open(&self) -> impl Future<Output = Arc<dyn Tier>> + Send;

    /// Puts something that no version of Strata writes in the place of a key, behind the tiers' backs.
    fn put_foreign_content(&self, schema: &BoundSchema, key: &str) -> impl Future<Output = ()> + Send;

    /// Removes what a case left behind.
    fn clean_up(&self) -> impl Future<Output = ()> + Send;
}

/// Runs one case, on two threads so that its tasks meet each other.
#[doc(hidden)]
pub fn run<S: RecordsServer>(server: impl Future<Output = S>, case: impl AsyncFnOnce(&Bench<S>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bench = Bench::new(server.await).await;
        case(&bench).await;
        bench.server.clean_up().await;
        bench.tier.close().await.expect("closing succeeds");
    });
}

/// Runs the shared tier's conformance suite, one `#[test]` for each case, on the [`RecordsServer`](crate::suites::records::RecordsServer) that the
/// future gives anew for each.
#[macro_export]
macro_rules! records_suite {
    ($server:expr) => {
        fn records_suite_server() -> impl ::std::future::Future<Output = impl $crate::suites::records::RecordsServer> {
            $server
        }

        $crate::records_suite! { @cases
            tier {
                is_shared_and_has_records_and_wakes,
                answers_a_ping,
                no_items_are_no_work,
            }
            fetch {
                an_empty_slot_is_empty_and_stays_so_without_a_lease,
                an_empty_slot_is_leased_once,
                a_key_asked_twice_is_leased_once,
                a_lease_ends_with_its_time,
                slots_stand_in_the_order_of_the_keys,
                foreign_content_is_told_and_not_leased,
            }
            fill {
                the_holder_of_the_lease_fills,
                what_was_filled_comes_back_whole,
                another_lease_fills_nothing,
                a_lease_that_is_not_in_the_slot_creates_nothing,
                a_lease_fills_once,
                each_fill_of_a_batch_stands_for_itself,
                a_record_is_never_answered_past_its_deadline,
                a_record_past_its_deadline_empties_the_slot,
            }
            replace {
                an_empty_slot_stays_empty,
                a_newer_record_takes_the_place_of_an_older_one,
                a_replacement_lives_by_its_own_deadline,
                an_older_record_changes_nothing,
                the_same_record_is_there_already,
                an_equal_version_of_the_same_layout_stays,
                an_equal_version_of_another_layout_is_replaced,
                a_record_of_another_generation_leaves,
                an_absence_leaves,
                a_lease_is_voided,
                foreign_content_is_emptied,
                versions_are_compared_over_their_whole_range,
                a_record_past_its_deadline_empties_the_slot_of_an_older_one,
                each_record_of_a_batch_stands_for_itself,
            }
            take_over {
                a_record_gives_way_to_a_lease,
                another_record_stays,
                what_is_no_record_stays,
                a_record_is_taken_over_once,
                a_lease_over_a_record_ends_with_its_time,
            }
            clear {
                a_removed_slot_is_empty,
                a_removed_lease_is_void,
                removing_leaves_other_keys_alone,
                all_slots_are_emptied_and_counted,
                cleared_leases_are_void,
                schemas_of_similar_prefixes_are_left_alone,
                characters_of_patterns_are_plain,
            }
            marks {
                there_is_no_mark_at_first,
                a_mark_is_the_one_set_last,
                each_slot_comes_with_its_mark,
                schemas_have_marks_of_their_own,
                marks_survive_removals,
                a_removal_empties_its_slot,
                a_removal_below_a_version_keeps_what_is_newer,
                a_removal_without_a_key_empties_the_schema,
                a_step_may_be_large,
            }
            tags {
                there_is_no_list_at_first,
                every_shard_is_told,
                an_era_begins_once,
                a_generation_begins_with_an_empty_list,
                a_mark_without_its_list_is_none,
                a_mark_with_a_full_list_is_none,
                lists_survive_removals,
                the_truth_counts_eras_itself,
                a_full_list_of_the_truth_begins_anew,
            }
            wakes {
                messages_come_whole_and_in_order,
                what_was_said_before_is_not_heard,
                listening_ends_with_the_tier,
            }
            truth {
                a_put_record_is_found_under_the_version_issued,
                versions_rise_with_every_write_of_a_key,
                the_last_of_equal_keys_wins,
                a_put_takes_any_slot,
                a_put_past_its_deadline_leaves_nothing,
                a_deleted_record_is_gone,
                a_deletion_without_a_record_has_no_version,
                versions_rise_above_what_the_slot_holds,
                versions_rise_across_deletion_and_clearing,
                an_expired_record_is_not_there_to_be_deleted,
            }
            loads {
                what_was_loaded_takes_the_place_of_its_lease,
                what_was_loaded_takes_the_place_of_what_was_seen,
                whatever_came_between_voids_a_load,
                a_load_is_stored_once,
                a_load_past_its_deadline_empties_the_slot_that_was_seen,
                each_load_of_a_batch_stands_for_itself,
                versions_of_loads_and_puts_rise_together,
                copies_and_leases_are_dropped_and_what_was_put_stays,
                dropping_all_copies_leaves_other_schemas_alone,
            }
            keys {
                odd_keys_are_kept_apart,
                prefixes_are_kept_apart,
                large_batches_are_answered_in_order,
            }
            races {
                one_of_many_readers_gets_the_lease,
                one_of_two_fills_with_the_same_lease_counts,
                a_late_fill_never_hides_a_newer_record,
                the_newest_of_concurrent_replacements_stays,
                the_newest_of_concurrent_puts_stays,
                a_deletion_and_a_put_end_as_their_versions_say,
            }
            model {
                caching_follows_the_model,
                keeping_the_truth_follows_the_model,
            }
        }
    };
    (@cases $($group:ident { $($case:ident),* $(,)? })*) => {
        $(mod $group {
            $(
                #[test]
                fn $case() {
                    $crate::suites::records::run(super::records_suite_server(), async |bench| $crate::suites::records::$group::$case(bench).await);
                }
            )*
        })*
    };
}
