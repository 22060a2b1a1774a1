//! Searching, counting, streaming and projecting.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use strata::sql::Dialect;
use strata::{DEFAULT_LIMIT, Freshness, Query, Role, params};

use store_tests::models::{City, Player, Standing, city, moment, player};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    conditions_of_every_kind_find_their_records,
    rows_come_in_the_order_that_was_asked_for,
    limits_and_offsets_cut_the_answer,
    raw_conditions_take_their_values_apart_from_the_text,
    a_count_heeds_the_conditions_alone,
    a_search_fills_memory_and_a_lower_one_does_not,
    a_stream_answers_everything_and_ends_where_it_is_dropped,
    columns_are_answered_as_tuples_and_as_a_struct,
    what_a_user_gives_is_never_sql,
]);

/// Six players: two regions, two without.
async fn crowd(bench: &Bench) {
    let players = ["a", "b", "c", "d", "e", "f"].into_iter().zip(1_i64..).map(|(id, level)| Player {
        region: match level % 3 {
            0 => None,
            1 => Some("eu".to_owned()),
            _ => Some("us".to_owned()),
        },
        seen_at: (level > 4).then(moment),
        ..player(id, level)
    });
    bench.players().set_many(players).await.unwrap();
}

async fn ids(bench: &Bench, query: impl Into<Query<Player>>) -> String {
    bench.players().search(query.into()).await.unwrap().iter().map(|player| player.id.as_str()).collect()
}

async fn conditions_of_every_kind_find_their_records(bench: &Bench) {
    crowd(bench).await;
    let level = Player::level();
    for (condition, expected) in [
        (level.eq(3), "c"),
        (level.ne(3), "abdef"),
        (level.lt(3), "ab"),
        (level.le(3), "abc"),
        (level.gt(4), "ef"),
        (level.ge(4), "def"),
        (level.between(2, 4), "bcd"),
        (level.one_of([1, 6, 99]), "af"),
        (level.one_of(Vec::<i64>::new()), ""),
        (Player::region().eq("eu"), "ad"),
        (Player::region().ne("eu"), "be"),
        (Player::region().is_null(), "cf"),
        (Player::region().is_not_null(), "abde"),
        (!Player::region().eq("eu"), "be"),
        (Player::username().like("user-_"), "abcdef"),
        (Player::username().like("%-c"), "c"),
        (Player::username().like("user\\_%"), ""),
        (Player::score().gt(2.4), "ef"),
        (Player::seen_at().ge(moment() - Duration::from_nanos(789)), "ef"),
        (Player::seen_at().ge(moment()), ""),
        (Player::seen_at().lt(moment()), "ef"),
        (Player::id().one_of(["a", "zz"]), "a"),
        (level.gt(1).and(level.lt(4)).and(Player::region().is_not_null()), "b"),
        (level.eq(1).or(level.eq(2)).or(Player::region().is_null()), "abcf"),
        (level.eq(1).or(level.eq(2)).and(Player::region().eq("us")), "b"),
        (!(level.gt(1).and(level.lt(6))), "af"),
    ] {
        assert_eq!(ids(bench, condition.clone()).await, expected, "{condition:?}");
    }
    assert_eq!(ids(bench, Query::new().filter(level.gt(2)).filter(level.lt(5))).await, "cd");
}

async fn rows_come_in_the_order_that_was_asked_for(bench: &Bench) {
    crowd(bench).await;
    assert_eq!(ids(bench, Query::new()).await, "abcdef");
    assert_eq!(ids(bench, Query::new().order_by(Player::level().desc())).await, "fedcba");
    assert_eq!(ids(bench, Query::new().order_by(Player::region())).await, "adbecf", "NULL comes last");
    assert_eq!(ids(bench, Query::new().order_by(Player::region().desc())).await, "fcebda", "and first the other way");
    let mixed = Query::new().order_by(Player::region()).order_by(Player::level().desc());
    assert_eq!(ids(bench, mixed).await, "daebfc");
    assert_eq!(ids(bench, Query::new().order_by("level").desc()).await, "fedcba");
    assert_eq!(ids(bench, Query::new().order_by(String::from("region")).order_by("id").desc()).await, "daebfc");
    assert_eq!(ids(bench, Query::new().order_by("level").order_by("level").desc()).await, "abcdef", "the first mention of a column counts");
}

