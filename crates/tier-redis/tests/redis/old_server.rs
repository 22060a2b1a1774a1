//! A server that has no `SET` with both `NX` and `GET`, as Redis 6: a real server of today, behind a relay that answers this one command as Redis 6
//! does.

use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{Fill, LogCursor, Mark, Records, Relay, Slot};
use store_testkit::servers::RedisServer;
use tier_redis::RedisTier;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, fetch, impatient, read_through, record, schema, start_server, until_some};

/// Relays each connection, command by command; returns where it listens.
async fn relay(server: &RedisServer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, port) = (listener.local_addr().unwrap(), server.port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
                while let Some((arguments, bytes)) = read_command(&mut client).await {
                    let has = |word: &[u8]| arguments.iter().any(|argument| argument.eq_ignore_ascii_case(word));
                    if arguments[0] == b"SET" && has(b"NX") && has(b"GET") {
                        client.write_all(b"-ERR syntax error\r\n").await.unwrap();
                        continue;
                    }
                    server.write_all(&bytes).await.unwrap();
                    let reply = read_reply(&mut server).await;
                    client.write_all(&reply).await.unwrap();
                }
            });
        }
    });
    format!("redis://{address}")
}

async fn read_line(stream: &mut BufReader<TcpStream>, bytes: &mut Vec<u8>) -> Option<(u8, i64)> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok().filter(|length| *length > 2)?;
    bytes.extend_from_slice(&line);
    Some((line[0], std::str::from_utf8(&line[1..line.len() - 2]).ok()?.parse().unwrap_or(0)))
}

/// The arguments of a command, and the bytes that it came in.
async fn read_command(stream: &mut BufReader<TcpStream>) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let (_, count) = read_line(stream, &mut bytes).await?;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let (_, length) = read_line(stream, &mut bytes).await?;
        let mut argument = vec![0; usize::try_from(length).ok()? + 2];
        stream.read_exact(&mut argument).await.ok()?;
        bytes.extend_from_slice(&argument);
        argument.truncate(argument.len() - 2);
        arguments.push(argument);
    }
    Some((arguments, bytes))
}

/// The bytes of a reply.
async fn read_reply(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = 1;
    while left > 0 {
        left -= 1;
        match read_line(stream, &mut bytes).await.unwrap() {
            (b'*', count) => left += count.max(0),
            (b'$', length) if length >= 0 => {
                let mut content = vec![0; usize::try_from(length).unwrap() + 2];
                stream.read_exact(&mut content).await.unwrap();
                bytes.extend_from_slice(&content);
            }
            _ => {}
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_granted_all_the_same() {
    let server = start_server();
    let direct = RedisTier::connect(impatient(&server.url())).await.unwrap();
    let tier = RedisTier::connect(impatient(&relay(&server).await)).await.unwrap();
    let schema = schema();
    fetch(&direct, "busy", Some(PATIENCE)).await.unwrap();
    direct.put(&schema, &[("record".to_owned(), record(0))]).await.unwrap();
    server.command(&["RPUSH", "strata:item:foreign", "no text"]).unwrap();

    let keys = ["nothing", "busy", "record", "foreign"].map(str::to_owned);
    let slots = tier.fetch(&schema, &keys, Some(PATIENCE)).await.unwrap();
    let [Slot::Leased(lease), Slot::Busy, Slot::Record(_), Slot::Foreign] = slots[..] else { panic!("{slots:?}") };
    let slots = tier.fetch(&schema, &keys, Some(PATIENCE)).await.unwrap();
    assert!(matches!(slots[..], [Slot::Busy, Slot::Busy, Slot::Record(_), Slot::Foreign]), "{slots:?}");

    let fill = Fill { key: "nothing".to_owned(), lease, record: record(1) };
    assert_eq!(tier.fill(&schema, &[fill]).await.unwrap(), [true]);
    assert_eq!(fetch(&direct, "nothing", None).await.unwrap(), Slot::Record(record(1)));
    let Slot::Leased(_) = fetch(&tier, "short", Some(Duration::from_millis(1))).await.unwrap() else { panic!("it was empty") };
    until_some(async || (fetch(&direct, "short", None).await.unwrap() == Slot::Empty).then_some(())).await;

    let mark = Mark { generation: 3, era: 0, position: LogCursor::new("7") };
    tier.relay(&Relay { marks: vec![(Arc::new(self::schema()), mark.clone())], ..Relay::default() }).await.unwrap();
    for (key, leased) in [("marked", true), ("marked", false), ("nothing", false)] {
        let fetched = tier.fetch_marked(&schema, &[key.to_owned()], Some(PATIENCE)).await.unwrap().remove(0);
        assert_eq!(matches!(fetched.slot, Slot::Leased(_)), leased, "{key}");
        assert_eq!(fetched.mark.as_deref(), Some(&mark));
    }

    server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert_eq!(fetch(&tier, "full", Some(PATIENCE)).await.unwrap(), Slot::Empty);
    assert_eq!(read_through(&tier, "nothing").await.unwrap(), record(1));
}
