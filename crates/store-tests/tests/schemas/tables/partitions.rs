//! Divided tables.

use std::time::{Duration, SystemTime};

use strata::{Collection, ErrorKind, Freshness, MigrationSettings, Query, Schema, Settings, Store, Timestamp};
use tokio_postgres::Client;

use super::{Truth, client, tier};
use store_tests::stacks::postgres;
use store_tests::waiting::until;

const DAY: i64 = 86_400_000_000;

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(partition_by(range(at), every = "1 day", ahead = 2), index(columns(kind, at)))]
struct Event {
    #[schema(primary_key)]
    at: Timestamp,
    #[schema(primary_key)]
    id: i64,
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(table = "game.regional", partition_by(list(region), values = ["eu", "it's"]))]
struct Regional {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    id: i64,
    level: i64,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(partition_by(hash(id), partitions = 3))]
struct Hashed {
    #[schema(primary_key)]
    id: i64,
    level: i64,
}

/// Numbers that PostgreSQL quotes in a partition's bound.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(partition_by(list(shard), values = [1, -2]))]
struct Sharded {
    #[schema(primary_key)]
    shard: i64,
    #[schema(primary_key)]
    id: i64,
}

/// Texts that differ in case alone.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(partition_by(list(zone), values = ["eu", "EU", "a, b"]))]
struct Zoned {
    #[schema(primary_key)]
    zone: String,
}