async fn limits_and_offsets_cut_the_answer(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set_many((1..=150).map(city)).await.unwrap();
    let found = async |query: Query<City>| {
        let found = cities.search(query).await.unwrap();
        (found.len() as u64, found.first().map(|city| city.id))
    };
    assert_eq!(found(Query::new()).await, (DEFAULT_LIMIT, Some(1)));
    assert_eq!(found(Query::new().limit(0)).await, (DEFAULT_LIMIT, Some(1)));
    assert_eq!(found(Query::new().limit(7).offset(3)).await, (7, Some(4)));
    assert_eq!(found(Query::new().no_limit()).await, (150, Some(1)));
    assert_eq!(found(Query::new().no_limit().offset(149)).await, (1, Some(150)));
    assert_eq!(found(Query::new().limit(u64::MAX).offset(0)).await, (150, Some(1)));
    assert_eq!(found(Query::new().offset(u64::MAX)).await, (0, None));
}

async fn raw_conditions_take_their_values_apart_from_the_text(bench: &Bench) {
    crowd(bench).await;
    let raw = |sql: &str, params| Query::new().where_sql(sql, params);
    assert_eq!(ids(bench, raw("level > $1 AND region = $2", params![1, "eu"])).await, "d");
    assert_eq!(ids(bench, raw("level = $2 OR level = $1 OR level = $2", params![1, 2])).await, "ab");
    assert_eq!(ids(bench, raw("region IS NULL", params![])).await, "cf");
    assert_eq!(ids(bench, raw("region = $1", params![None::<String>])).await, "");
    assert_eq!(ids(bench, raw("username <> '$1;--' AND level < $1", params![3])).await, "ab");
    // Numbers start anew in each condition.
    let both = raw("level > $1", params![1]).filter(Player::level().lt(6)).where_sql("region = $1", params!["eu"]);
    assert_eq!(ids(bench, both).await, "d");
    let either = raw("level = $1 OR level = $2", params![1, 2]).filter(Player::region().eq("us"));
    assert_eq!(ids(bench, either).await, "b", "a raw condition is one operand");
}

async fn a_count_heeds_the_conditions_alone(bench: &Bench) {
    crowd(bench).await;
    let players = bench.players();
    assert_eq!(players.count(Query::new()).await.unwrap(), 6);
    let query = || Query::from(Player::region().is_null()).limit(1).offset(5).order_by(Player::level());
    assert_eq!(players.count(query()).await.unwrap(), 2);
    assert_eq!(players.from(Role::Truth).count(query()).await.unwrap(), 2);
    assert_eq!(players.count(Query::new().where_sql("level >= $1", params![5])).await.unwrap(), 2);
}

async fn a_search_fills_memory_and_a_lower_one_does_not(bench: &Bench) {
    crowd(bench).await;
    let players = bench.players();
    players.invalidate_all().await.unwrap();
    for role in [Role::Shared, Role::Truth] {
        assert_eq!(players.from(role).search(Query::new()).await.unwrap().len(), 6);
        assert_eq!(bench.store.stats().l1_entries, 0, "{role}");
    }
    let found = players.search(Query::new().limit(2)).await.unwrap();
    for player in &found {
        // What the truth was asked for above holds memory back until the log has been read.
        let at_hand = players.with_freshness(Freshness::Any);
        assert_eq!(at_hand.peek(&player.id).as_ref(), Some(player).filter(|_| bench.stack.has_near()));
    }
    let version = players.from(Role::Truth).get("a").await.unwrap().unwrap().version();
    assert_eq!(players.get_record("a").await.unwrap().unwrap().version(), version);
}

