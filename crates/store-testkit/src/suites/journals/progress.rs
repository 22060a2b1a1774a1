//! How far journals were applied.

use std::sync::Arc;

use store_core::facet::{AppliedPlace, Transaction};
use store_core::{ErrorKind, MigrationSettings};

use super::{begin, open};
use crate::suites::tables::schemas::{player, player_row};
use crate::suites::truth::{TruthDatabase, open as open_bare};

fn place(sequence: u64) -> AppliedPlace {
    AppliedPlace { sequence, checksum: Some(u64::MAX - sequence) }
}

/// It is told by every tier from the commit on, together with the data, and by none if it is rolled back.
pub async fn a_journal_advances_with_the_transaction(database: impl TruthDatabase) {
    let ((truth, journals), (_other, elsewhere)) = (open(&database).await, open(&database).await);
    assert_eq!(journals.applied("a").await.unwrap(), None);
    let mut transaction = begin(&truth).await;
    transaction.put_many(&player(), &[player_row(1)]).await.unwrap();
    assert!(transaction.advance_journal("a", 7, place(7)).await.unwrap());
    transaction.rollback().await.unwrap();
    assert_eq!(elsewhere.applied("a").await.unwrap(), None);

    let mut transaction = begin(&truth).await;
    transaction.put_many(&player(), &[player_row(1)]).await.unwrap();
    assert!(transaction.advance_journal("a", 8, place(8)).await.unwrap());
    transaction.savepoint().await.unwrap();
    assert!(transaction.advance_journal("a", 9, place(9)).await.unwrap());
    assert!(transaction.advance_journal("b", 9, place(9)).await.unwrap());
    transaction.roll_back_to_savepoint().await.unwrap();
    assert_eq!(elsewhere.applied("a").await.unwrap(), None);
    transaction.commit().await.unwrap();
    assert_eq!((elsewhere.applied("a").await.unwrap(), elsewhere.applied("b").await.unwrap()), (Some(place(8)), None));
}

/// Whoever comes late with an earlier place changes nothing, nor does who does not know how far it was applied, whichever transaction ends last. Journals know nothing of each other.
pub async fn a_journal_never_goes_back(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let journal = "ein Tagebuch: 日記";
    let last = i64::MAX.unsigned_abs();
    let steps = [(0, 0, true), (0, 5, true), (4, 6, false), (5, 3, false), (5, 5, true), (5, 6, true), (7, last, true), (last, 7, false)];
    let mut expected = place(0);
    for (from, to, is_noted) in steps {
        let mut transaction = begin(&truth).await;
        assert_eq!(transaction.advance_journal(journal, from, place(to)).await.unwrap(), is_noted, "{from} {to}");
        transaction.commit().await.unwrap();
        if is_noted {
            expected = place(to);
        }
        assert_eq!(journals.applied(journal).await.unwrap(), Some(expected), "{from} {to}");
    }
    assert_eq!(journals.applied("").await.unwrap(), None);
    let mut transaction = begin(&truth).await;
    let unknown = AppliedPlace { sequence: 1, checksum: None };
    assert!(transaction.advance_journal("without a checksum", 0, unknown).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(journals.applied("without a checksum").await.unwrap(), Some(unknown));

    let truth = Arc::new(truth);
    let writers: Vec<_> = (1..=8_u64)
        .map(|writer| {
            let truth = Arc::clone(&truth);
            tokio::spawn(async move {
                for turn in 0..5 {
                    let mut transaction = begin(&truth).await;
                    transaction.advance_journal("shared", u64::MAX >> 1, place(writer * 10 + turn)).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(journals.applied("shared").await.unwrap(), Some(place(84)));
}

/// Two that begin where the journal stands come one after the other, and the second one is told.
pub async fn one_of_two_advances(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let truth = Arc::new(truth);
    for round in 0..5 {
        let from = journals.applied("a").await.unwrap().map_or(0, |applied| applied.sequence);
        let advance = async |to: u64| {
            let mut transaction = begin(&truth).await;
            let is_noted = transaction.advance_journal("a", from, place(to)).await.unwrap();
            transaction.commit().await.unwrap();
            is_noted
        };
        let noted = tokio::join!(advance(from + 1), advance(from + 2));
        assert!(noted.0 != noted.1, "{round}: {noted:?}");
        let expected = from + if noted.0 { 1 } else { 2 };
        assert_eq!(journals.applied("a").await.unwrap(), Some(place(expected)));
    }
}

/// The tables hold signed numbers.
pub async fn a_place_beyond_the_last_is_refused(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let refuse = async |mut transaction: Box<dyn Transaction>| {
        let error = transaction.advance_journal("a", 0, place(i64::MAX.unsigned_abs() + 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
        assert_eq!(transaction.advance_journal("a", 0, place(1)).await.unwrap_err().kind(), ErrorKind::TransactionFailed);
        transaction.rollback().await.unwrap();
    };
    refuse(begin(&truth).await).await;
    assert_eq!(journals.remove_dead_letter("a", u64::MAX).await.unwrap_err().kind(), ErrorKind::InvalidValue);
}

/// Where nothing was prepared, the error says that tables are missing.
pub async fn without_its_tables_every_call_says_so(database: impl TruthDatabase) {
    let truth = open_bare(&database).await;
    let missing = truth.migrations.missing_tables(&[]).await.unwrap();
    for table in ["_strata_journals", "_strata_dead_letters"] {
        assert!(missing.iter().any(|name| name == table), "{missing:?}");
    }
    let journals = truth.journals();
    assert_eq!(journals.applied("a").await.unwrap_err().kind(), ErrorKind::SchemaMismatch);
    assert_eq!(journals.dead_letters(None, None, 1).await.unwrap_err().kind(), ErrorKind::SchemaMismatch);
    truth.migrations.migrate(&[], &MigrationSettings::default()).await.unwrap();
    assert_eq!(truth.migrations.missing_tables(&[]).await.unwrap(), Vec::<String>::new());
    assert_eq!(journals.applied("a").await.unwrap(), None);
}
