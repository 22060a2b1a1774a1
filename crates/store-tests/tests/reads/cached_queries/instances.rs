//! What other instances and programs do.

use std::time::Duration;

use strata::facet::NearTier;
use strata::{Acknowledge, Freshness, Query, StoreBuilder, WriteMode};

use super::{KEEPING, counts, levels};
use store_tests::models::{Player, player};
use store_tests::stacks::{Models, Stack};
use store_tests::waiting::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_another_instance_shows_within_the_bound_and_at_once_where_that_is_asked_for() {
    for stack in KEEPING {
        let mut bench = stack.open_fresh_for(Duration::from_millis(200)).await;
        let other = bench.another().await;
        let (writer, reader) = (bench.players(), other.collection::<Player>().unwrap());
        let query = Query::new().order_by(Player::id());
        for level in 1..=6 {
            let ways = ["bound", "nothing older", "strong", "token"];
            for way in ways {
                let before = levels(&reader, &query).await;
                writer.set_many([player("a", level), player(way, level)]).await.unwrap();
                let reader = match way {
                    "bound" => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        reader.clone()
                    }
                    "nothing older" => reader.with_freshness(Freshness::Bounded(Duration::ZERO)),
                    "strong" => reader.with_freshness(Freshness::Strong),
                    _ => reader.with_freshness(Freshness::Session(bench.store.token().await.unwrap().unwrap())),
                };
                let expected = writer.search(query.clone()).await.unwrap().iter().map(|player| player.level).collect::<Vec<_>>();
                assert_eq!(levels(&reader, &query).await, expected, "{stack:?}, {way}, {before:?}");
            }
        }
        assert!(counts(&other).2 > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_instances_invalidate_is_asked_for_anew() {
    for stack in KEEPING {
        let mut bench = stack.open().await;
        let other = bench.another().await;
        let (one, two) = (bench.players(), other.collection::<Player>().unwrap());
        one.set(player("a", 1)).await.unwrap();
        let query = Query::new();
        let tagged = two.with_tags(["front"]);
        for way in ["key", "all", "tag"] {
            let keep = async || {
                tagged.search_cached(&query).await.unwrap();
                let hits = counts(&other).0;
                tagged.search_cached(&query).await.unwrap();
                counts(&other).0 > hits
            };
            until("the answer is kept", keep).await;
            match way {
                "key" => one.invalidate("a").await.unwrap(),
                "all" => drop(one.invalidate_all().await.unwrap()),
                _ => one.invalidate_tag("front").await.unwrap(),
            }
            until("the answer is void", async || other.stats().query_entries == 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_of_another_instance_voids_as_a_single_write_does() {
    for stack in [Stack::MemSqlite, Stack::MemPostgres] {
        let mut bench = stack.open().await;
        let other = bench.another().await;
        let (writer, reader) = (bench.players(), other.collection::<Player>().unwrap());
        let reader = reader.with_freshness(Freshness::Bounded(Duration::ZERO));
        let query = Query::new().filter(Player::level().eq(2)).no_limit();
        assert!(levels(&reader, &query).await.is_empty());
        writer.set_many((0..1_500).map(|number| player(&format!("p{number}"), 2))).await.unwrap();
        assert_eq!(levels(&reader, &query).await.len(), 1_500);
        assert_eq!(writer.delete_where(Player::level().eq(2)).await.unwrap().len(), 1_500);
        assert!(levels(&reader, &query).await.is_empty());
    }
}

struct WritingBehind;

impl Models for WritingBehind {
    fn register<N: NearTier>(&self, _: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        builder
            .write_mode(WriteMode::WriteBehind)
            .configure(|settings| settings.write_behind.acknowledge = Acknowledge::Memory)
            .schema::<Player>()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_another_instance_drops_what_the_log_says_it_could_change() {
    for stack in KEEPING {
        let mut bench = stack.open().await;
        let (other, behind) = (bench.another().await, bench.another_with(&WritingBehind).await);
        let (writer, reader) = (bench.players(), other.collection::<Player>().unwrap());
        let behind = behind.collection::<Player>().unwrap();
        let reader = reader.with_freshness(Freshness::Bounded(Duration::ZERO));
        writer.set_many([player("a", 1), player("b", 2), player("z", 50)]).await.unwrap();
        let query = Query::new().filter(Player::level().lt(9));
        for (write, drops) in [
            ("patch of a score", false),
            ("patch of a name", true),
            ("patch of a level", true),
            ("scores of all", false),
            ("names of all", true),
            ("patches of scores in a transaction", false),
            ("patches of a score and a name in a transaction", true),
            ("scores of all in a transaction", false),
            ("names of all in a transaction", true),
            ("patch of a score by one who writes behind", false),
            ("patch of a name by one who writes behind", true),
            ("deletion of one that is not there", false),
            ("set", true),
        ] {
            reader.select_cached(&query, Player::username()).await.unwrap();
            let before = counts(&other);
            match write {
                "patch of a score" => drop(writer.patch("a", Player::score().set(7.5)).await.unwrap()),
                "patch of a name" => drop(writer.patch("a", Player::username().set("anna")).await.unwrap()),
                "patch of a level" => drop(writer.patch("a", Player::level().set(3)).await.unwrap()),
                "scores of all" => drop(writer.update_where(Player::level().gt(0), Player::score().set(1.5)).await.unwrap()),
                "names of all" => drop(writer.update_where(Player::id().eq("b"), Player::username().set("ben")).await.unwrap()),
                "patches of scores in a transaction" => {
                    let patches = bench.store.transaction(async |tx| {
                        tx.patch::<Player>("a", Player::score().set(8.5)).await?;
                        tx.patch::<Player>("b", Player::score().set(8.5)).await
                    });
                    assert!(patches.await.unwrap().is_some());
                }
                "patches of a score and a name in a transaction" => {
                    let patches = bench.store.transaction(async |tx| {
                        tx.patch::<Player>("a", Player::score().set(9.5)).await?;
                        tx.patch::<Player>("a", Player::username().set("anne")).await
                    });
                    assert!(patches.await.unwrap().is_some());
                }
                "scores of all in a transaction" => {
                    let update = bench.store.transaction(async |tx| tx.update_where(Player::level().gt(0), Player::score().set(2.5)).await);
                    assert_eq!(update.await.unwrap().len(), 3);
                }
                "names of all in a transaction" => {
                    let update =
                        bench.store.transaction(async |tx| tx.update_where(Player::id().eq("b"), Player::username().set("bob")).await);
                    assert_eq!(update.await.unwrap().len(), 1);
                }
                "patch of a score by one who writes behind" => drop(behind.patch("a", Player::score().set(3.5)).await.unwrap().unwrap()),
                "patch of a name by one who writes behind" => {
                    drop(behind.patch("a", Player::username().set("ann")).await.unwrap().unwrap())
                }
                "deletion of one that is not there" => assert!(writer.delete("z").await.unwrap()),
                _ => drop(writer.set(player("c", 50)).await.unwrap()),
            }
            let expected = writer.select(query.clone(), Player::username()).await.unwrap();
            assert_eq!(reader.select_cached(&query, Player::username()).await.unwrap(), expected, "{stack:?}: {write}");
            let after = counts(&other);
            assert_eq!((after.2 > before.2, after.0 > before.0), (drops, !drops), "{stack:?}: {write}");
        }
    }
}

/// The reader has seen the write by its key, and the log has not told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_never_older_than_what_a_read_has_shown() {
    for stack in KEEPING {
        // So long that no poll of its own comes between, and messages may or may not.
        let mut bench = stack.open_fresh_for(Duration::from_secs(3_600)).await;
        let other = bench.another().await;
        let (writer, reader) = (bench.players(), other.collection::<Player>().unwrap());
        let all = Query::new().order_by(Player::id());
        for level in 1..=20_i64 {
            levels(&reader, &all).await;
            writer.set(player("a", level)).await.unwrap();
            let strong = reader.with_freshness(Freshness::Strong);
            let shown = match level % 4 {
                0 => strong.get("a").await.unwrap().unwrap().level,
                1 => reader.from(strata::Role::Truth).get("a").await.unwrap().unwrap().level,
                2 => strong.search(Query::new()).await.unwrap()[0].level,
                _ => strong.get_many(["a"]).await.unwrap()[0].as_ref().unwrap().level,
            };
            assert_eq!(shown, level);
            assert_eq!(levels(&reader, &all).await, [level], "{stack:?}");
            if level % 5 == 0 {
                levels(&reader, &all).await;
                writer.delete("a").await.unwrap();
                assert!(strong.get("a").await.unwrap().is_none());
                assert!(levels(&reader, &all).await.is_empty(), "{stack:?}");
            }
        }
    }
}