async fn a_stream_answers_everything_and_ends_where_it_is_dropped(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set_many((1..=2_500).map(city)).await.unwrap();
    cities.invalidate_all().await.unwrap();
    let all: Vec<i64> = cities.stream(Query::new()).unwrap().map_ok(|city| city.id).try_collect().await.unwrap();
    assert_eq!(all, (1..=2_500).collect::<Vec<_>>());
    assert_eq!(bench.store.stats().l1_entries, 0, "a stream fills nothing");
    let few = cities.stream(Query::new().filter(City::id().gt(100)).order_by(City::id().desc()).limit(3)).unwrap();
    assert_eq!(few.map_ok(|city| city.id).try_collect::<Vec<_>>().await.unwrap(), [2_500, 2_499, 2_498]);
    for role in [Role::Shared, Role::Truth] {
        assert_eq!(cities.from(role).stream(Query::new()).unwrap().count().await, 2_500);
    }

    // More readers than the tier has connections, none of them read to the end.
    let mut begun = Vec::new();
    for _ in 0..40 {
        let mut stream = cities.stream(Query::new()).unwrap();
        assert_eq!(stream.try_next().await.unwrap().unwrap().id, 1);
        begun.push(stream);
        if begun.len() > 3 {
            begun.clear();
        }
    }
    drop(begun);
    cities.set(city(1)).await.unwrap();
    assert_eq!(cities.count(Query::new()).await.unwrap(), 2_500);
}

async fn columns_are_answered_as_tuples_and_as_a_struct(bench: &Bench) {
    crowd(bench).await;
    let players = bench.players();
    players.invalidate_all().await.unwrap();
    let query = || Query::new().filter(Player::level().le(3)).order_by(Player::level().desc());
    let tuples = players.select(query(), (Player::level(), Player::id(), Player::region(), Player::level())).await.unwrap();
    let expected = [(3, "c", None), (2, "b", Some("us")), (1, "a", Some("eu"))];
    assert_eq!(tuples, expected.map(|(level, id, region)| (level, id.to_owned(), region.map(str::to_owned), level)));
    assert_eq!(players.select(query().limit(1), Player::tags()).await.unwrap(), [vec!["beta".to_owned()]]);
    assert_eq!(players.select(query().limit(1), Player::seen_at()).await.unwrap(), [None]);
    let standings: Vec<Standing> = players.select_as(query()).await.unwrap();
    assert_eq!(
        standings,
        expected.map(|(level, id, region)| Standing { level, username: format!("user-{id}"), home: region.map(str::to_owned) })
    );
    assert_eq!(bench.store.stats().l1_entries, 0, "a projection fills nothing");
}

async fn what_a_user_gives_is_never_sql(bench: &Bench) {
    crowd(bench).await;
    let players = bench.players();
    let hostile = "x' OR '1'='1\"; DROP TABLE player; --";
    players.set(Player { username: hostile.to_owned(), region: Some(hostile.to_owned()), ..player(hostile, 1) }).await.unwrap();
    assert_eq!(players.get(hostile).await.unwrap().unwrap().username, hostile);
    for condition in
        [Player::username().eq(hostile), Player::region().eq(hostile), Player::id().one_of([hostile]), Player::username().like(hostile)]
    {
        assert_eq!(ids(bench, condition).await, hostile);
    }
    assert_eq!(ids(bench, Query::new().where_sql("username = $1", params![hostile])).await, hostile);
    assert!(players.search(Query::new().order_by(String::from(hostile))).await.is_err());
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let query = Query::<Player>::from(Player::username().eq(hostile)).where_sql("region = $1", params![hostile]);
        let (sql, values) = query.to_sql(dialect).unwrap();
        assert!(!sql.contains("DROP"), "{sql}");
        assert_eq!(values, params![hostile, hostile]);
    }
    assert_eq!(players.count(Query::new()).await.unwrap(), 7);
}
