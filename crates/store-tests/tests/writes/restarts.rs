//! PostgreSQL killed, and shut down in good order, in the middle of what was sent to it; and what its own notes say when it is back.

mod bulk;
mod flushes;
mod transactions;

use std::path::Path;
use std::time::Duration;

use store_testkit::servers::{PostgresOptions, PostgresServer};
use store_testkit::{FaultTier, Faults, Operation};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{Collection, Error, ErrorKind, Role, Store, WriteBehind, WriteMode};

use store_tests::models::Player;
use store_tests::noted;
use store_tests::stacks::redis;
use store_tests::waiting::until;

const LIMIT: Duration = Duration::from_secs(5);
/// Longer than every time limit of a call together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Springs the trap that is set, for players of this level or above: they take long to be stored, or their commit waits, once it is on the disk, for a server that is
/// not there.
const TRAP: &str = "
    CREATE TABLE trap (place text, level bigint);
    CREATE FUNCTION spring() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN
            IF EXISTS (SELECT FROM trap WHERE place = ''writing'' AND level <= NEW.level) THEN PERFORM pg_sleep(0.5); END IF;
            IF EXISTS (SELECT FROM trap WHERE place = ''untold'' AND level <= NEW.level) THEN
                PERFORM set_config(''synchronous_commit'', ''on'', true);
            END IF;
            RETURN NULL;
        END';
    CREATE TRIGGER spring AFTER INSERT OR UPDATE OF level ON player FOR EACH ROW EXECUTE FUNCTION spring();";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By SIGKILL.
    Killed,
    Stopped,
}

const ENDS: [End; 2] = [End::Killed, End::Stopped];

/// How far a call has come when the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before(Operation),
    After(Operation),
    /// In the middle of the statement that stores rows.
    Writing,
    /// Its commit is on the disk, and nobody has been told.
    Untold,
}

impl Place {
    /// Whether the truth holds what was written in spite of it all.
    fn took_effect(self) -> bool {
        self == Place::Untold || self.is_answered()
    }

    /// Whether the call is told that it succeeded.
    fn is_answered(self) -> bool {
        self == Place::After(Operation::Commit)
    }
}

/// Memory, Redis, and PostgreSQL on a server of its own.
struct Bench {
    server: PostgresServer,
    _redis: redis::Namespace,
    faults: Faults,
    store: Store,
}

impl Bench {
    /// With a journal, the store writes behind, and flushes only when it is told to.
    async fn open(journal: Option<&Path>) -> Self {
        let settings = [("synchronous_standby_names", "nobody"), ("synchronous_commit", "local")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let server = PostgresServer::start(&PostgresOptions { settings, ..PostgresOptions::default() }).unwrap();
        let (redis, shared) = redis::open().await;
        let config = PgConfig::from_url(&server.url()).unwrap().with_connect_timeout(LIMIT).with_acquire_timeout(LIMIT);
        let tier = FaultTier::new(PgTier::connect(config.with_statement_timeout(LIMIT)).await.unwrap());
        let faults = tier.faults();
        let mut builder = Store::builder().near(MemTier::new()).tier(shared).tier(tier).schema::<Player>().configure(|settings| {
            settings.breaker.enabled = false;
            settings.retries = 0;
        });
        if let Some(journal) = journal {
            let unhurried = WriteBehind { flush_interval: Duration::from_secs(600), flush_threshold: 1_000_000, ..WriteBehind::default() };
            builder = builder.write_mode(WriteMode::WriteBehind).journal(journal).write_behind(unhurried);
        }
        let store = builder.build().await.unwrap();
        server.query(noted::BEGIN).unwrap();
        server.query(TRAP).unwrap();
        Bench { server, _redis: redis, faults, store }
    }

    fn players(&self) -> Collection<Player> {
        self.store.collection().unwrap()
    }

    /// Ends the server when the call, which writes players of this level or above, has come to a place. What the call answers then; the server stays
    /// away.
    async fn interrupt<R: Send + 'static>(
        &mut self,
        place: Place,
        level: i64,
        end: End,
        call: impl Future<Output = R> + Send + 'static,
    ) -> R {
        let (held, trap) = match place {
            Place::Before(operation) => (Some(self.faults.hold_before(operation)), None),
            Place::After(operation) => (Some(self.faults.hold_after(operation)), None),
            Place::Writing => (None, Some(("writing", "PgSleep"))),
            Place::Untold => (None, Some(("untold", "SyncRep"))),
        };
        if let Some((trap, _)) = trap {
            self.server.query(&format!("INSERT INTO trap VALUES ('{trap}', {level})")).unwrap();
        }
        let call = tokio::spawn(call);
        match (&held, trap) {
            (Some(held), _) => held.arrived().await,
            (None, trap) => {
                let (_, event) = trap.unwrap();
                let waits = format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}'");
                until("the trap is sprung", async || self.server.query(&waits).unwrap() != "0").await;
            }
        }
        match end {
            End::Killed => self.server.kill().unwrap(),
            End::Stopped => self.server.stop().unwrap(),
        }
        drop(held);
        in_time(call).await.unwrap()
    }

    /// Starts the server again, without its traps, and waits until the store has found it.
    async fn restart(&mut self) {
        self.server.restart().unwrap();
        self.server.query("DELETE FROM trap").unwrap();
        until("the store reaches the server again", async || self.store.ping().await.is_ok()).await;
    }

    /// Every tier shows this of a player.
    async fn check(&self, id: &str, expected: Option<i64>) {
        let players = self.players();
        let now = players.get(id).await.unwrap().map(|player| player.level);
        assert_eq!(now, expected, "what is read of {id}");
        for role in [Role::Truth, Role::Shared] {
            let found = players.from(role).get(id).await.unwrap().map(|player| player.level);
            assert_eq!(found, expected, "what {role:?} has of {id}");
        }
        let kept = players.peek(id).map(|player| player.level);
        assert!(kept.is_none() || kept == expected, "memory keeps {kept:?} of {id}, which is {expected:?}");
    }

    /// How often a player of this id and level was stored.
    fn times(&self, id: &str, level: i64) -> usize {
        noted::all(&self.server).iter().filter(|noted| **noted == (id.to_owned(), level)).count()
    }
}

/// A call must answer in time, whatever it answers.
async fn in_time<R>(call: impl Future<Output = R>) -> R {
    tokio::time::timeout(PATIENCE, call).await.expect("the call did not answer within its limits")
}

/// The error of a truth that is away.
fn assert_away(error: &Error, what: &str) {
    assert!(matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{what}: {error:?}");
    assert!(error.is_retryable() && error.tier() == Some(Role::Truth), "{what}: {error:?}");
}
