//! Noticing commits, and leading.

use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use store_core::facet::{Heard, Log, LogKind, Wake, Wakes};
use store_core::{ErrorKind, Tier};
use tier_sqlite::SqliteTier;

use crate::support::{Database, assert_kind, notes, put};

/// How long a commit may take to be noticed on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Many looks at the file: long enough that a commit would have been noticed.
const QUIET: Duration = Duration::from_millis(200);

/// Listens, and waits until the listener is at work.
pub(crate) async fn listen(tier: &Arc<SqliteTier>) -> BoxStream<'static, Heard> {
    let mut heard = Arc::clone(tier).listen();
    hears(&mut heard).await;
    heard
}

pub(crate) async fn hears(heard: &mut BoxStream<'static, Heard>) {
    let next = tokio::time::timeout(LIMIT, heard.next()).await.expect("a commit is noticed");
    assert_eq!(next, Some(Heard::Changed));
}

/// Takes what was heard until nothing comes any more.
pub(crate) async fn settle(heard: &mut BoxStream<'static, Heard>) {
    while let Ok(next) = tokio::time::timeout(QUIET, heard.next()).await {
        assert_eq!(next, Some(Heard::Changed));
    }
}

#[tokio::test]
async fn commits_are_noticed_and_nothing_else() {
    let database = Database::new();
    let tier = database.notes().await;
    let other = database.notes().await;
    let (mut first, mut second) = (listen(&tier).await, listen(&tier).await);
    settle(&mut first).await;
    settle(&mut second).await;
    tier.end().await.unwrap();
    let wake = Wake { schema: "note".into(), key: None, kind: LogKind::Put, version: None, origin: Some(1) };
    tier.publish(&[wake]).await.unwrap();
    assert!(tokio::time::timeout(QUIET, first.next()).await.is_err(), "reads and messages change nothing");

    put(&tier, [1]).await.unwrap();
    hears(&mut first).await;
    settle(&mut first).await;
    put(&other, [2]).await.unwrap();
    hears(&mut first).await;
    settle(&mut first).await;
    database.outside("UPDATE note SET text = 'changed'");
    hears(&mut first).await;
    settle(&mut first).await;
    hears(&mut second).await;
    assert!(tokio::time::timeout(QUIET, second.next()).await.is_err(), "who has not listened hears of several commits at once");
}

#[tokio::test]
async fn listening_ends_with_the_tier_or_the_listener() {
    let database = Database::new();
    let tier = database.notes().await;
    let mut heard = listen(&tier).await;
    let mut unheard = Arc::clone(&tier).listen();
    drop(listen(&tier).await);
    put(&tier, [1]).await.unwrap();
    tokio::time::timeout(LIMIT, tier.close()).await.expect("listeners do not hold the close up").unwrap();
    assert!(heard.by_ref().all(|heard| async move { heard == Heard::Changed }).await);
    assert_eq!(heard.next().await, None);
    assert_eq!(unheard.next().await, None);
    assert_eq!(tier.listen().next().await, None);
}

#[tokio::test]
async fn a_listener_waits_for_a_file_that_is_away() {
    let database = Database::new();
    let tier = notes(database.config()).await;
    let aside = database.path().with_extension("aside");
    std::fs::rename(database.path(), &aside).unwrap();
    let mut heard = Arc::clone(&tier).listen();
    assert!(tokio::time::timeout(QUIET, heard.next()).await.is_err());
    std::fs::rename(&aside, database.path()).unwrap();
    hears(&mut heard).await;
}

#[tokio::test]
async fn files_have_leaders_of_their_own() {
    let names = ["log".to_owned()];
    let (one, other) = (Database::new(), Database::new());
    let (leader, neighbour) = (one.notes().await, other.notes().await);
    assert_eq!((leader.lead(&names).await.unwrap(), neighbour.lead(&names).await.unwrap()), (vec![true], vec![true]));

    let heir = one.notes().await;
    assert_eq!(heir.lead(&names).await.unwrap(), [false]);
    drop(leader);
    assert_eq!(heir.lead(&names).await.unwrap(), [true], "a tier that is dropped leads no more");
}

#[tokio::test]
async fn a_leader_that_cannot_be_elected_is_an_error_with_the_reason() {
    let names = ["log".to_owned()];
    let database = Database::new();
    let tier = database.notes().await;
    let lock = database.path().with_extension("db-leader");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(database.path().join("nowhere"), &lock).unwrap();
        let error = assert_kind(tier.lead(&names).await, ErrorKind::L3Unavailable);
        assert!(error.to_string().contains("-leader` cannot be opened or locked"), "{error}");
        std::fs::remove_file(&lock).unwrap();
    }
    assert_eq!(tier.lead(&names).await.unwrap(), [true]);
    assert!(lock.exists());
    tier.close().await.unwrap();
    assert!(lock.exists(), "the file stays for others");
}
