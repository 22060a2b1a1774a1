//! The suite of the facet [`Log`](store_core::facet::Log).

#![expect(clippy::unwrap_used, reason = "a case fails by a panic")]

pub mod entries;
pub mod following;
pub mod leading;
pub mod pruning;

use store_core::facet::{LogCursor, LogEntry};

use super::truth::Truth;

/// The entries since a cursor, by schema, key and version; moves the cursor on.
async fn since(truth: &Truth, cursor: &mut LogCursor) -> Vec<LogEntry> {
    let mut batch = truth.log.read(cursor).await.expect("the log can be read");
    assert!(!batch.gap, "nothing was pruned");
    *cursor = batch.cursor;
    batch.entries.sort_by(|left, right| (&left.schema, &left.key, left.version).cmp(&(&right.schema, &right.key, right.version)));
    batch.entries
}

/// Makes a test of every case of the suite of [`Log`](store_core::facet::Log), in a module `log_suite`.
///
/// `make` is as for [`tables_suite!`](crate::tables_suite).
#[macro_export]
macro_rules! log_suite {
    ($make:path) => {
        fn log_suite_database() -> impl ::std::future::Future<Output = impl $crate::suites::TruthDatabase> {
            $make()
        }

        mod log_suite {
            $crate::suite_cases! { super::log_suite_database, log::entries:
                each_key_has_one_entry,
                an_update_of_some_columns_names_no_other,
                entries_name_the_schema_and_the_key,
                a_large_call_is_one_entry,
                a_refused_write_has_no_entry,
                appended_entries_have_their_versions_in_order,
                invalidations_are_appended,
            }
            $crate::suite_cases! { super::log_suite_database, log::following:
                a_cursor_can_be_read_from_again,
                a_cursor_survives_as_text,
                a_foreign_cursor_is_refused,
                a_place_covers_those_before_it,
                a_follower_meets_each_entry_once,
                a_follower_meets_large_calls_once,
            }
            $crate::suite_cases! { super::log_suite_database, log::leading:
                each_name_has_one_leader,
                a_leader_keeps_its_names,
                a_closed_leader_is_followed,
            }
            $crate::suite_cases! { super::log_suite_database, log::pruning:
                pruning_drops_by_age,
                a_follower_that_came_late_learns_of_a_gap,
                pruning_harms_nobody_else,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_lists_every_case() {
        let listed = include_str!("log.rs");
        for source in [
            include_str!("log/entries.rs"),
            include_str!("log/following.rs"),
            include_str!("log/leading.rs"),
            include_str!("log/pruning.rs"),
        ] {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split('(').next().unwrap();
                assert!(listed.contains(&format!("                {case},\n")), "`log_suite!` lacks {case}");
            }
        }
    }
}
