//! Write-behind: what is acknowledged before the truth has it, and what becomes of it.

mod conflicts;
mod damage;
#[cfg(target_os = "linux")]
mod full_disk;
mod hooks;
mod journals;
mod keys;
mod letters;
mod levels;
mod outages;
mod reads;
mod refused;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use store_testkit::{FaultTier, Faults};
use strata::mem::MemTier;
use strata::{Acknowledge, Collection, Role, Store, StoreBuilder, WriteBehind, WriteMode};
use tempfile::TempDir;

use store_tests::models::{Account, City, Player};
use store_tests::stacks::{self, copy_directory, postgres};

type Builder = StoreBuilder<MemTier>;

/// A truth, and directories for journals.
struct Bench {
    truth: Truth,
    journals: TempDir,
}

enum Truth {
    Sqlite(TempDir),
    Postgres(postgres::Database),
}

impl Bench {
    async fn sqlite() -> Self {
        let (directory, _) = stacks::sqlite().await;
        Bench { truth: Truth::Sqlite(directory), journals: tempfile::tempdir().unwrap() }
    }

    async fn postgres() -> Self {
        let (database, _) = postgres::open().await;
        Bench { truth: Truth::Postgres(database), journals: tempfile::tempdir().unwrap() }
    }

    async fn tier(&self) -> FaultTier {
        match &self.truth {
            Truth::Sqlite(directory) => FaultTier::new(stacks::open_sqlite(directory).await),
            Truth::Postgres(database) => FaultTier::new(database.tier().await),
        }
    }

    /// A store of players, cities and accounts that writes behind, flushes only when it is told to, and keeps this journal.
    async fn open(&self, journal: &str) -> Store {
        self.open_with(journal, |builder| builder).await.0
    }

    async fn open_with(&self, journal: &str, change: impl FnOnce(Builder) -> Builder) -> (Store, Faults) {
        let (store, faults) = self.try_open(journal, |builder| change(schemas(builder))).await;
        (store.expect("the stack is sound"), faults)
    }

    async fn try_open(&self, journal: &str, change: impl FnOnce(Builder) -> Builder) -> (strata::Result<Store>, Faults) {
        let tier = self.tier().await;
        let faults = tier.faults();
        let builder = Store::builder().near(MemTier::new()).tier(tier).write_mode(WriteMode::WriteBehind);
        let builder = builder.journal(self.journals.path().join(journal));
        let builder = builder.write_behind(unhurried()).configure(|settings| {
            settings.breaker.enabled = false;
            settings.retries = 0;
            // What memory holds answers, however busy the machine is.
            settings.freshness = Duration::from_secs(60);
        });
        (change(builder).build().await, faults)
    }

    /// A copy of a journal, as a killed process would have left it.
    fn copy(&self, journal: &str, copy: &str) {
        copy_directory(&self.journals.path().join(journal), &self.journals.path().join(copy));
    }
}

fn schemas(builder: Builder) -> Builder {
    builder.schema::<Player>().schema::<City>().schema::<Account>()
}

/// Nothing is flushed that no test asks for.
fn unhurried() -> WriteBehind {
    WriteBehind { flush_interval: Duration::from_secs(600), flush_threshold: 1_000_000, ..WriteBehind::default() }
}

fn acknowledged_by(acknowledge: Acknowledge) -> impl FnOnce(Builder) -> Builder {
    move |builder| builder.configure(|settings| settings.write_behind.acknowledge = acknowledge)
}

fn players(store: &Store) -> Collection<Player> {
    store.collection().expect("the store has the model")
}

/// What a read of this instance finds.
async fn level(players: &Collection<Player>, id: &str) -> Option<i64> {
    players.get(id).await.unwrap().map(|player: Arc<Player>| player.level)
}

/// What the truth holds, as a store sees it that has nothing pending itself.
async fn truth(other: &Store, id: &str) -> Option<i64> {
    players(other).from(Role::Truth).get(id).await.unwrap().map(|player| player.level)
}

/// Runs cases on either truth, one test each.
macro_rules! on_truths {
    ($($case:ident),* $(,)?) => {
        $crate::behind::on_truths!(@truth sqlite [$($case),*]);
        $crate::behind::on_truths!(@truth postgres [$($case),*]);
    };
    (@truth $truth:ident [$($case:ident),*]) => {
        mod $truth {
            use crate::behind::Bench;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&Bench::$truth().await).await;
                }
            )*
        }
    };
}
use on_truths;
