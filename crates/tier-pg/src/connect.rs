//! Opening connections.

use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use store_core::{Error, ErrorKind, Result, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode as DriverSslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Endpoint, SslMode};
use crate::error::{Attempt, Failure};
use crate::orphans::Backend;
use crate::tls;

const OLDEST_SERVER: u32 = 14;

/// Raises the sequence of versions to what belongs to the server's timeline.
///
/// A standby that took over may not have replayed the last draws, and would give their numbers again to other writes. No number of a timeline is below those
/// of the timelines before it: the high bits of a version are the count of take-overs. A take-over ends every connection, so that nobody draws before it
/// was looked at.
const RAISE_VERSIONS: &str = "DO $$
    DECLARE
        least BIGINT;
    BEGIN
        IF pg_is_in_recovery() OR to_regclass('_strata_version') IS NULL THEN
            RETURN;
        END IF;
        least := (('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::BIT(32)::BIGINT - 1) << 40;
        IF least > coalesce(pg_sequence_last_value('_strata_version'), 0) THEN
            PERFORM pg_advisory_xact_lock(hashtext('_strata_version'));
            IF least > coalesce(pg_sequence_last_value('_strata_version'), 0) THEN
                PERFORM setval('_strata_version', least);
            END IF;
        END IF;
    EXCEPTION WHEN insufficient_privilege OR read_only_sql_transaction THEN
        RAISE WARNING 'Strata may not raise the sequence _strata_version after a standby took over; grant UPDATE on it';
    END $$";

/// A session writes only within transactions that say so: should the `BEGIN` in front of pipelined statements fail, they fail too, instead of taking
/// effect one by one. An acknowledged write must survive a crash, whatever the server's default. A statement
/// whose connection was closed ends within a second, also where the request to cancel it came too early; servers on Windows cannot look after that.
/// The triggers that watch for writes of other programs know a session of Strata's by `strata.writer`.
/// What the operator `%` of `pg_trgm` takes for alike is what conditions are written for, whatever the role or the database says.
pub(crate) const SESSION: &str = "SET default_transaction_read_only = on; \
    SET standard_conforming_strings = on; \
    SET strata.writer = 'on'; \
    SET pg_trgm.similarity_threshold = 0.3; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
    SELECT set_config('client_connection_check_interval', '1s', false) WHERE version() !~* 'mingw|visual c'";

/// Knows how to open connections to an endpoint.
pub(crate) struct Connector {
    endpoint: Endpoint,
    tls: Option<MakeRustlsConnect>,
    limit: Duration,
}

/// Why a connection was not opened.
#[derive(Debug)]
pub(crate) struct Unopened {
    error: Error,
    /// Whether the server has as many as it, its database or the user may have.
    pub(crate) is_full: bool,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Unopened { error, is_full: false }
    }
}

impl From<Unopened> for Error {
    fn from(unopened: Unopened) -> Self {
        unopened.error
    }
}

/// An open connection, and the task that reads and writes its socket; it ends with the client or when it is aborted.
pub(crate) struct OpenConnection {
    pub(crate) client: ClientWrapper,
    pub(crate) task: AbortHandle,
    /// The process that serves it.
    pub(crate) backend: Option<Backend>,
}

impl Connector {
    pub(crate) fn new(mut endpoint: Endpoint, limit: Duration) -> Result<Self> {
        let tls = tls::connector(&endpoint)?;
        // One of several hosts that does not answer must leave time for the next.
        let hosts = endpoint.driver.get_hosts().len().max(1) as u32;
        if endpoint.driver.get_connect_timeout().is_none_or(|given| *given > limit / hosts) {
            endpoint.driver.connect_timeout(limit / hosts);
        }
        Ok(Connector { endpoint, tls, limit })
    }

    pub(crate) fn addresses(&self) -> String {
        self.endpoint.addresses()
    }

    /// Opens a connection and sets its session up, within the limit.
    pub(crate) async fn open(&self) -> Result<OpenConnection, Unopened> {
        self.open_with(None).await
    }

    /// Opens a connection, with something to receive from whenever it was notified. A burst of notifications may be received as one; the end of the
    /// connection is the end of what is received.
    pub(crate) async fn open_notified(&self) -> Result<(OpenConnection, mpsc::Receiver<()>), Unopened> {
        let (sender, receiver) = mpsc::channel(1);
        Ok((self.open_with(Some(sender)).await?, receiver))
    }

    async fn open_with(&self, notified: Option<mpsc::Sender<()>>) -> Result<OpenConnection, Unopened> {
        match tokio::time::timeout(self.limit, self.set_up(notified)).await {
            Ok(connection) => connection,
            Err(_) => {
                let message = format!(
                    "no connection to PostgreSQL at {} within {:?}; check that it runs and can be reached, or raise the limit for connecting",
                    self.addresses(),
                    self.limit
                );
                Err(Error::new(ErrorKind::Timeout, message).with_tier(Role::Truth).into())
            }
        }
    }

    async fn set_up(&self, notified: Option<mpsc::Sender<()>>) -> Result<OpenConnection, Unopened> {
        let addresses = self.addresses();
        let to_error = |failure: Failure| failure.into_error(Attempt::Connect(&addresses));
        let (mut connection, version) = self.greet(notified).await.map_err(|error| {
            let is_full = error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS);
            Unopened { error: to_error(error.into()), is_full }
        })?;
        check_version(&version)?;
        // One round trip. What raises the versions comes first, while the session may write.
        let set_up = [RAISE_VERSIONS, SESSION, Backend::QUERY].join("; ");
        let answers = connection.client.simple_query(&set_up).await.map_err(|error| to_error(error.into()))?;
        let row = answers.iter().rev().find_map(|answer| if let SimpleQueryMessage::Row(row) = answer { Some(row) } else { None });
        connection.backend = row.and_then(|row| Some(Backend { process: row.get(0)?.parse().ok()?, began: row.get(1)?.parse().ok()? }));
        Ok(connection)
    }

    /// Tries the ways that the mode allows, in its order.
    async fn greet(&self, notified: Option<mpsc::Sender<()>>) -> Result<(OpenConnection, String), tokio_postgres::Error> {
        let Some(tls) = &self.tls else { return self.dial(DriverSslMode::Disable, NoTls, &notified).await };
        match self.endpoint.ssl_mode {
            SslMode::Disable => self.dial(DriverSslMode::Disable, NoTls, &notified).await,
            SslMode::Allow => match self.dial(DriverSslMode::Disable, NoTls, &notified).await {
                Err(error) if error.as_db_error().is_some() => self.dial(DriverSslMode::Require, tls.clone(), &notified).await,
                result => result,
            },
            SslMode::Prefer => match self.dial(DriverSslMode::Prefer, tls.clone(), &notified).await {
                Err(error) if is_about_encryption(&error) => self.dial(DriverSslMode::Disable, NoTls, &notified).await,
                result => result,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => self.dial(DriverSslMode::Require, tls.clone(), &notified).await,
        }
    }

    async fn dial<T>(
        &self,
        mode: DriverSslMode,
        tls: T,
        notified: &Option<mpsc::Sender<()>>,
    ) -> Result<(OpenConnection, String), tokio_postgres::Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let mut driver = self.endpoint.driver.clone();
        driver.ssl_mode(mode);
        let (client, connection): (Client, Connection<Socket, T::Stream>) = driver.connect(tls).await?;
        let version = connection.parameter("server_version").unwrap_or_default().to_owned();
        let notified = notified.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = drive(connection, notified).await {
                // The report of the server may hold content of rows.
                let code = error.code().map_or("none", |code| code.code());
                tracing::debug!(%error, code, "a connection to PostgreSQL ended");
            }
        });
        let abort = task.abort_handle();
        Ok((OpenConnection { client: ClientWrapper::new(client, task), task: abort, backend: None }, version))
    }

    /// Asks the server, in the background, to end what runs on a connection that is about to be dropped.
    pub(crate) fn cancel(&self, client: &Client) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let token = client.cancel_token();
        let (tls, limit) = (self.tls.clone(), self.limit);
        runtime.spawn(async move {
            let cancel = async {
                match tls {
                    Some(tls) => token.cancel_query(tls).await,
                    None => token.cancel_query(NoTls).await,
                }
            };
            if !matches!(tokio::time::timeout(limit, cancel).await, Ok(Ok(()))) {
                tracing::debug!("a statement that nobody waits for any more could not be cancelled");
            }
        });
    }
}

