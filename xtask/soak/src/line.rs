//! A connection on which PostgreSQL is not told that its client has gone, as where a network fails.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};

/// For how long the server is not told.
const SILENCE: Duration = Duration::from_secs(3);

/// Leads connections on to the server of a URL; answers the URL to connect to instead.
pub(crate) async fn lay(url: &str) -> Result<String> {
    let parts = url.rsplit_once('@').and_then(|(user, rest)| Some((user, rest.split_once('/')?)));
    let (user, (server, database)) = parts.context("the URL of PostgreSQL has no user, address and database")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("{user}@{}/{database}", listener.local_addr()?);
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(server).await {
                    lead(client, server).await;
                }
            });
        }
    });
    Ok(url)
}

async fn lead(mut client: TcpStream, mut server: TcpStream) {
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let (mut from_server, mut to_server) = server.split();
    let (mut from_client, mut to_client) = client.split();
    let mut answers = Vec::with_capacity(1 << 16);
    let client_is_gone = tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => true,
        () = async {
            while from_server.read_buf(&mut answers).await.is_ok_and(|count| count > 0) && to_client.write_all(&answers).await.is_ok() {
                answers.clear();
            }
        } => false,
    };
    if client_is_gone {
        let _ = tokio::time::timeout(SILENCE, copy(&mut from_server, &mut sink())).await;
    }
}
