//! Notifications of commits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use store_core::facet::{Heard, LogKind, Wake, Wakes};
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::{Database, wait_until};

/// Longer than anything should take.
const LONG: Duration = Duration::from_secs(20);

fn wake() -> [Wake; 1] {
    [Wake { schema: "account".into(), key: Some("1".into()), kind: LogKind::Put, version: None, origin: Some(1) }]
}

/// A stream that has begun to listen.
async fn listening(tier: &Arc<PgTier>) -> BoxStream<'static, Heard> {
    let mut heard = Arc::clone(tier).listen();
    next(&mut heard).await;
    heard
}

async fn next(heard: &mut BoxStream<'static, Heard>) {
    let heard = tokio::time::timeout(LONG, heard.next()).await.expect("nothing was heard");
    assert_eq!(heard, Some(Heard::Changed));
}

/// Whether nothing is heard for longer than a notification takes.
async fn is_silent(heard: &mut BoxStream<'static, Heard>) -> bool {
    tokio::time::timeout(Duration::from_millis(150), heard.next()).await.is_err()
}

#[tokio::test]
async fn a_message_wakes_every_listener_of_the_same_log() {
    let database = Database::create().await;
    database.client().await.batch_execute("CREATE SCHEMA other").await.unwrap();
    let (first, second) = (database.tier().await, database.tier().await);
    let elsewhere = Arc::new(PgTier::connect(PgConfig::from_url(&database.url_in("other")).unwrap()).await.unwrap());
    let (mut own, mut others, mut apart) = (listening(&first).await, listening(&second).await, listening(&elsewhere).await);
    first.publish(&wake()).await.unwrap();
    next(&mut own).await;
    next(&mut others).await;
    first.publish(&[]).await.unwrap();
    assert!(is_silent(&mut own).await);
    assert!(is_silent(&mut apart).await, "another schema has another log");
    elsewhere.publish(&wake()).await.unwrap();
    next(&mut apart).await;
}

#[tokio::test]
async fn messages_close_to_each_other_share_a_notification() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let mut heard = listening(&tier).await;
    let (client, mut connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    let (sender, mut notifications) = tokio::sync::mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let tokio_postgres::AsyncMessage::Notification(notification) = message {
                sender.send(notification).unwrap();
            }
        }
    });
    let channel: String = client.query_one("SELECT 'strata_' || md5(current_schema())", &[]).await.unwrap().get(0);
    client.batch_execute(&format!("LISTEN {channel}")).await.unwrap();

    let begin = std::time::Instant::now();
    futures_util::future::join_all((0..200).map(|_| async { tier.publish(&wake()).await.unwrap() })).await;
    let mut rounds = 2;
    for _ in 0..20 {
        tier.publish(&wake()).await.unwrap();
        rounds += 1;
    }
    assert!(begin.elapsed() >= Duration::from_millis(10) * (rounds - 1), "{rounds} notifications in {:?}", begin.elapsed());
    next(&mut heard).await;
    client.batch_execute("NOTIFY the_end; LISTEN the_end; NOTIFY the_end").await.unwrap();
    let mut count = 0;
    while let Some(notification) = notifications.recv().await {
        if notification.channel() == "the_end" {
            break;
        }
        assert_eq!((notification.channel(), notification.payload()), (channel.as_str(), ""));
        count += 1;
    }
    assert_eq!(count, rounds, "two for those at once, one for each that waited");
    driver.abort();
}

#[tokio::test]
async fn the_stream_ends_when_the_tier_is_closed_or_dropped() {
    let database = Database::create().await;
    let (closed, dropped) = (database.tier().await, database.tier().await);
    let (mut first, mut second) = (listening(&closed).await, listening(&dropped).await);
    closed.close().await.unwrap();
    drop(dropped);
    for heard in [&mut first, &mut second] {
        assert_eq!(tokio::time::timeout(LONG, heard.next()).await.unwrap(), None);
    }
    assert_eq!(Arc::clone(&closed).listen().next().await, None);
    assert_eq!(closed.publish(&wake()).await.unwrap_err().kind(), ErrorKind::Closed);
    drop((first, second));
    let client = database.client().await;
    let rest = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'strata'";
    wait_until("no connection", async || client.query_one(rest, &[]).await.unwrap().get::<_, i64>(0) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_outlive_the_server() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let config = PgConfig::from_url(&server.url()).unwrap().with_connect_timeout(Duration::from_secs(1));
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    let mut heard = listening(&tier).await;
    server.kill().unwrap();
    assert_eq!(tier.publish(&wake()).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    server.restart().unwrap();
    next(&mut heard).await;
    tier.publish(&wake()).await.unwrap();
    next(&mut heard).await;
}
