//! Streams and long reads beside others.

use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use store_core::facet::{Count, Select, Tables};
use store_core::{Error, Filter, StoredRow};

use crate::support::{Database, get, note_schema, notes, put};

const LIMIT: Duration = Duration::from_secs(20);

/// Time enough for a query to begin, which nobody outside can see.
const BEGIN: Duration = Duration::from_millis(30);

/// Whether a stream has been asked and has not answered yet.
async fn begun(stream: &mut BoxStream<'static, Result<StoredRow, Error>>) -> bool {
    tokio::time::timeout(BEGIN, stream.next()).await.is_err()
}

fn select(filter: Option<Filter>) -> Select {
    Select { filter, ..Select::default() }
}

/// A condition that takes SQLite minutes for the first row.
fn endless() -> Option<Filter> {
    let sql = "id < (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT max(i) FROM n)";
    Some(Filter::Raw { sql: sql.into(), params: vec![] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_keep_nobody_from_reading() {
    let database = Database::new();
    let tier = notes(database.config().with_readers(2)).await;
    put(&tier, 1..=3_000).await.unwrap();
    let mut streams: Vec<_> = (0..12).map(|_| Arc::clone(&tier).select(note_schema(), select(None))).collect();
    for stream in &mut streams {
        assert!(stream.next().await.unwrap().is_ok());
    }
    let reads = async {
        for id in 1..=200 {
            assert!(get(&tier, id).await.unwrap().is_some());
        }
        assert_eq!(tier.count(&note_schema(), Count::default()).await.unwrap(), 3_000);
        put(&tier, [4_000]).await.unwrap();
    };
    tokio::time::timeout(LIMIT, reads).await.expect("reads go on while streams stand still");
    for stream in streams {
        let rest: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(rest.len(), 2_999, "each stream shows the moment at which it began");
    }
    // The workers that stood in have gone; those that came back still serve.
    for id in 1..=200 {
        assert!(get(&tier, id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_ends_its_query_within_a_step() {
    let database = Database::new();
    let tier = notes(database.config().with_readers(1)).await;
    put(&tier, [1]).await.unwrap();
    for _ in 0..3 {
        let mut stream = Arc::clone(&tier).select(note_schema(), select(endless()));
        assert!(begun(&mut stream).await);
        drop(stream);
        tokio::time::timeout(LIMIT, get(&tier, 1)).await.expect("the only reader is free again").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_count_ends_its_query() {
    let database = Database::new();
    let tier = notes(database.config().with_readers(1)).await;
    put(&tier, [1]).await.unwrap();
    let schema = note_schema();
    let count = || Count { filter: endless(), ..Count::default() };
    for _ in 0..3 {
        assert!(tokio::time::timeout(BEGIN, tier.count(&schema, count())).await.is_err());
        assert!(tier.count(&schema, count()).now_or_never().is_none());
    }
    tokio::time::timeout(LIMIT, get(&tier, 1)).await.expect("the only reader is free again").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_a_long_query() {
    use store_core::{ErrorKind, Tier};

    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, [1]).await.unwrap();
    let mut stream = Arc::clone(&tier).select(note_schema(), select(endless()));
    assert!(begun(&mut stream).await);
    tokio::time::timeout(LIMIT, tier.close()).await.expect("a long query does not hold the close up").unwrap();
    crate::support::assert_kind(stream.next().await.unwrap(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_larger_than_a_chunk_arrive_too() {
    let database = Database::new();
    let tier = database.notes().await;
    let large: Vec<_> = (1..=8_i64).map(|id| vec![id.into(), "x".repeat(3 << 20).into()]).collect();
    tier.put_many(&note_schema(), &large).await.unwrap();
    let rows: Vec<_> = Arc::clone(&tier).select(note_schema(), select(None)).try_collect().await.unwrap();
    assert!(rows.iter().map(|stored| &stored.row).eq(&large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_more_calls_than_workers_are_all_answered() {
    let database = Database::new();
    let tier = notes(database.config().with_readers(2)).await;
    put(&tier, 1..=50).await.unwrap();
    let calls: Vec<_> = (0..3_000_i64)
        .map(|call| {
            let tier = Arc::clone(&tier);
            tokio::spawn(async move {
                if call % 10 == 0 {
                    put(&tier, [1 + call % 50]).await.map(|stored| stored.len())
                } else {
                    get(&tier, 1 + call % 50).await.map(|stored| usize::from(stored.is_some()))
                }
            })
        })
        .collect();
    for call in calls {
        assert_eq!(tokio::time::timeout(LIMIT, call).await.unwrap().unwrap().unwrap(), 1);
    }
}
