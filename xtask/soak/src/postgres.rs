//! The PostgreSQL of a run: one server, or a primary with a standby that takes over.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Result;
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tokio::net::{TcpListener, TcpStream};

/// The primary, to which it dereferences, and what stands by.
#[derive(Debug)]
pub(crate) struct Postgres {
    primary: PostgresServer,
    standby: Option<Standby>,
}

#[derive(Debug)]
struct Standby {
    server: PostgresServer,
    /// Where the workers connect, whichever server is the primary.
    url: String,
    /// The port of the primary.
    port: Arc<AtomicU16>,
}

impl Postgres {
    /// Starts the primary, and if asked a standby without which it acknowledges no commit: so a standby that takes over lacks nothing that was acknowledged.
    pub(crate) async fn start(with_standby: bool) -> Result<Self> {
        let settings = match with_standby {
            true => vec![("synchronous_standby_names".to_owned(), "*".to_owned())],
            false => Vec::new(),
        };
        let primary = PostgresServer::start(&PostgresOptions { settings, ..PostgresOptions::default() })?;
        let standby = match with_standby {
            true => Some(Standby::start(&primary).await?),
            false => None,
        };
        Ok(Postgres { primary, standby })
    }

    /// Where the workers find the primary.
    pub(crate) fn url(&self) -> String {
        self.standby.as_ref().map_or_else(|| self.primary.url(), |standby| standby.url.clone())
    }

    /// Kills the primary and lets the standby take over, and another stand by for it; `false` where none stands by.
    pub(crate) fn fail_over(&mut self) -> Result<bool> {
        let Some(standby) = &mut self.standby else { return Ok(false) };
        self.primary.kill()?;
        standby.server.promote()?;
        standby.port.store(standby.server.port(), Ordering::Release);
        let next = standby.server.start_replica()?;
        self.primary = std::mem::replace(&mut standby.server, next);
        Ok(true)
    }
}

impl Standby {
    async fn start(primary: &PostgresServer) -> Result<Self> {
        let port = Arc::new(AtomicU16::new(primary.port()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", listener.local_addr()?.port());
        tokio::spawn(lead_on(listener, Arc::clone(&port)));
        Ok(Standby { server: primary.start_replica()?, url, port })
    }
}

/// Leads each connection on to the present primary.
async fn lead_on(listener: TcpListener, port: Arc<AtomicU16>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let port = port.load(Ordering::Acquire);
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = client.set_nodelay(true).and(server.set_nodelay(true));
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

impl Deref for Postgres {
    type Target = PostgresServer;

    fn deref(&self) -> &PostgresServer {
        &self.primary
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut PostgresServer {
        &mut self.primary
    }
}
