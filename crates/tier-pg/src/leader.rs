//! Leaderships: advisory locks of one session.
//!
//! PostgreSQL frees the locks of a session when it ends, so a leadership ends with its connection, and with the process. The session is the tier's own and
//! none of the pool's, which come and go.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use store_core::Result;
use tokio::sync::Mutex;

use crate::closing::{Closing, closed};
use crate::connect::{Connector, OpenConnection};
use crate::error::{Attempt, Failure};
use crate::pool::within;

/// Tries to lock names. A lock is of a database; the name of the schema in which the log lies sets several logs of one database apart.
const TRY: &str = "SELECT l.name, pg_try_advisory_lock(hashtextextended('strata:' || coalesce(quote_ident(current_schema()), '') || ':' || l.name, 0)) \
    FROM unnest($1::TEXT[]) AS l (name)";

const RELEASE: &str = "SELECT pg_advisory_unlock_all()";

/// The most time that closing waits for the server to take the locks back; it does so by itself when the connection has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// The leaderships of one tier.
pub(crate) struct Leader {
    connector: Arc<Connector>,
    /// The limit for one question to the server.
    limit: Duration,
    session: Mutex<Option<Session>>,
}

/// A connection, and the names whose locks it holds.
struct Session {
    connection: OpenConnection,
    held: BTreeSet<String>,
}

impl Leader {
    pub(crate) fn new(connector: Arc<Connector>, limit: Duration) -> Self {
        Leader { connector, limit, session: Mutex::default() }
    }

    /// Seeks or confirms leaderships, in the order of the names.
    pub(crate) async fn lead(&self, names: &[String], closing: &Closing) -> Result<Vec<bool>> {
        let mut open = closing.watch();
        open.run(self.ask(names)).await.unwrap_or_else(|| Err(closed()))
    }

    async fn ask(&self, names: &[String]) -> Result<Vec<bool>> {
        let mut place = self.session.lock().await;
        // Taken out, so that a call that is dropped midway ends the session: whether it got a lock would not be known, and a second one on top of it
        // would outlive the first one's release.
        let mut session = match place.take().filter(|session| !session.connection.client.is_closed()) {
            Some(session) => session,
            None => Session { connection: self.connector.open().await?, held: BTreeSet::new() },
        };
        within(self.limit, session.seek(names)).await.map_err(|failure| failure.into_error(Attempt::Log))?;
        let led = names.iter().map(|name| session.held.contains(name)).collect();
        *place = Some(session);
        Ok(led)
    }

    /// Gives all leaderships back.
    pub(crate) async fn close(&self) {
        let Some(session) = self.session.lock().await.take() else { return };
        // What keeps the server from answering ends the session too.
        let _ = tokio::time::timeout(FAREWELL, session.connection.client.batch_execute(RELEASE)).await;
    }
}

impl Session {
    /// Asks for the names that are not held. Where all are, the empty question confirms that the session lives.
    async fn seek(&mut self, names: &[String]) -> Result<(), Failure> {
        let wanted: BTreeSet<&str> = names.iter().filter(|name| !self.held.contains(*name)).map(String::as_str).collect();
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let client = &self.connection.client;
        let statement = client.prepare_cached(TRY).await?;
        for row in client.query(&statement, &[&wanted]).await? {
            if row.try_get(1)? {
                self.held.insert(row.try_get(0)?);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").finish_non_exhaustive()
    }
}
