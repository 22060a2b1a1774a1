//! What the truth refused of journals.

use store_core::Timestamp;
use store_core::facet::DeadLetter;

use super::{begin, open};
use crate::suites::truth::{Truth, TruthDatabase};

fn letter(journal: &str, sequence: u64) -> DeadLetter {
    DeadLetter {
        journal: journal.to_owned(),
        sequence,
        schema: if sequence.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        key: format!("k{sequence}"),
        entry: vec![0, 255, 7, sequence as u8],
        error: "another row already holds this value".to_owned(),
        failed_at: Timestamp::from_microseconds(1_700_000_000_123_456).unwrap(),
    }
}

async fn keep(truth: &Truth, letters: &[DeadLetter]) {
    let mut transaction = begin(truth).await;
    for letter in letters {
        transaction.put_dead_letter(letter).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

/// Every field comes back; texts of any kind keep no letter from being written.
pub async fn letters_are_kept_as_they_are(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let plain = letter("a", 1);
    let empty = DeadLetter { key: String::new(), entry: Vec::new(), error: String::new(), ..letter("a", 2) };
    let foreign = DeadLetter {
        key: "schlüssel'\"\\:".into(),
        error: "日本\n\t語".into(),
        failed_at: Timestamp::from_microseconds(-1).unwrap(),
        sequence: i64::MAX.unsigned_abs(),
        ..letter("a", 3)
    };
    let kept = [plain, empty, foreign];
    keep(&truth, &kept).await;
    assert_eq!(journals.dead_letters(None, None, 10).await.unwrap(), kept);

    keep(&truth, &[DeadLetter { key: "a\0b".into(), error: "\0".into(), ..letter("nul", 1) }]).await;
    let page = journals.dead_letters(None, Some(("a", u64::MAX)), 10).await.unwrap();
    assert_eq!((page.len(), &page[0].entry), (1, &letter("nul", 1).entry));
}

/// Pages follow each other in one order, without a gap, of all schemas or of one.
pub async fn letters_are_listed_in_pages(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let mut all: Vec<_> = ["b", "a", "B", "ä"].iter().flat_map(|journal| [300, 2, 10, 1].map(|place| letter(journal, place))).collect();
    keep(&truth, &all).await;
    all.sort_by(|left, right| (&left.journal, left.sequence).cmp(&(&right.journal, right.sequence)));
    for schema in [None, Some("even"), Some("odd"), Some("none")] {
        let wanted: Vec<_> = all.iter().filter(|letter| schema.is_none_or(|schema| letter.schema == schema)).cloned().collect();
        for limit in [1, 3, 100, u64::MAX] {
            let mut found: Vec<DeadLetter> = Vec::new();
            loop {
                let after = found.last().map(|letter| (letter.journal.clone(), letter.sequence));
                let after = after.as_ref().map(|(journal, sequence)| (journal.as_str(), *sequence));
                let page = journals.dead_letters(schema, after, limit).await.unwrap();
                assert!(page.len() as u64 <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, wanted, "{schema:?}, {limit}");
        }
    }
    assert!(journals.dead_letters(None, None, 0).await.unwrap().is_empty());
}

/// They come with the commit, and go back with a rollback or a savepoint; so does their removal.
pub async fn letters_belong_to_their_transaction(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let kept = async || {
        let letters = journals.dead_letters(None, None, 100).await.unwrap();
        letters.into_iter().map(|letter| letter.sequence).collect::<Vec<_>>()
    };
    let mut transaction = begin(&truth).await;
    transaction.put_dead_letter(&letter("a", 1)).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = begin(&truth).await;
    transaction.put_dead_letter(&letter("a", 2)).await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.put_dead_letter(&letter("a", 3)).await.unwrap();
    assert!(transaction.remove_dead_letter("a", 2).await.unwrap());
    assert!(!transaction.remove_dead_letter("a", 2).await.unwrap());
    transaction.roll_back_to_savepoint().await.unwrap();
    transaction.put_dead_letter(&letter("a", 4)).await.unwrap();
    assert!(kept().await.is_empty());
    transaction.commit().await.unwrap();
    assert_eq!(kept().await, [2, 4]);

    let mut transaction = begin(&truth).await;
    assert!(transaction.remove_dead_letter("a", 2).await.unwrap());
    assert!(!transaction.remove_dead_letter("b", 4).await.unwrap());
    assert_eq!(kept().await, [2, 4]);
    transaction.commit().await.unwrap();
    assert_eq!(kept().await, [4]);
    assert!(journals.remove_dead_letter("a", 4).await.unwrap());
    assert!(!journals.remove_dead_letter("a", 4).await.unwrap());
    assert!(kept().await.is_empty());
}

/// One place of a journal has one letter: the last.
pub async fn a_letter_takes_the_place_of_another(database: impl TruthDatabase) {
    let (truth, journals) = open(&database).await;
    let again = DeadLetter { entry: vec![9], error: "again".into(), schema: "other".into(), key: "x".into(), ..letter("a", 1) };
    keep(&truth, &[letter("a", 1), again.clone()]).await;
    assert_eq!(journals.dead_letters(None, None, 9).await.unwrap(), [again]);
    keep(&truth, &[letter("a", 1)]).await;
    assert_eq!(journals.dead_letters(None, None, 9).await.unwrap(), [letter("a", 1)]);
}
