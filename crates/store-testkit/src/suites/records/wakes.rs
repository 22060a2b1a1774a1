//! `Wakes`, which a shared tier carries for the instances that share it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use store_core::Version;
use store_core::facet::{Heard, LogKind, Wake, Wakes};

use super::RecordsServer;
use super::bench::{Bench, LONG};

fn wake(bench: &Bench<impl RecordsServer>, key: Option<&str>, kind: LogKind) -> Wake {
    Wake { schema: bench.schema.key_prefix().to_owned(), key: key.map(str::to_owned), kind, version: None, origin: Some(0x1F) }
}

fn wakes_of(tier: &Arc<dyn store_core::Tier>) -> Arc<dyn Wakes> {
    Arc::clone(tier).facets().wakes.expect("a shared tier has the facet `wakes`")
}

/// Starts to listen, and waits until messages come.
async fn listen(wakes: &Arc<dyn Wakes>) -> BoxStream<'static, Heard> {
    let mut heard = Arc::clone(wakes).listen();
    assert_eq!(next(&mut heard).await, Some(Heard::Changed), "a new connection is told");
    heard
}

async fn next(heard: &mut BoxStream<'static, Heard>) -> Option<Heard> {
    tokio::time::timeout(LONG / 2, heard.next()).await.expect("something is heard")
}

/// The next message of this bench's schema: the channel may be shared with other cases.
async fn next_of(bench: &Bench<impl RecordsServer>, heard: &mut BoxStream<'static, Heard>) -> Wake {
    loop {
        match next(heard).await {
            Some(Heard::Wake(wake)) if wake.schema == bench.schema.key_prefix() => return wake,
            Some(_) => {}
            None => panic!("the tier was not closed"),
        }
    }
}

/// All listeners hear all of it in order, the sender's own included.
pub async fn messages_come_whole_and_in_order<S: RecordsServer>(bench: &Bench<S>) {
    let other = bench.server.open().await;
    let (own, others) = (wakes_of(&bench.tier), wakes_of(&other));
    let mut listeners = [listen(&own).await, listen(&others).await];
    let mut messages = vec![
        Wake { version: Some(Version::new(u64::MAX)), ..wake(bench, Some("7"), LogKind::Put) },
        Wake { origin: Some(u64::MAX), ..wake(bench, Some("a%3Ab:7"), LogKind::Delete) },
        wake(bench, Some("\u{1F600} \"quoted\" \\ {}"), LogKind::Invalidate),
        wake(bench, Some(""), LogKind::Put),
        wake(bench, None, LogKind::Put),
        Wake { origin: None, ..wake(bench, None, LogKind::Invalidate) },
    ];
    messages.extend((0..500).map(|number| wake(bench, Some(&number.to_string()), LogKind::Put)));
    own.publish(&messages[..3]).await.expect("publishing succeeds");
    own.publish(&messages[3..]).await.expect("publishing succeeds");
    own.publish(&[]).await.expect("there is nothing to publish");
    for heard in &mut listeners {
        for message in &messages {
            assert_eq!(&next_of(bench, heard).await, message);
        }
    }
    other.close().await.expect("closing succeeds");
}

/// "Everything that is heard from now on", by each listener of its own.
pub async fn what_was_said_before_is_not_heard<S: RecordsServer>(bench: &Bench<S>) {
    let wakes = wakes_of(&bench.tier);
    let mut first = listen(&wakes).await;
    let (early, late) = (wake(bench, Some("early"), LogKind::Put), wake(bench, Some("late"), LogKind::Put));
    wakes.publish(std::slice::from_ref(&early)).await.expect("publishing succeeds");
    assert_eq!(next_of(bench, &mut first).await, early);
    let mut second = listen(&wakes).await;
    wakes.publish(std::slice::from_ref(&late)).await.expect("publishing succeeds");
    assert_eq!(next_of(bench, &mut second).await, late);
    assert_eq!(next_of(bench, &mut first).await, late);
}

/// "Ends when the tier is closed", also for those who begin to listen then.
pub async fn listening_ends_with_the_tier<S: RecordsServer>(bench: &Bench<S>) {
    let other = bench.server.open().await;
    let wakes = wakes_of(&other);
    let mut heard = listen(&wakes).await;
    other.close().await.expect("closing succeeds");
    while next(&mut heard).await.is_some() {}
    let mut late = Arc::clone(&wakes).listen();
    let ended = async { while late.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
}
