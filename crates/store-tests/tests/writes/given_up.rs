//! Writing calls that are given up at every await: what a caller leaves behind holds nothing, and comes before its next write.

use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{Acknowledge, Collection, Freshness, Role, Store, StoreBuilder, WriteBehind, WriteMode};
use tempfile::TempDir;

use store_tests::models::{Player, player};
use store_tests::stacks::{open_sqlite, postgres, redis, sqlite};
use store_tests::waiting::until;

/// What nothing is left in the way of takes no longer, however busy the machine is.
const QUICK: Duration = Duration::from_secs(10);
/// No call waits so often.
pub(crate) const MOST_POLLS: usize = 200;
/// How long a call is kept that nobody polls any more: what it began goes on meanwhile.
const RESTS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1)];
/// How many turns, connections and places there are: who keeps one is soon in the way of the others.
const FEW: usize = 2;
const IDS: [&str; 3] = ["a", "b", "c"];

type Call = for<'a> fn(&'a Store, i64) -> BoxFuture<'a, strata::Result<()>>;

fn players(store: &Store) -> Collection<Player> {
    store.collection().expect("the stack has the model")
}

fn all(level: i64) -> [Player; 3] {
    IDS.map(|id| player(id, level))
}

/// Calls that write the three players, all or none.
const WHOLE: [(&str, Call); 7] = [
    ("set_many", |store, level| async move { players(store).set_many(all(level)).await.map(drop) }.boxed()),
    ("delete_many", |store, _| async move { players(store).delete_many(IDS).await.map(drop) }.boxed()),
    ("update_where", |store, level| {
        async move { players(store).update_where(Player::id().one_of(IDS), Player::level().set(level)).await.map(drop) }.boxed()
    }),
    ("delete_where", |store, _| async move { players(store).delete_where(Player::id().one_of(IDS)).await.map(drop) }.boxed()),
    ("transaction", |store, level| {
        async move {
            store
                .transaction(async |tx| {
                    tx.set(player("a", level)).await?;
                    tx.savepoint(async |tx| tx.set(player("b", level)).await.map(drop)).await?;
                    let mut last = tx.get_for_update::<Player>("c").await?.expect("the test wrote it");
                    last.level = level;
                    tx.set(last).await.map(drop)
                })
                .await
        }
        .boxed()
    }),
    ("commit", |store, level| async move { all(level).into_iter().fold(store.tx(), |tx, player| tx.set(player)).commit().await }.boxed()),
    ("import", |store, level| async move { Ok(players(store).import(all(level)).run().await.map(drop)?) }.boxed()),
];

/// Calls that write the first of them, or one after the other.
const SINGLE: [(&str, Call); 9] = [
    ("set", |store, level| async move { players(store).set(player("a", level)).await.map(drop) }.boxed()),
    ("delete", |store, _| async move { players(store).delete("a").await.map(drop) }.boxed()),
    ("set_if_version", |store, level| {
        async move {
            let version = players(store).get_record("a").await?.map(|player| player.version()).unwrap_or_default();
            // What is pending has none.
            let version = if version == Default::default() {
                players(store).from(Role::Truth).get("a").await?.map(|player| player.version()).unwrap_or_default()
            } else {
                version
            };
            players(store).set_if_version(player("a", level), version).await.map(drop)
        }
        .boxed()
    }),
    ("insert_only", |store, level| {
        async move { players(store).insert_only(player(&format!("new-{level}"), level)).await.map(drop) }.boxed()
    }),
    ("update", |store, level| async move { players(store).update("a", |player| player.level = level).await.map(drop) }.boxed()),
    ("patch", |store, level| async move { players(store).patch("a", Player::level().set(level)).await.map(drop) }.boxed()),
    ("invalidate", |store, _| async move { players(store).invalidate("a").await }.boxed()),
    ("flush", |store, level| {
        async move {
            players(store).set_many(all(level)).await?;
            store.flush().await
        }
        .boxed()
    }),
    ("import in chunks", |store, level| async move { Ok(players(store).import(all(level)).chunk(1).run().await.map(drop)?) }.boxed()),
];

/// Polls a call whenever it is woken, so many times in all, and drops it after a rest. Its answer, if that came before.
pub(crate) async fn give_up_after<R>(polls: usize, rest: Duration, call: impl Future<Output = R>) -> Option<R> {
    let (mut call, mut left) = (pin!(call), polls);
    let answer = poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    });
    let answer = answer.await;
    if answer.is_none() && !rest.is_zero() {
        tokio::time::sleep(rest).await;
    }
    answer
}

