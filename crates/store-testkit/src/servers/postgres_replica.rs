use super::postgres::{PostgresServer, SUPERUSER, run};
use super::{ServerError, process};

/// A streaming replica, made to lag and to take over.
///
/// ```no_run
/// use store_testkit::servers::{PostgresOptions, PostgresServer};
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let mut primary = PostgresServer::start(&PostgresOptions::default())?;
/// let replica = primary.start_replica()?;
/// replica.pause_replay()?;
/// primary.query("CREATE TABLE city (name text)")?; // `replica` does not show it until `resume_replay`.
/// primary.kill()?;
/// replica.promote()?;
/// replica.query("INSERT INTO city VALUES ('Bern')")?;
/// # Ok(())
/// # }
/// ```
impl PostgresServer {
    /// Starts a hot standby with a copy of this server's data, settings and password on a port of its own, and waits until it streams.
    ///
    /// This server holds back the WAL that the replica has not received, so that a replica which was down finds it later.
    pub fn start_replica(&self) -> Result<Self, ServerError> {
        let replica = process::start(|| {
            let replica = Self::new(&self.programs, self.password.clone())?;
            replica.copy_cluster_of(self)?;
            Ok(replica)
        })?;
        let streams = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        replica.wait_until("see the replica stream", || Ok(replica.query(streams)? == "1"))?;
        Ok(replica)
    }

    /// Makes a replica lag: it goes on receiving, and shows nothing of what it receives from now on.
    ///
    /// On a server that is no replica this fails, as do the two calls below.
    pub fn pause_replay(&self) -> Result<(), ServerError> {
        self.query("SELECT pg_wal_replay_pause()")?;
        self.wait_until("see the replay pause", || Ok(self.query("SELECT pg_get_wal_replay_pause_state()")? == "paused"))
    }

    /// Lets a lagging replica catch up; it takes its time after this returns.
    pub fn resume_replay(&self) -> Result<(), ServerError> {
        self.query("SELECT pg_wal_replay_resume()").map(drop)
    }

    /// Makes a replica a primary, with all that it has received, and waits until it takes writes. The former primary is not told.
    pub fn promote(&self) -> Result<(), ServerError> {
        match self.query("SELECT pg_promote()")?.as_str() {
            "t" => Ok(()),
            _ => Err(ServerError::Failed { action: "promote a replica".to_owned(), output: "PostgreSQL gave up waiting".to_owned() }),
        }
    }

    fn copy_cluster_of(&self, primary: &Self) -> Result<(), ServerError> {
        let mut copy = self.programs.command("pg_basebackup");
        copy.current_dir(self.directory());
        copy.args(["--pgdata=data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--no-password"]);
        copy.arg("--create-slot").arg(format!("--slot=replica_{}", self.port()));
        copy.args(["--username", SUPERUSER, "--port", &primary.port().to_string(), "--host"]).arg(primary.directory());
        run(copy, "copy a database cluster with pg_basebackup")?;
        self.configure("wal_retrieve_retry_interval = '100ms'\n")
    }
}
