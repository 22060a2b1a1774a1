//! The transaction that a piece of work runs in.

use std::time::Duration;

use tokio_postgres::Statement;

use crate::pool::{Lease, Pool};

/// A connection, with a transaction that the work begins and commits itself, or one that is open and goes on after it.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) lease: &'a Lease,
    /// The most time for one statement.
    pub(crate) limit: Duration,
    begin: Option<&'a str>,
}

impl<'a> Scope<'a> {
    /// A transaction of the work's own.
    pub(crate) fn own(pool: &'a Pool, lease: &'a Lease) -> Self {
        Scope { lease, limit: pool.limits().statement, begin: Some(pool.begin()) }
    }

    /// A transaction that is open.
    pub(crate) fn open(lease: &'a Lease, limit: Duration) -> Self {
        Scope { lease, limit, begin: None }
    }

    /// To be sent before the work's first statement.
    pub(crate) async fn begin(&self) -> Result<(), tokio_postgres::Error> {
        match self.begin {
            Some(begin) => self.lease.batch_execute(begin).await,
            None => Ok(()),
        }
    }

    /// To be sent behind the work's last statement.
    pub(crate) async fn commit(&self) -> Result<(), tokio_postgres::Error> {
        match self.begin {
            Some(_) => self.lease.batch_execute("COMMIT").await,
            None => Ok(()),
        }
    }
}

/// Statements that are prepared on the scope's connection.
pub(crate) type Prepared<'a> = &'a [Statement];
