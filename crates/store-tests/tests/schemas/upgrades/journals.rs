//! Writes that an older build left pending in its journal.

use std::time::Duration;

use strata::mem::MemTier;
use strata::{Deferred, Role, Schema, Store, Upgrade, UpgradeError, WriteBehind, WriteMode};
use tempfile::TempDir;

use store_tests::stacks::{copy_directory, open_sqlite, sqlite};

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "squad")]
struct SquadV1 {
    #[schema(primary_key)]
    id: i64,
    members: Option<String>,
    #[schema(omit_cache)]
    notes: Deferred<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "squad", version = 2, upgrade_from = SquadV1)]
struct SquadV2 {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = 0)]
    size: i64,
    #[schema(omit_cache)]
    notes: Deferred<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(version = 3, upgrade_from = SquadV2)]
struct Squad {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = 0)]
    strength: i64,
    #[schema(omit_cache)]
    notes: Deferred<Option<String>>,
}

impl Upgrade<SquadV1> for SquadV2 {
    fn upgrade(old: SquadV1) -> Result<Self, UpgradeError> {
        let members = old.members.ok_or("nobody is in it")?;
        Ok(SquadV2 { id: old.id, size: members.split(',').count() as i64, notes: old.notes })
    }
}

impl Upgrade<SquadV2> for Squad {
    fn upgrade(old: SquadV2) -> Result<Self, UpgradeError> {
        Ok(Squad { id: old.id, strength: old.size * 10, notes: old.notes })
    }
}

/// The table after all migrations.
#[derive(Debug, Schema)]
#[schema(name = "squad")]
struct Table {
    #[schema(primary_key)]
    id: i64,
    members: Option<String>,
    #[schema(default = 0)]
    size: i64,
    #[schema(default = 0)]
    strength: i64,
    notes: Option<String>,
}

struct Servers {
    truth: TempDir,
    journals: TempDir,
}

impl Servers {
    async fn new() -> Self {
        let (truth, tier) = sqlite().await;
        Store::builder().tier(tier).schema::<Table>().build().await.unwrap().close().await.unwrap();
        Servers { truth, journals: tempfile::tempdir().unwrap() }
    }

    async fn store<T: Schema>(&self, journal: &str) -> Store {
        let unhurried = WriteBehind { flush_interval: Duration::from_secs(600), flush_threshold: 1_000_000, ..WriteBehind::default() };
        let builder = Store::builder().near(MemTier::new()).tier(open_sqlite(&self.truth).await).schema::<T>();
        let builder = builder.write_mode(WriteMode::WriteBehind).write_behind(unhurried);
        builder.journal(self.journals.path().join(journal)).build().await.unwrap()
    }

    /// A copy of a journal, as a killed process would have left it.
    fn copy(&self, journal: &str, copy: &str) {
        copy_directory(&self.journals.path().join(journal), &self.journals.path().join(copy));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_writes_of_each_version_are_flushed_by_the_newest() {
    let servers = Servers::new().await;
    let notes = |text: &str| Deferred::Loaded(Some(text.to_owned()));
    let first = servers.store::<SquadV1>("first").await;
    let squads = first.collection::<SquadV1>().unwrap();
    let old = |id, members: Option<&str>| SquadV1 { id, members: members.map(str::to_owned), notes: Deferred::NotLoaded };
    squads.set(SquadV1 { notes: notes("kept"), ..old(1, Some("stored")) }).await.unwrap();
    squads.set(old(5, Some("to be deleted"))).await.unwrap();
    first.flush().await.unwrap();
    squads.set_many([old(1, Some("ada,alan")), old(2, None)]).await.unwrap();
    squads.set(SquadV1 { notes: notes("new"), ..old(3, Some("grace")) }).await.unwrap();
    squads.delete(5).await.unwrap();
    servers.copy("first", "third");
    servers.copy("first", "second");
    // As if it were killed: nothing of it flushes what the copies hold.
    std::mem::forget(first);

    // What is left is flushed at once, and the third is to find it: the second has a truth of its own.
    let other = Servers { truth: Servers::new().await.truth, journals: servers.journals };
    let second = other.store::<SquadV2>("second").await;
    assert_eq!(second.collection::<SquadV2>().unwrap().get(3).await.unwrap().unwrap().size, 1);
    second.close().await.unwrap();
    let servers = Servers { truth: servers.truth, journals: other.journals };
    let second = servers.store::<SquadV2>("later").await;
    second.collection::<SquadV2>().unwrap().set(SquadV2 { id: 4, size: 7, notes: Deferred::NotLoaded }).await.unwrap();
    servers.copy("later", "fourth");
    std::mem::forget(second);

    let third = servers.store::<Squad>("third").await;
    third.flush().await.unwrap();
    assert_eq!(third.stats().dirty_entries, 0);
    let letters = third.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((&*letters[0].schema, &*letters[0].key), ("squad", "2"));
    assert!(letters[0].error.contains("which version 1 of the model wrote") && letters[0].error.contains("nobody is in it"), "{letters:?}");
    let squads = third.collection::<Squad>().unwrap().from(Role::Truth);
    let found = async |id| squads.get(id).await.unwrap().map(|squad| (squad.strength, squad.notes.clone()));
    assert_eq!(found(1).await, Some((20, notes("kept"))), "what was not loaded stays");
    assert_eq!(found(3).await, Some((10, notes("new"))));
    assert_eq!((found(2).await, found(4).await, found(5).await), (None, None, None));
    let fourth = servers.store::<Squad>("fourth").await;
    fourth.flush().await.unwrap();
    assert_eq!(found(4).await, Some((70, Deferred::Loaded(None))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_write_of_a_newer_version_is_kept_for_the_newer_build() {
    let servers = Servers::new().await;
    let newer = servers.store::<SquadV2>("newer").await;
    let squads = newer.collection::<SquadV2>().unwrap();
    squads.set(SquadV2 { id: 1, size: 7, notes: Deferred::NotLoaded }).await.unwrap();
    servers.copy("newer", "older");
    std::mem::forget(newer);

    let older = servers.store::<SquadV1>("older").await;
    older.flush().await.unwrap();
    let letters = older.dead_letters().list(None, 10).await.unwrap();
    assert!(letters[0].error.contains("of version 2 of the model, and this build knows none above 1"), "{letters:?}");
    older.close().await.unwrap();
    let newer = servers.store::<SquadV2>("older").await;
    newer.dead_letters().of::<SquadV2>().retry(&letters[0]).await.unwrap();
    assert_eq!(newer.collection::<SquadV2>().unwrap().from(Role::Truth).get(1).await.unwrap().unwrap().size, 7);
}
