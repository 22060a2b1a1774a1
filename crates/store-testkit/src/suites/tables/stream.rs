//! Results that arrive as they are taken.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use store_core::facet::{Count, Select, Tables};
use store_core::{BoundSchema, Direction, Error, Filter, Order, StoredRow, Value};

use super::schemas::{player, player_row};
use crate::suites::truth::{Truth, TruthDatabase, open_with};

const ROWS: i64 = 20_000;

async fn populated(database: &impl TruthDatabase) -> (Truth, Arc<BoundSchema>) {
    let schema = player();
    let truth = open_with(database, &[&schema]).await;
    for chunk in (1..=ROWS).map(player_row).collect::<Vec<_>>().chunks(5_000) {
        truth.tables.put_many(&schema, chunk).await.unwrap();
    }
    (truth, schema)
}

fn all(tables: &Arc<dyn Tables>, schema: &Arc<BoundSchema>) -> impl futures_core::Stream<Item = Result<StoredRow, Error>> + Unpin + use<> {
    let order = vec![Order { column: "id".into(), direction: Direction::Ascending, similar_to: None }];
    Arc::clone(tables).select(Arc::clone(schema), Select { order, ..Select::default() })
}

/// A large result arrives whole and in order.
pub async fn a_large_result_arrives_whole(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let mut stream = all(&truth.tables, &schema);
    let mut expected = 0;
    while let Some(stored) = stream.try_next().await.unwrap() {
        expected += 1;
        assert_eq!(stored.row, player_row(expected));
    }
    assert_eq!(expected, ROWS);
    assert!(stream.next().await.is_none(), "a stream that has ended stays ended");
}

/// Streams that are dropped unread, after a row, or midway give everything back: a hundred of them leave the tier as it was.
pub async fn dropped_streams_give_everything_back(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    for taken in [0, 1, 5_000].into_iter().cycle().take(99) {
        let rows: Vec<_> = all(&truth.tables, &schema).take(taken).try_collect().await.unwrap();
        assert_eq!(rows.len(), taken);
    }
    drop(all(&truth.tables, &schema));
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), ROWS as u64);
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    assert_eq!(all(&truth.tables, &schema).count().await, ROWS as usize);
}

/// Reads and writes go on while a stream is open, and the stream goes on after them.
pub async fn the_tier_works_while_a_stream_is_open(database: impl TruthDatabase) {
    let (truth, schema) = populated(&database).await;
    let mut stream = all(&truth.tables, &schema);
    assert_eq!(stream.try_next().await.unwrap().unwrap().row, player_row(1));

    let stored = truth.tables.put_many(&schema, &[player_row(ROWS + 1)]).await.unwrap();
    assert_eq!(truth.tables.get_many(&schema, &[vec![(ROWS + 1).into()]]).await.unwrap(), [Some(stored[0].clone())]);
    assert!(truth.tables.delete_many(&schema, &[vec![(ROWS + 1).into()]]).await.unwrap()[0].is_some());

    let rest: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(rest.first().map(|stored| &stored.row), Some(&player_row(2)));
    assert!(rest.len() >= ROWS as usize - 1);
}

/// A query that fails says so once, and the stream ends.
pub async fn a_failed_stream_ends(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let filter = Some(Filter::Raw { sql: "level = $1".into(), params: vec![Value::Unset] });
    let mut stream = Arc::clone(&truth.tables).select(Arc::clone(&schema), Select { filter, ..Select::default() });
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());
}
