//! The suite of the facet [`store_core::facet::Journals`], and of what transactions write for it.

#![expect(clippy::unwrap_used, reason = "a case fails by a panic")]

pub mod letters;
pub mod progress;

use std::sync::Arc;
use std::time::Duration;

use store_core::Isolation;
use store_core::facet::{Begin, Journals, Transaction};

use super::truth::{Truth, TruthDatabase, open_with};

/// A tier with its tables, and its journals.
async fn open(database: &impl TruthDatabase) -> (Truth, Arc<dyn Journals>) {
    let truth = open_with(database, &[&super::tables::schemas::player()]).await;
    let journals = truth.journals();
    (truth, journals)
}

async fn begin(truth: &Truth) -> Box<dyn Transaction> {
    truth.tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit: Duration::from_secs(60) }).await.unwrap()
}

/// Makes a test of every case of the suite of [`Journals`](store_core::facet::Journals), in a module `journals_suite`.
///
/// `make` is as for [`tables_suite!`](crate::tables_suite).
#[macro_export]
macro_rules! journals_suite {
    ($make:path) => {
        fn journals_suite_database() -> impl ::std::future::Future<Output = impl $crate::suites::TruthDatabase> {
            $make()
        }

        mod journals_suite {
            $crate::suite_cases! { super::journals_suite_database, journals::progress:
                a_journal_advances_with_the_transaction,
                a_journal_never_goes_back,
                one_of_two_advances,
                a_place_beyond_the_last_is_refused,
                without_its_tables_every_call_says_so,
            }
            $crate::suite_cases! { super::journals_suite_database, journals::letters:
                letters_are_kept_as_they_are,
                letters_are_listed_in_pages,
                letters_belong_to_their_transaction,
                a_letter_takes_the_place_of_another,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_lists_every_case() {
        let listed = include_str!("journals.rs");
        for source in [include_str!("journals/letters.rs"), include_str!("journals/progress.rs")] {
            for line in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let case = line.split('(').next().unwrap();
                assert!(listed.contains(&format!("                {case},\n")), "`journals_suite!` lacks {case}");
            }
        }
    }
}