async fn quick<R>(what: &str, call: impl Future<Output = strata::Result<R>>) -> R {
    let answer = tokio::time::timeout(QUICK, call).await.unwrap_or_else(|_| panic!("{what} does not come to an end"));
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A store, and one on its truth alone.
struct Bench {
    store: Store,
    outside: Store,
    /// Dropped last.
    _storage: (Option<postgres::Database>, Option<redis::Namespace>, Vec<TempDir>),
}

impl Bench {
    async fn postgres(change: impl FnOnce(StoreBuilder<MemTier>, &Path) -> StoreBuilder<MemTier>) -> Self {
        let (database, outside) = postgres::open().await;
        let (namespace, shared) = redis::open().await;
        let config = PgConfig::from_url(&database.url()).unwrap().with_max_connections(1 + FEW);
        let tier = PgTier::connect(config).await.unwrap();
        let journals = tempfile::tempdir().unwrap();
        let builder = change(Store::builder().near(MemTier::new()).tier(shared).tier(tier), journals.path());
        Self::build(builder, Store::builder().tier(outside), (Some(database), Some(namespace), vec![journals])).await
    }

    async fn sqlite(change: impl FnOnce(StoreBuilder<MemTier>, &Path) -> StoreBuilder<MemTier>) -> Self {
        let (directory, tier) = sqlite().await;
        let outside = open_sqlite(&directory).await;
        let journals = tempfile::tempdir().unwrap();
        let builder = change(Store::builder().near(MemTier::new()).tier(tier), journals.path());
        Self::build(builder, Store::builder().tier(outside), (None, None, vec![directory, journals])).await
    }

    async fn build(
        builder: StoreBuilder<MemTier>,
        outside: StoreBuilder,
        storage: (Option<postgres::Database>, Option<redis::Namespace>, Vec<TempDir>),
    ) -> Self {
        let builder = builder.schema::<Player>().configure(|settings| {
            settings.truth_writes = FEW;
            settings.truth_reads = FEW;
            // What is in step is so because the write told, not because time went by.
            settings.freshness = Duration::from_secs(600);
        });
        let (store, outside) = (builder.build().await.unwrap(), outside.schema::<Player>().build().await.unwrap());
        Bench { store, outside, _storage: storage }
    }

    /// What the truth holds, without a word to the store.
    async fn stored(&self) -> [Option<i64>; 3] {
        let found = players(&self.outside).get_many(IDS).await.unwrap();
        [0, 1, 2].map(|at| found[at].as_ref().map(|player: &std::sync::Arc<Player>| player.level))
    }

    /// Gives the call up at every await, one after the other.
    async fn check(&self, name: &str, call: Call, is_whole: bool, base: i64) {
        let players = players(&self.store);
        for (polls, rest) in (1..).flat_map(|polls| RESTS.map(|rest| (polls, rest))) {
            let what = format!("`{name}`, given up after {polls} polls and {rest:?}");
            assert!(polls < MOST_POLLS, "{what}, goes on");
            let level = base + 100 * polls as i64 + 10 * i64::from(rest.is_zero());
            quick(&what, players.set_many(all(level))).await;
            quick(&what, self.store.flush()).await;
            let answer = give_up_after(polls, rest, call(&self.store, level + 1)).await;

            // The next write of the key comes after it, and is seen at once.
            quick(&what, players.set(player("a", level + 2))).await;
            let now = players.get("a").await.unwrap().map(|player| player.level);
            assert_eq!(now, Some(level + 2), "{what}: the store's own write");
            // Nothing is left that holds a turn, a connection or a place.
            quick(
                &what,
                futures_util::future::try_join_all((0..2 * FEW).map(|number| players.set(player(&format!("other-{number}"), level)))),
            )
            .await;
            quick(&what, self.store.tx().set(player("other", level)).commit()).await;
            quick(&what, self.store.flush()).await;
            assert_eq!(self.store.stats().dirty_entries, 0, "{what}");

            let [a, b, c] = self.stored().await;
            assert_eq!(a, Some(level + 2), "{what}: the later write counts");
            for other in [b, c] {
                assert!(other.is_none() || other == Some(level) || other == Some(level + 1), "{what}: {other:?} at {level}");
            }
            assert!(!is_whole || b == c, "{what}: all or nothing, not {b:?} and {c:?}");
            // What memory keeps first: a read of the truth would mend it.
            let kept = players.with_freshness(Freshness::Any);
            until("memory is in step", async || {
                let stored = self.stored().await;
                IDS.iter().zip(stored).all(|(id, stored)| kept.peek(*id).is_none_or(|kept| Some(kept.level) == stored))
            })
            .await;
            for role in [None, Some(Role::Shared), Some(Role::Truth)] {
                for (id, expected) in IDS.iter().zip([a, b, c]) {
                    let found = match role {
                        None => quick(&what, players.get(*id)).await.map(|player| player.level),
                        Some(role) => quick(&what, players.from(role).get(*id)).await.map(|player| player.level),
                    };
                    assert_eq!(found, expected, "{what}: {id} from {role:?}");
                }
            }
            if let Some(answer) = answer {
                answer.unwrap_or_else(|error| panic!("{what}: {error}"));
                return;
            }
        }
    }

    async fn check_all(self) {
        let calls = WHOLE.iter().map(|call| (call, true)).chain(SINGLE.iter().map(|call| (call, false)));
        for (number, ((name, call), is_whole)) in calls.enumerate() {
            self.check(name, *call, is_whole, 100_000 * number as i64).await;
        }
        // It waits for every write that it let in.
        quick("close", self.store.close()).await;
    }
}

fn through(builder: StoreBuilder<MemTier>, _: &Path) -> StoreBuilder<MemTier> {
    builder
}

fn behind(acknowledge: Acknowledge) -> impl FnOnce(StoreBuilder<MemTier>, &Path) -> StoreBuilder<MemTier> {
    move |builder, journal| {
        let flush_interval = Duration::from_secs(600);
        let settings =
            WriteBehind { acknowledge, flush_interval, flush_threshold: 1_000_000, max_pending: 3 * FEW, ..WriteBehind::default() };
        builder.write_mode(WriteMode::WriteBehind).journal(journal).write_behind(settings)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_redis_and_postgres() {
    Bench::postgres(through).await.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_redis_and_postgres_behind_a_journal() {
    Bench::postgres(behind(Acknowledge::Journal)).await.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_redis_and_postgres_behind_the_truth() {
    Bench::postgres(behind(Acknowledge::Truth)).await.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_sqlite() {
    Bench::sqlite(through).await.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_sqlite_behind_a_journal() {
    Bench::sqlite(behind(Acknowledge::Journal)).await.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_sqlite_behind_the_truth() {
    Bench::sqlite(behind(Acknowledge::Truth)).await.check_all().await;
}
