//! SQL that other programs write, with triggers that bring it into the log, and what two instances show of it.

use std::time::Duration;

use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{Collection, Freshness, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::{postgres, redis};
use store_tests::waiting::until;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

async fn open(database: &postgres::Database, namespace: &redis::Namespace) -> Collection<Player> {
    let config = PgConfig::from_url(&database.url()).unwrap().with_outside_writers(true);
    let tier = PgTier::connect(config).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(namespace.tier().await).tier(tier);
    builder.schema::<Player>().build().await.unwrap().collection().unwrap()
}

async fn levels(players: &Collection<Player>) -> [Option<i64>; 4] {
    let found = players.get_many(KEYS).await.unwrap();
    std::array::from_fn(|position| found[position].as_ref().map(|player| player.level))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_other_programs_reach_the_memory_of_every_instance_and_redis() {
    let (database, _) = postgres::open().await;
    let (namespace, _) = redis::open().await;
    let instances = [open(&database, &namespace).await, open(&database, &namespace).await];
    instances[0].set_many([player("a", 1), player("b", 1)]).await.unwrap();
    let many = "INSERT INTO player (id, username, level, score, tags, created_at, updated_at)
        SELECT 'many-' || n, 'many-' || n, 1, 0, '[]', now(), now() FROM generate_series(1, 1500) n";
    let one = |id: &str| {
        format!(
            "INSERT INTO player (id, username, level, score, tags, created_at, updated_at) VALUES ('{id}', 'user-{id}', 3, 0, '[]', now(), now())"
        )
    };
    let statements: [(&str, [Option<i64>; 4]); 7] = [
        (&one("c"), [Some(1), Some(1), Some(3), None]),
        ("UPDATE player SET level = 4 WHERE id = 'a'", [Some(4), Some(1), Some(3), None]),
        ("DELETE FROM player WHERE id = 'b'", [Some(4), None, Some(3), None]),
        (many, [Some(4), None, Some(3), None]),
        ("UPDATE player SET level = level + 10", [Some(14), None, Some(13), None]),
        (&format!("BEGIN; {}; UPDATE player SET level = 5 WHERE id IN ('a', 'd'); COMMIT", one("d")), [Some(5), None, Some(13), Some(5)]),
        ("TRUNCATE player", [None; 4]),
    ];
    for (statement, expected) in statements {
        for players in &instances {
            // Memory and Redis hold what is there before.
            levels(players).await;
            players.from(Role::Shared).get_many(KEYS).await.unwrap();
        }
        database.run(statement).await;
        for players in &instances {
            let fresh = players.with_freshness(Freshness::Bounded(Duration::ZERO));
            assert_eq!(levels(&fresh).await, expected, "{statement}");
            // It was told, so it shows nothing older from here on.
            assert_eq!(levels(players).await, expected, "{statement}");
            let shared = players.from(Role::Shared).get_many(KEYS).await.unwrap();
            assert_eq!(shared.map_levels(), expected, "{statement}");
        }
        // Whoever comes now knows what Redis and the truth say alone.
        let newcomer = open(&database, &namespace).await;
        assert_eq!(newcomer.from(Role::Shared).get_many(KEYS).await.unwrap().map_levels(), expected, "{statement}");
    }
}

/// Nobody asks for it: the log's follower alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_another_program_leaves_memory_within_the_bound() {
    let (database, _) = postgres::open().await;
    let (namespace, _) = redis::open().await;
    let instances = [open(&database, &namespace).await, open(&database, &namespace).await];
    for level in 2..5 {
        instances[0].set(player("a", 1)).await.unwrap();
        for players in &instances {
            assert_eq!(levels(&players.with_freshness(Freshness::Bounded(Duration::ZERO))).await[0], Some(1));
        }
        database.run(&format!("UPDATE player SET level = {level}")).await;
        for players in &instances {
            let kept = players.with_freshness(Freshness::Any);
            until("memory lets go of it", async || kept.peek("a").is_none_or(|player| player.level == level)).await;
            assert_eq!(players.get("a").await.unwrap().unwrap().level, level);
        }
    }
}

trait Levels {
    fn map_levels(self) -> [Option<i64>; 4];
}

impl Levels for Vec<Option<strata::Record<Player>>> {
    fn map_levels(self) -> [Option<i64>; 4] {
        std::array::from_fn(|position| self[position].as_ref().map(|player| player.level))
    }
}
