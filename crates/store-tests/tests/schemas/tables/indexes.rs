//! Kinds of indexes, and whether queries use them.

use strata::sql::Dialect;
use strata::{Query, Schema, Settings, Value};
use tokio_postgres::Client;

use super::{Truth, client};
use store_tests::stacks::postgres;

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "player", table = "game.player")]
#[schema(index(columns(level), include(score), name = "ranking"), index(columns(score), where = "level > 90", name = "best"))]
struct Player {
    #[schema(primary_key)]
    id: i64,
    #[schema(index(kind = "gin_trigram"))]
    name: String,
    level: i64,
    score: i64,
}

fn players() -> impl Iterator<Item = Player> {
    const NAMES: [&str; 5] = ["Jonathan", "Johann", "Marianne", "Ulrike", "Zoë"];
    (1..=3_000).map(|id| Player {
        id,
        name: format!("{} {id}", NAMES[usize::try_from(id % 5).unwrap()]),
        level: id % 100,
        score: id * 7 % 1_000,
    })
}

async fn explain(client: &Client, sql: &str) -> String {
    let rows = client.query(&format!("EXPLAIN {sql}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// The text of a query with its values in place, without order and limit: in a small table the planner rather walks along the key until it has a page.
fn text(query: &Query<Player>) -> String {
    let (mut sql, values) = query.to_sql(Dialect::Postgres).unwrap();
    for (number, value) in (1..).zip(values).collect::<Vec<_>>().into_iter().rev() {
        let literal = match value {
            Value::Text(text) => format!("'{text}'"),
            Value::Integer(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        sql = sql.replace(&format!("${number}"), &literal);
    }
    sql.split(" ORDER BY ").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_is_made_once_and_used() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    let store = truth.builder().await.schema::<Player>().build().await.unwrap();
    let collection = store.collection::<Player>().unwrap();
    collection.set_many(players()).await.unwrap();
    assert_eq!(collection.search(Player::name().similar("jonathan 7").into()).await.unwrap()[0].name.split(' ').next(), Some("Jonathan"));

    let Truth::Postgres(database) = &truth else { unreachable!() };
    let client = client(database).await;
    for statement in ["SET enable_seqscan = off", "VACUUM ANALYZE game.player"] {
        client.batch_execute(statement).await.unwrap();
    }
    for (query, index) in [
        (text(&Query::from(Player::name().similar("jonathan 70"))), "player_name_trgm"),
        (text(&Query::from(Player::name().similar_to("jonathan 70", 0.6))), "player_name_trgm"),
        (text(&Query::from(Player::name().like("%arian%"))), "player_name_trgm"),
        (r#"SELECT score FROM game.player WHERE score > 900 AND level > 90"#.to_owned(), "best"),
        (r#"SELECT score FROM game.player WHERE level = 7"#.to_owned(), "Index Only Scan using ranking"),
    ] {
        let plan = explain(&client, &query).await;
        assert!(plan.contains(index), "{query}\n{plan}");
    }

    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
    client.batch_execute("DROP INDEX game.best; DROP INDEX game.player_name_trgm").await.unwrap();
    let made: Vec<_> = store.migrate().await.unwrap().applied.into_iter().map(|record| record.what).collect();
    assert_eq!(made, ["make the index `best`", "make the index `player_name_trgm`"]);
    client.batch_execute("DROP INDEX game.best; CREATE INDEX best ON game.player (score)").await.unwrap();
    let error = store.migrate().await.unwrap_err().to_string();
    assert!(error.contains(r#"DROP INDEX "game"."best""#), "{error}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dotted_name_is_a_schema_and_a_table_in_postgres_and_one_name_in_sqlite() {
    for truth in Truth::both().await {
        let store = truth.builder().await.schema::<Player>().build().await.unwrap();
        let collection = store.collection::<Player>().unwrap();
        let player = players().next().unwrap();
        collection.set(player.clone()).await.unwrap();
        assert_eq!(collection.search(Query::from(Player::level().eq(1))).await.unwrap().len(), 1);
        let (table, other) = match truth {
            Truth::Postgres(_) => ("game.player", "INSERT INTO player (id) VALUES (1)"),
            Truth::Sqlite(_) => ("\"game.player\"", "INSERT INTO player (id) VALUES (1)"),
        };
        truth.run(&format!("UPDATE {table} SET level = 5, _version = _version + 1")).await.unwrap();
        assert!(truth.run(other).await.is_err());
        collection.invalidate_all().await.unwrap();
        assert_eq!(collection.get(1).await.unwrap().unwrap().level, 5);
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
        let again = truth
            .builder()
            .await
            .settings(Settings { create_tables: false, ..Settings::default() })
            .schema::<Player>()
            .build()
            .await
            .unwrap();
        assert!(again.collection::<Player>().unwrap().delete(1).await.unwrap());
        again.close().await.unwrap();
        store.close().await.unwrap();
    }
}
