//! Dropping old entries.

use std::time::Duration;

use super::since;
use crate::suites::tables::schemas::{player, player_row};
use crate::suites::truth::{TruthDatabase, open_with};

/// Pruning drops what is older than the age and nothing younger, and says how much.
pub async fn pruning_drops_by_age(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    assert_eq!(truth.log.prune(Duration::ZERO).await.unwrap(), 0);
    let mut cursor = truth.log.end().await.unwrap();
    truth.tables.put_many(&schema, &[player_row(1), player_row(2), player_row(3)]).await.unwrap();
    for age in [Duration::from_secs(3_600), Duration::MAX] {
        assert_eq!(truth.log.prune(age).await.unwrap(), 0);
    }
    assert_eq!(since(&truth, &mut cursor).await.len(), 3);
    assert_eq!(truth.log.prune(Duration::ZERO).await.unwrap(), 3);
    assert_eq!(truth.log.prune(Duration::ZERO).await.unwrap(), 0);
}

/// A follower that had not read what was pruned learns of a gap, once; one that had read it does not.
pub async fn a_follower_that_came_late_learns_of_a_gap(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let late = truth.log.end().await.unwrap();
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let halfway = truth.log.end().await.unwrap();
    truth.tables.put_many(&schema, &[player_row(2)]).await.unwrap();
    let in_time = truth.log.end().await.unwrap();

    assert_eq!(truth.log.prune(Duration::ZERO).await.unwrap(), 2);
    truth.tables.put_many(&schema, &[player_row(3)]).await.unwrap();

    let batch = truth.log.read(&in_time).await.unwrap();
    assert!(!batch.gap);
    assert_eq!(batch.entries.len(), 1);
    for late in [late, halfway] {
        let batch = truth.log.read(&late).await.unwrap();
        assert!(batch.gap);
        let next = truth.log.read(&batch.cursor).await.unwrap();
        assert!(!next.gap && next.entries.is_empty());
    }
}

/// Where pruning found nothing, nobody learns of a gap, and versions go on rising after everything was pruned.
pub async fn pruning_harms_nobody_else(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let start = truth.log.end().await.unwrap();
    truth.log.prune(Duration::ZERO).await.unwrap();
    assert!(!truth.log.read(&start).await.unwrap().gap);

    let before = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap()[0].version;
    truth.log.prune(Duration::ZERO).await.unwrap();
    let mut cursor = truth.log.end().await.unwrap();
    let after = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap()[0].version;
    assert!(after > before);
    assert_eq!(since(&truth, &mut cursor).await.len(), 1);
}