/// Today's, those of the days that follow, and the default one.
async fn partitions_of_events(client: &Client) -> Vec<String> {
    let text = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass ORDER BY 1";
    client.query(text, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A database with the table of events, a store on it and another program's connection to it.
async fn divided_events() -> (Truth, Store, Client) {
    let (database, _) = postgres::open().await;
    let client = client(&database).await;
    let truth = Truth::Postgres(database);
    let store = truth.builder().await.schema::<Event>().build().await.unwrap();
    (truth, store, client)
}

/// So many days from today, at a microsecond that no calendar rounds to.
fn on_day(days: i64) -> Timestamp {
    let today = Timestamp::from_system_time(SystemTime::now()).unwrap().as_microseconds().div_euclid(DAY);
    Timestamp::from_microseconds((today + days) * DAY + 1).unwrap()
}

fn event(days: i64, id: i64) -> Event {
    Event { at: on_day(days), id, kind: format!("day {days}") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_on_divided_tables() {
    for truth in Truth::both().await {
        let builder = truth.builder().await.schema::<Event>().schema::<Regional>().schema::<Hashed>();
        let store = builder.build().await.unwrap();
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");

        // Across the ends of periods, and outside of all that are made.
        let events = store.collection::<Event>().unwrap();
        events.set_many((-3..6).map(|day| event(day, day + 10))).await.unwrap();
        events.set_many((-3..6).map(|day| Event { kind: "again".to_owned(), ..event(day, day + 10) })).await.unwrap();
        assert_eq!(events.search(Event::kind().eq("again").into()).await.unwrap().len(), 9);
        assert!(events.delete((on_day(5), 15)).await.unwrap());
        assert_eq!(events.from(strata::Role::Truth).get((on_day(5), 15)).await.unwrap().map(|event| event.id), None);
        events.patch((on_day(4), 14), Event::kind().set("patched")).await.unwrap();
        assert_eq!(events.get((on_day(4), 14)).await.unwrap().unwrap().kind, "patched");
        assert_eq!(events.count(Query::new()).await.unwrap(), 8);

        let regional = store.collection::<Regional>().unwrap();
        let of = |region: &str, id| Regional { region: region.to_owned(), id, level: 1 };
        let set = regional.set_many([of("eu", 1), of("it's", 1), of("us", 1), of("us", 2)]).await.unwrap();
        let again = regional.set(of("us", 1)).await.unwrap();
        assert!(set.iter().all(|record| record.version() < again.version()));
        regional.update_where(Regional::level().eq(1), [Regional::level().set(2)]).await.unwrap();
        assert_eq!(regional.delete_where(Regional::region().eq("us")).await.unwrap().len(), 2);
        assert_eq!(regional.get(("eu".to_owned(), 1)).await.unwrap().unwrap().level, 2);

        let hashed = store.collection::<Hashed>().unwrap();
        hashed.set_many((1..=500).map(|id| Hashed { id, level: id })).await.unwrap();
        hashed.update(7, |record| record.level = 70).await.unwrap();
        assert_eq!(hashed.count(Query::from(Hashed::level().ge(70))).await.unwrap(), 432);
        assert_eq!(hashed.delete_many(1..=250).await.unwrap(), 250);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn periods_to_come_are_made_and_rows_that_wait_for_them_are_moved() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    let store = truth.builder().await.schema::<Event>().build().await.unwrap();
    let events = store.collection::<Event>().unwrap();
    events.set_many((-1..=2).map(|day| event(day, day + 10))).await.unwrap();
    let versions: Vec<_> = events.search(Query::new()).await.unwrap();
    assert_eq!(versions.len(), 4);

    let Truth::Postgres(database) = &truth else { unreachable!() };
    let client = client(database).await;
    let names = async || partitions_of_events(&client).await;
    let all = names().await;
    assert_eq!(all.len(), 4, "{all:?}");
    // Two days were never made, and their rows went to the default partition, as behind an outage.
    let tomorrow = all[1].clone();
    for missing in &all[1..3] {
        client
            .batch_execute(&format!(
                "CREATE TABLE kept AS SELECT * FROM {missing}; DROP TABLE {missing}; INSERT INTO event SELECT * FROM kept; DROP TABLE kept"
            ))
            .await
            .unwrap();
    }
    let waiting: i64 = client.query_one("SELECT count(*) FROM event_default", &[]).await.unwrap().get(0);
    assert_eq!(waiting, 3);
    let plan = store.plan().await.unwrap().to_string();
    assert!(plan.contains("ATTACH PARTITION"), "{plan}");
    store.migrate().await.unwrap();
    assert_eq!(names().await, all);
    let waiting: i64 = client.query_one("SELECT count(*) FROM event_default", &[]).await.unwrap().get(0);
    assert_eq!(waiting, 1, "yesterday's row has no partition");
    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
    events.invalidate_all().await.unwrap();
    assert_eq!(events.search(Query::new()).await.unwrap(), versions);
    store.close().await.unwrap();

    // A running store makes them by itself.
    client.batch_execute(&format!("DROP TABLE {tomorrow}")).await.unwrap();
    let settings = Settings {
        migration: MigrationSettings { partition_upkeep: Duration::from_millis(20), ..MigrationSettings::default() },
        ..Settings::default()
    };
    let store = truth.builder().await.settings(settings).schema::<Event>().build().await.unwrap();
    client.batch_execute(&format!("DROP TABLE {tomorrow}")).await.unwrap();
    until("the partition is made", async || names().await == all).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_with_too_many_rows_in_the_default_partition_is_told_of() {
    let (_truth, store, client) = divided_events().await;
    let tomorrow = partitions_of_events(&client).await.remove(1);
    client
        .batch_execute(&format!(
            "DROP TABLE {tomorrow}; INSERT INTO event (at, id, kind) SELECT date_trunc('day', now(), 'UTC') + interval '25 hours', n, '' FROM generate_series(1, 10001) n"
        ))
        .await
        .unwrap();
    let plan = store.plan().await.unwrap();
    assert!(plan.steps.is_empty(), "{plan}");
    assert!(plan.drift.iter().any(|drift| drift.what.contains("too many rows") && !drift.is_refused), "{plan}");
    store.migrate().await.unwrap();
    let statements = plan.drift[0].what.split_once("you run: ").unwrap().1;
    client.batch_execute(statements).await.unwrap();
    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
    assert_eq!(store.collection::<Event>().unwrap().count(Query::new()).await.unwrap(), 10_001);
    store.close().await.unwrap();
}

/// What the database computes of other columns is computed again where a row is moved to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_with_generated_columns_are_moved() {
    let (_truth, store, client) = divided_events().await;
    let all = partitions_of_events(&client).await;
    let by_hand = "ALTER TABLE event ADD COLUMN length INT GENERATED ALWAYS AS (char_length(kind)) STORED";
    client.batch_execute(&format!("{by_hand}; DROP TABLE {}", all[1])).await.unwrap();
    store.collection::<Event>().unwrap().set(event(1, 7)).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(partitions_of_events(&client).await, all);
    let lengths: i64 = client.query_one(&format!("SELECT sum(length) FROM {}", all[1]), &[]).await.unwrap().get(0);
    assert_eq!(lengths, 5, "of `day 1`");
    store.close().await.unwrap();
}

/// To move a row is to delete it and to insert it again, of which the action of a reference would make more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_somebody_refers_to_are_not_moved() {
    let (_truth, store, client) = divided_events().await;
    let tomorrow = partitions_of_events(&client).await.remove(1);
    let by_hand = "CREATE TABLE guest (at TIMESTAMPTZ, id BIGINT, CONSTRAINT of_event FOREIGN KEY (at, id) REFERENCES event (at, id) ON DELETE CASCADE)";
    client.batch_execute(by_hand).await.unwrap();
    client.batch_execute(&format!("ALTER TABLE event DETACH PARTITION {tomorrow}; DROP TABLE {tomorrow}")).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do", "no row waits for it");

    client.batch_execute(&format!("ALTER TABLE event DETACH PARTITION {tomorrow}; DROP TABLE {tomorrow}")).await.unwrap();
    store.collection::<Event>().unwrap().set(event(1, 7)).await.unwrap();
    client.batch_execute("INSERT INTO guest SELECT at, id FROM event").await.unwrap();
    let plan = store.plan().await.unwrap();
    assert!(plan.steps.is_empty(), "{plan}");
    assert!(plan.drift.iter().any(|drift| drift.what.contains("`of_event` of `guest`") && !drift.is_refused), "{plan}");
    store.migrate().await.unwrap();
    let guests: i64 = client.query_one("SELECT count(*) FROM guest", &[]).await.unwrap().get(0);
    assert_eq!(guests, 1);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_end_covers_its_periods() {
    let (_truth, store, client) = divided_events().await;
    let made = partitions_of_events(&client).await;
    client
        .batch_execute(&format!(
            "DROP TABLE {}, {}; CREATE TABLE event_later PARTITION OF event FOR VALUES FROM (to_timestamp({})) TO ('infinity')",
            made[1],
            made[2],
            on_day(1).as_microseconds() / 1_000_000
        ))
        .await
        .unwrap();
    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
    store.close().await.unwrap();
}

/// A table that is divided into another number of parts cannot become one of this.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "hashed", partition_by(hash(id), partitions = 6))]
struct HashedFiner {
    #[schema(primary_key)]
    id: i64,
    level: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_hash_partitions_is_refused_with_what_to_do() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    truth.builder().await.schema::<Hashed>().build().await.unwrap().close().await.unwrap();
    let error = truth.builder().await.schema::<HashedFiner>().build().await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("id")));
    assert!(error.to_string().contains(r#"another number of partitions, which PostgreSQL cannot change in place"#), "{error}");
    assert!(error.to_string().contains(r#"ALTER TABLE "hashed" RENAME TO "hashed_before""#), "{error}");
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "event")]
struct PlainEvent {
    #[schema(primary_key)]
    at: Timestamp,
    #[schema(primary_key)]
    id: i64,
    kind: String,
}

/// Of longer periods, and of none.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "event", partition_by(range(at), every = "1 year"), index(columns(kind, at)))]
struct YearlyEvent {
    #[schema(primary_key)]
    at: Timestamp,
    #[schema(primary_key)]
    id: i64,
    kind: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_another_model_s_periods_stay_and_are_told_of() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    truth.builder().await.schema::<YearlyEvent>().build().await.unwrap().close().await.unwrap();
    let store = truth.builder().await.schema::<Event>().build().await.unwrap();
    store.collection::<Event>().unwrap().set(event(0, 1)).await.unwrap();
    let plan = store.plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    let Truth::Postgres(database) = &truth else { unreachable!() };
    let client = client(database).await;
    let year = partitions_of_events(&client).await.remove(0);
    let told = |plan: &strata::MigrationPlan, what: &str| {
        assert!(plan.drift.iter().any(|drift| drift.what.contains(what) && !drift.is_refused), "{plan}");
    };
    told(&plan, &format!("the partition `{year}` is of another period than the model's `every`, and stays"));
    let statements = plan.drift[0].what.split_once("run: ").unwrap().1.split_once("; then migrate").unwrap().0;
    client.batch_execute(statements).await.unwrap();
    store.migrate().await.unwrap();
    client.batch_execute(&format!("INSERT INTO event SELECT * FROM {year}_before; DROP TABLE {year}_before")).await.unwrap();
    assert!(partitions_of_events(&client).await.len() > 4, "days beside the years to come and the default one");
    assert_eq!(store.collection::<Event>().unwrap().count(Query::new()).await.unwrap(), 1);
    store.close().await.unwrap();

    let plain = truth.builder().await.schema::<PlainEvent>().build().await.unwrap();
    let plan = plain.plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    told(&plan, "the table is divided, and the model does not say how: its partitions stay");
    plain.close().await.unwrap();
    truth.run("DROP TABLE event_default").await.unwrap();
    let by_hand = truth.builder().await.schema::<PlainEvent>().build().await.unwrap();
    let drift = by_hand.plan().await.unwrap().drift;
    assert!(drift.iter().all(|drift| !drift.what.contains("is divided")), "somebody else's: {drift:?}");
    by_hand.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_s_partition_is_known_again() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    let build = async || truth.builder().await.schema::<Sharded>().schema::<Zoned>().build().await.unwrap();
    build().await.close().await.unwrap();
    let store = build().await;
    assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");

    truth.run("DROP TABLE \"zoned_is_EU\"").await.unwrap();
    let plan = store.plan().await.unwrap();
    assert!(plan.steps.len() == 1 && plan.steps[0].sql.contains("('EU')"), "{plan}");
    truth.run("CREATE TABLE \"zoned_is_EU\" (id INT)").await.unwrap();
    let error = store.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("give that another name") && !error.to_string().contains("drop"), "{error}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_some_partitions_is_told_of_and_kept() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    let store = truth.builder().await.schema::<Event>().build().await.unwrap();
    truth.run("DROP INDEX event_kind_at_idx; CREATE INDEX event_kind_at_idx ON ONLY event (kind, at)").await.unwrap();
    let plan = store.plan().await.unwrap();
    assert!(plan.steps.is_empty() && plan.drift[0].what.contains("`event_kind_at_idx` of the divided table is not on all"), "{plan}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_divided_is_refused_with_what_to_do() {
    let (database, _) = postgres::open().await;
    let truth = Truth::Postgres(database);
    truth.builder().await.schema::<PlainEvent>().build().await.unwrap().close().await.unwrap();
    let error = truth.builder().await.schema::<Event>().build().await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("at")));
    assert!(error.to_string().contains(r#"ALTER TABLE "event" RENAME TO "event_before""#), "{error}");
}

/// Another program moves a row between partitions, and deletes and inserts in several at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_writers_of_divided_tables_reach_memory() {
    let (database, _) = postgres::open().await;
    drop(tier(&database).await);
    let config = strata::pg::PgConfig::from_url(&database.url()).unwrap().with_outside_writers(true);
    let tier = strata::pg::PgTier::connect(config).await.unwrap();
    let store = strata::Store::builder().near(strata::mem::MemTier::new()).tier(tier).schema::<Event>().build().await.unwrap();
    let events: Collection<Event> = store.collection().unwrap();
    events.set_many([event(0, 1), event(1, 2), event(2, 3)]).await.unwrap();
    let fresh = events.with_freshness(Freshness::Bounded(Duration::ZERO));
    let seen = async || {
        let keys = [(on_day(0), 1), (on_day(1), 1), (on_day(1), 2), (on_day(2), 3)];
        fresh.get_many(keys).await.unwrap().iter().map(|event| event.as_ref().map(|event| event.kind.clone())).collect::<Vec<_>>()
    };
    let kind = |text: &str| Some(text.to_owned());
    assert_eq!(seen().await, [kind("day 0"), None, kind("day 1"), kind("day 2")]);
    for (statement, expected) in [
        ("UPDATE event SET at = at + interval '1 day' WHERE id = 1", [None, kind("day 0"), kind("day 1"), kind("day 2")]),
        ("UPDATE event SET kind = 'all'", [None, kind("all"), kind("all"), kind("all")]),
        ("DELETE FROM event WHERE id IN (2, 3)", [None, kind("all"), None, None]),
        ("TRUNCATE event", [None, None, None, None]),
    ] {
        database.run(statement).await;
        assert_eq!(seen().await, expected, "{statement}");
    }
    store.close().await.unwrap();
}
