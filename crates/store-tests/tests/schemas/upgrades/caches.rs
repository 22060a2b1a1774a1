//! Older records in a cache above a table.

use store_testkit::{FaultTier, Faults, ModelRecords, Operation};
use strata::mem::MemTier;
use strata::{BoundSchema, Role, Schema, Store, Upgrade, UpgradeError, UpgradePolicy};
use tempfile::TempDir;

use crate::codecs::relayed;
use store_tests::stacks::{open_sqlite, sqlite};
use store_tests::waiting::until;

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "ware")]
struct Old {
    #[schema(primary_key)]
    id: i64,
    name: String,
    label: Option<String>,
}

/// As the old one, without one of its columns.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "ware", version = 2, upgrade_from = Old)]
struct Narrower {
    #[schema(primary_key)]
    id: i64,
    name: String,
}

/// With a column more.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "ware", version = 2, upgrade_from = Old)]
struct Wider {
    #[schema(primary_key)]
    id: i64,
    name: String,
    label: Option<String>,
    #[schema(default = 5)]
    rank: i64,
}

/// With a column more that follows from the others.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "ware", version = 2, upgrade_from = Old, upgrade_incomplete)]
struct Derived {
    #[schema(primary_key)]
    id: i64,
    name: String,
    label: Option<String>,
    #[schema(default = 5)]
    rank: i64,
}

impl Upgrade<Old> for Narrower {
    fn upgrade(old: Old) -> Result<Self, UpgradeError> {
        if old.name == "broken" { Err("it is broken".into()) } else { Ok(Narrower { id: old.id, name: old.name }) }
    }
}

impl Upgrade<Old> for Wider {
    fn upgrade(old: Old) -> Result<Self, UpgradeError> {
        Ok(Wider { id: old.id, name: old.name, label: old.label, rank: 5 })
    }
}

impl Upgrade<Old> for Derived {
    fn upgrade(old: Old) -> Result<Self, UpgradeError> {
        Ok(Derived { id: old.id, name: old.name, label: old.label, rank: 5 })
    }
}

/// One shared tier above one table.
struct Servers {
    shared: ModelRecords,
    directory: TempDir,
}

impl Servers {
    async fn new() -> Self {
        let (directory, _) = sqlite().await;
        Servers { shared: ModelRecords::new(), directory }
    }

    async fn store<T: Schema>(&self, policy: UpgradePolicy) -> (Store, Faults) {
        let tables = FaultTier::new(open_sqlite(&self.directory).await);
        let truth = tables.faults();
        let builder = Store::builder().near(MemTier::new()).tier(self.shared.clone()).tier(tables).schema::<T>();
        (builder.upgrade_policy(policy).build().await.unwrap(), truth)
    }

    /// A slot that the old build filled.
    async fn filled(&self, store: &Store, name: &str) {
        let wares = store.collection::<Old>().unwrap();
        wares.set(Old { id: 1, name: name.to_owned(), label: None }).await.unwrap();
        relayed::<Old>(&self.shared, store).await;
        wares.from(Role::Shared).get(1).await.unwrap();
        assert_eq!(self.fingerprint::<Old>().await, Some(Old::definition().fingerprint()));
    }

    async fn fingerprint<T: Schema>(&self) -> Option<u64> {
        use strata::facet::{Records, Slot};
        let schema = BoundSchema::standalone(T::definition());
        match self.shared.fetch(&schema, &["1".to_owned()], None).await.unwrap().remove(0) {
            Slot::Record(record) => Some(record.fingerprint),
            _ => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_holds_all_columns_saves_the_read_of_the_table() {
    let servers = Servers::new().await;
    let (old, _) = servers.store::<Old>(UpgradePolicy::OnRead).await;
    servers.filled(&old, "chair").await;
    let (new, truth) = servers.store::<Narrower>(UpgradePolicy::OnRead).await;
    let wares = new.collection::<Narrower>().unwrap();
    assert_eq!(*wares.get(1).await.unwrap().unwrap(), Narrower { id: 1, name: "chair".into() });
    assert_eq!((truth.calls(Operation::GetMany), new.stats().l2_hits, new.stats().upgrades), (0, 1, 1));
    // Both builds go on reading the same slot.
    assert_eq!(servers.fingerprint::<Old>().await, Some(Old::definition().fingerprint()));

    let (writing, truth) = servers.store::<Narrower>(UpgradePolicy::WriteBack).await;
    assert_eq!(writing.collection::<Narrower>().unwrap().get(1).await.unwrap().unwrap().name, "chair");
    until("the slot is written back", async || servers.fingerprint::<Old>().await == Some(Narrower::definition().fingerprint())).await;
    assert_eq!(truth.calls(Operation::GetMany), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_record_that_cannot_be_upgraded_is_read_from_the_table() {
    let servers = Servers::new().await;
    let (old, _) = servers.store::<Old>(UpgradePolicy::OnRead).await;
    servers.filled(&old, "broken").await;
    let (new, truth) = servers.store::<Narrower>(UpgradePolicy::OnRead).await;
    assert_eq!(new.collection::<Narrower>().unwrap().get(1).await.unwrap().unwrap().name, "broken");
    assert_eq!((truth.calls(Operation::GetMany), new.stats().errors), (1, 1));
}

/// Of a column that an old build does not know, its records say nothing: the row may hold what a new build wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_build_beside_a_new_one_hides_no_new_column() {
    let servers = Servers::new().await;
    let (new, truth) = servers.store::<Wider>(UpgradePolicy::WriteBack).await;
    let (old, _) = servers.store::<Old>(UpgradePolicy::OnRead).await;
    let wares = new.collection::<Wider>().unwrap();
    for round in 0..3 {
        wares.set(Wider { id: 1, name: "chair".into(), label: None, rank: 9 + round }).await.unwrap();
        servers.filled(&old, &format!("table {round}")).await;
        let (again, _) = servers.store::<Wider>(UpgradePolicy::WriteBack).await;
        for wares in [&wares, &again.collection::<Wider>().unwrap()] {
            let found = wares.from(Role::Shared).get(1).await.unwrap().unwrap();
            assert_eq!((&*found.name, found.rank), (&*format!("table {round}"), 9 + round));
        }
        assert_eq!(again.stats().upgrades + again.stats().errors, 0);
    }
    assert!(truth.calls(Operation::GetMany) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_columns_that_follow_from_the_old_ones_may_be_upgraded_in_the_cache() {
    let servers = Servers::new().await;
    // The table gets its columns.
    servers.store::<Derived>(UpgradePolicy::OnRead).await.0.close().await.unwrap();
    let (old, _) = servers.store::<Old>(UpgradePolicy::OnRead).await;
    servers.filled(&old, "chair").await;
    let (new, truth) = servers.store::<Derived>(UpgradePolicy::OnRead).await;
    assert_eq!(new.collection::<Derived>().unwrap().get(1).await.unwrap().unwrap().rank, 5);
    assert_eq!((truth.calls(Operation::GetMany), new.stats().upgrades), (0, 1));
}
