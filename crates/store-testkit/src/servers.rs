//! Real PostgreSQL and Redis servers that a test owns, so that it can kill, pause and restart them.
//!
//! Each server runs from the installed programs, in a directory of its own and on a free port of
//! 127.0.0.1. Dropping it ends the server and removes the directory. A process that dies without
//! dropping its servers, even by SIGKILL, leaves none behind: each is watched by a small shell that
//! notices the death and cleans up.
//!
//! The calls block until the server has reached the wanted state, a second or two at most in the
//! usual case.
//!
//! ```no_run
//! use store_testkit::servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
//!
//! # fn main() -> Result<(), store_testkit::servers::ServerError> {
//! let mut postgres = PostgresServer::start(&PostgresOptions::default())?;
//! let mut redis = RedisServer::start(&RedisOptions::default())?;
//! println!("{} {}", postgres.url(), redis.url());
//!
//! redis.pause()?; // Connections stay open and nothing answers.
//! redis.resume()?;
//! postgres.kill()?; // SIGKILL, as in a crash.
//! postgres.restart()?; // The same port and the same data.
//!
//! let replica = postgres.start_replica()?;
//! replica.pause_replay()?; // It lags from now on.
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "certificates")]
mod certificates;
mod error;
mod guard;
mod ports;
mod postgres;
mod postgres_replica;
mod process;
mod process_table;
mod programs;
mod redis;
mod redis_cluster;
mod redis_replica;
mod redis_sentinel;

pub use error::ServerError;
pub use ports::free_port;
pub use postgres::{PostgresOptions, PostgresServer};
pub use process::ServerProcess;
pub use programs::{Account, PostgresPrograms, RedisPrograms};
pub use redis::{RedisOptions, RedisServer};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;

use std::path::PathBuf;

/// The files, in PEM form, that a server presents itself with over TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, followed by any intermediate ones.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authority that signed the certificate.
    pub authority: PathBuf,
}
