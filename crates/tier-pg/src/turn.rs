//! The right to migrate, which one process has at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store_core::{Error, ErrorKind, MigrationSettings, Result, Role};

use crate::error::{Attempt, Failure};
use crate::pool::{Lease, Pool, within};

/// The advisory lock of the process that migrates: "strata" in ASCII.
const LOCK: i64 = 0x7374_7261_7461;

/// The pauses between two attempts to get it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A connection that holds the lock. Dropping it ends the connection, and with it what runs on it and the lock: none stays on one of the pool's.
pub(crate) struct Turn {
    pub(crate) lease: Lease,
    /// Whether the session is set up otherwise than the pool's others.
    is_altered: AtomicBool,
}

impl Turn {
    /// Waits for the lock as long as the settings say.
    ///
    /// It asks time and again instead of waiting within the server, where a statement that waits would keep an index from being made beside writers: that waits
    /// for the end of every statement that began before it.
    pub(crate) async fn take(pool: &Pool, settings: &MigrationSettings) -> Result<Self> {
        let lease = pool.lease().await?;
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let is_taken = within(pool.limits().statement, async {
                let row = lease.query_one("SELECT pg_try_advisory_lock($1::BIGINT)", &[&LOCK]).await?;
                Ok(row.try_get(0)?)
            });
            if is_taken.await.map_err(|failure| failure.into_error(Attempt::Log))? {
                return Ok(Turn { lease, is_altered: AtomicBool::new(false) });
            }
            let left = settings.migrator_wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let holder = within(pool.limits().statement, holder(&lease)).await.unwrap_or_default();
                return Err(waited_in_vain(settings, &holder));
            }
            if pause == FIRST_PAUSE {
                tracing::info!(limit = ?settings.migrator_wait, "another process migrates this database; waiting for it");
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Marks the session as one that goes back to no pool.
    pub(crate) fn alter(&self) {
        self.is_altered.store(true, Ordering::Relaxed);
    }

    /// Gives the lock back. After an error the connection is not whole, and ends.
    pub(crate) async fn give_back<T>(self, pool: &Pool, outcome: Result<T>) -> Result<T> {
        let value = outcome?;
        let unlocked = within(pool.limits().statement, async {
            let row = self.lease.query_one("SELECT pg_advisory_unlock($1::BIGINT)", &[&LOCK]).await?;
            Ok(row.try_get::<_, bool>(0)?)
        });
        // Otherwise it goes with the connection.
        if unlocked.await.unwrap_or(false) && !self.is_altered.load(Ordering::Relaxed) {
            let _ = self.lease.settle(Ok(()));
        }
        Ok(value)
    }
}

/// Who has the lock, in words.
async fn holder(lease: &Lease) -> Result<String, Failure> {
    const TEXT: &str = "SELECT a.pid, a.application_name, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SSOF') \
        FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid \
        WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
        AND (l.classid::BIGINT << 32 | l.objid::BIGINT) = $1::BIGINT AND l.objsubid = 1";
    let Some(row) = lease.query_opt(TEXT, &[&LOCK]).await? else { return Ok(String::new()) };
    let (process, program, since): (i32, Option<&str>, Option<&str>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (program, since) = (program.unwrap_or("unknown"), since.unwrap_or("an unknown time"));
    Ok(format!(": the server's process {process} of the program `{program}`, connected since {since}"))
}

fn waited_in_vain(settings: &MigrationSettings, holder: &str) -> Error {
    let message = format!(
        "another process still migrates this database after {:?}{holder}; wait for its end and try again, or raise `migration.migrator_wait` (STRATA_MIGRATION_MIGRATOR_WAIT)",
        settings.migrator_wait
    );
    Error::new(ErrorKind::Timeout, message).with_tier(Role::Truth)
}