/// Reads and writes a connection's socket until it ends.
async fn drive<S, T>(mut connection: Connection<S, T>, notified: Option<mpsc::Sender<()>>) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        loop {
            match ready!(connection.poll_message(context)).transpose()? {
                Some(AsyncMessage::Notification(_)) => {
                    // Where one is still to be received, it stands for this one too.
                    if let Some(sender) = &notified {
                        let _ = sender.try_send(());
                    }
                }
                Some(_) => {}
                None => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

/// Whether an unencrypted connection may fare better: the handshake failed, or the server's rules turned this kind of connection away.
fn is_about_encryption(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(report) => report.code().code() == "28000",
        None => error.to_string().contains("TLS"),
    }
}

fn check_version(version: &str) -> Result<()> {
    let major: Option<u32> = version.split(|character: char| !character.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    match major {
        Some(major) if major < OLDEST_SERVER => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("the server is PostgreSQL {}; Strata needs {OLDEST_SERVER} or later", version.escape_debug()),
        )
        .with_tier(Role::Truth)),
        // Servers that speak the protocol without being PostgreSQL may call themselves as they like.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_too_old_are_refused() {
        for (version, is_accepted) in
            [("13.14", false), ("9.6.24", false), ("14.0", true), ("15.18 (Debian)", true), ("18beta1", true), ("", true)]
        {
            assert_eq!(check_version(version).is_ok(), is_accepted, "{version}");
        }
        assert_eq!(check_version("13.1").unwrap_err().kind(), ErrorKind::InvalidConfig);
    }
}
