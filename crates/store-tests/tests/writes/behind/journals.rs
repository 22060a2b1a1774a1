//! What a journal keeps for the next store.

use std::time::Duration;

use strata::{Acknowledge, ErrorKind, Role, Schema};

use super::{Bench, acknowledged_by, level, on_truths, players, schemas, truth};
use store_tests::models::{City, Player, city, player};

async fn a_killed_store_s_writes_are_made_by_the_next(bench: &Bench) {
    let other = bench.open("b").await;
    let store = bench.open("a").await;
    players(&store).set_many([player("a", 1), player("b", 1), player("c", 1)]).await.unwrap();
    store.flush().await.unwrap();
    players(&store).set(player("a", 2)).await.unwrap();
    players(&store).delete("b").await.unwrap();
    players(&store).set(player("d", 1)).await.unwrap();
    store.collection::<City>().unwrap().set(city(7)).await.unwrap();
    bench.copy("a", "after-a-kill");

    let next = bench.open("after-a-kill").await;
    assert_eq!((level(&players(&next), "a").await, level(&players(&next), "b").await), (Some(2), None), "at once");
    next.flush().await.unwrap();
    let found = [truth(&other, "a").await, truth(&other, "b").await, truth(&other, "c").await, truth(&other, "d").await];
    assert_eq!(found, [Some(2), None, Some(1), Some(1)]);
    assert!(other.collection::<City>().unwrap().from(Role::Truth).get(7).await.unwrap().is_some());
    assert_eq!(next.stats().dirty_entries, 0);
}

async fn what_was_flushed_before_the_kill_is_not_written_again(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open("b").await);
    players(&store).set(player("a", 1)).await.unwrap();
    bench.copy("a", "before-the-flush");
    store.flush().await.unwrap();
    let flushed = players(&other).from(Role::Truth).get("a").await.unwrap().unwrap().version();
    // The journal still holds the write, as if the process had died before it gave it free.
    let next = bench.open("before-the-flush").await;
    next.flush().await.unwrap();
    assert_eq!(next.stats().dirty_entries, 0);
    assert_eq!(players(&other).from(Role::Truth).get("a").await.unwrap().unwrap().version(), flushed);
}

async fn a_store_that_is_dropped_leaves_its_journal_to_the_next(bench: &Bench) {
    let (store, faults) = bench.open_with("a", |builder| builder).await;
    players(&store).set(player("a", 1)).await.unwrap();
    drop((store, faults));
    // Its tasks end a moment later.
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    let next = loop {
        match bench.try_open("a", schemas).await.0 {
            Ok(next) => break next,
            Err(error) if tokio::time::Instant::now() < limit => assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(level(&players(&next), "a").await, Some(1));
    next.close().await.unwrap();
    assert_eq!(truth(&bench.open("b").await, "a").await, Some(1));
}

async fn a_journal_belongs_to_one_store(bench: &Bench) {
    let _store = bench.open("a").await;
    let error = bench.try_open("a", schemas).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let text = error.to_string();
    assert!(text.contains("belongs to another store") && text.contains("directory of its own"), "{text}");
}

async fn an_older_copy_of_a_journal_is_refused(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set(player("a", 1)).await.unwrap();
    bench.copy("a", "old");
    players(&store).set(player("a", 2)).await.unwrap();
    store.flush().await.unwrap();
    let error = bench.try_open("old", schemas).await.0.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidConfig && error.to_string().contains("older copy"), "{error}");
}

async fn a_copy_in_use_beside_its_original_is_told(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set(player("before", 1)).await.unwrap();
    store.flush().await.unwrap();
    bench.copy("a", "copy");
    let copy = bench.open("copy").await;
    players(&store).set(player("of the original", 1)).await.unwrap();
    players(&copy).set(player("of the copy", 1)).await.unwrap();
    store.flush().await.unwrap();
    let error = copy.flush().await.unwrap_err();
    assert!(error.kind() == ErrorKind::JournalUnavailable && error.to_string().contains("its directory was copied"), "{error}");
    assert_eq!((level(&players(&copy), "of the copy").await, copy.stats().dirty_entries), (Some(1), 1), "it is kept");

    // Nor does a restart take for applied what has the place of another's write, or places further on.
    bench.copy("copy", "after-a-kill");
    players(&copy).set(player("of the copy, later", 1)).await.unwrap();
    bench.copy("copy", "after-a-later-kill");
    for journal in ["after-a-kill", "after-a-later-kill"] {
        let error = bench.try_open(journal, schemas).await.0.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidConfig && error.to_string().contains("the directory was copied"), "{error}");
    }
    let error = copy.close().await.unwrap_err();
    assert!(error.kind() == ErrorKind::WriteBehindMaxRetry && error.to_string().contains("no store flushes them"), "{error}");
    bench.copy("a", "original");
    let next = bench.open("original").await;
    players(&next).set(player("later", 1)).await.unwrap();
    next.close().await.unwrap();
    let other = bench.open("b").await;
    let found = [truth(&other, "of the original").await, truth(&other, "later").await, truth(&other, "of the copy").await];
    assert_eq!(found, [Some(1), Some(1), None]);
}

async fn writes_of_a_model_that_is_gone_become_dead_letters(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set(player("a", 1)).await.unwrap();
    store.collection::<City>().unwrap().set(city(7)).await.unwrap();
    bench.copy("a", "next");
    let (next, _) = bench.try_open("next", |builder| builder.schema::<Player>()).await;
    let next = next.unwrap();
    next.flush().await.unwrap();
    assert_eq!(truth(&bench.open("b").await, "a").await, Some(1));
    let letters = next.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| (letter.schema.as_str(), letter.key.as_str())).collect::<Vec<_>>(), [("city", "7")]);
    assert_eq!(next.dead_letters().retry(&letters[0]).await.unwrap_err().kind(), ErrorKind::SchemaNotFound);
    // Once the model is back, nothing is lost.
    let whole = bench.open("c").await;
    whole.dead_letters().retry(&letters[0]).await.unwrap();
    assert_eq!(whole.collection::<City>().unwrap().get(7).await.unwrap().as_deref(), Some(&city(7)));
    assert_eq!(next.stats().dirty_entries, 0);
}

/// A model, and an older or newer form of it.
#[derive(Debug, PartialEq, Schema)]
#[schema(name = "thing")]
struct Wide {
    #[schema(primary_key)]
    id: i64,
    size: i64,
    note: Option<String>,
    #[schema(default = 7)]
    weight: i64,
}

#[derive(Debug, PartialEq, Schema)]
#[schema(name = "thing")]
struct Narrow {
    #[schema(primary_key)]
    id: i64,
    size: i64,
}

async fn another_build_reads_the_journal_by_the_names_of_columns(bench: &Bench) {
    let (wide, _) = bench.try_open("wide", |builder| builder.schema::<Wide>()).await;
    let wide = wide.unwrap();
    wide.collection::<Wide>().unwrap().set(Wide { id: 1, size: 1, note: Some("kept".into()), weight: 2 }).await.unwrap();
    bench.copy("wide", "wide-to-narrow");
    let (narrow, _) = bench.try_open("wide-to-narrow", |builder| builder.schema::<Narrow>()).await;
    let narrow = narrow.unwrap();
    narrow.flush().await.unwrap();
    assert!(narrow.collection::<Narrow>().unwrap().get(1).await.unwrap().is_none());
    let letters = narrow.dead_letters().list(None, 10).await.unwrap();
    assert!(letters.len() == 1 && letters[0].error.contains("does not have any more"), "{letters:?}");
    assert_eq!(narrow.dead_letters().retry(&letters[0]).await.unwrap_err().kind(), ErrorKind::SchemaMismatch);
    // The build that met it could not look into the truth, where there is a record by now.
    let (wide, _) = bench.try_open("another", |builder| builder.schema::<Wide>()).await;
    let wide = wide.unwrap();
    wide.collection::<Wide>().unwrap().set(Wide { id: 1, size: 1, note: None, weight: 2 }).await.unwrap();
    let error = wide.dead_letters().retry(&letters[0]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("is not known"), "{error}");
    wide.dead_letters().overwrite(&letters[0]).await.unwrap();
    let things = wide.collection::<Wide>().unwrap();
    assert_eq!(things.from(Role::Truth).get(1).await.unwrap().unwrap().note.as_deref(), Some("kept"));

    narrow.collection::<Narrow>().unwrap().set_many([Narrow { id: 1, size: 5 }, Narrow { id: 2, size: 6 }]).await.unwrap();
    bench.copy("wide-to-narrow", "narrow-to-wide");
    let (next, _) = bench.try_open("narrow-to-wide", |builder| builder.schema::<Wide>()).await;
    let next = next.unwrap();
    let things = next.collection::<Wide>().unwrap();
    assert_eq!(things.get(2).await.unwrap().as_deref(), Some(&Wide { id: 2, size: 6, note: None, weight: 7 }), "while it is pending");
    next.flush().await.unwrap();
    let stored = things.from(Role::Truth).get_many([1, 2]).await.unwrap();
    let stored: Vec<_> = stored.iter().map(|thing| thing.as_ref().map(|thing| &**thing.model())).collect();
    let (kept, fresh) = (Wide { id: 1, size: 5, note: Some("kept".into()), weight: 2 }, Wide { id: 2, size: 6, note: None, weight: 7 });
    assert_eq!(stored, [Some(&kept), Some(&fresh)]);
}

async fn tags_of_a_pending_write_outlive_a_kill(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).with_tags(["summer"]).set(player("a", 1)).await.unwrap();
    bench.copy("a", "next");
    let next = bench.open("next").await;
    next.flush().await.unwrap();
    assert!(players(&next).peek("a").is_some());
    players(&next).invalidate_tag("summer").await.unwrap();
    assert!(players(&next).peek("a").is_none(), "the copy has the tag of the write");
}

async fn a_mode_that_is_changed_keeps_what_was_pending(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set(player("a", 1)).await.unwrap();
    bench.copy("a", "next");
    let (next, _) = bench.open_with("next", |builder| builder.write_mode(strata::WriteMode::WriteThrough)).await;
    assert!(!players(&next).set(player("a", 2)).await.unwrap().is_pending());
    assert_eq!(truth(&next, "a").await, Some(2), "the pending write came first");
}

async fn memory_alone_needs_no_journal(bench: &Bench) {
    let tier = bench.tier().await;
    let builder = strata::Store::builder().near(strata::mem::MemTier::new()).tier(tier).write_mode(strata::WriteMode::WriteBehind);
    let builder = acknowledged_by(Acknowledge::Memory)(builder.write_behind(super::unhurried()));
    let store = schemas(builder).build().await.unwrap();
    players(&store).set(player("a", 1)).await.unwrap();
    assert_eq!(level(&players(&store), "a").await, Some(1));
    store.close().await.unwrap();
    assert_eq!(truth(&bench.open("b").await, "a").await, Some(1));

    let without = strata::Store::builder().near(strata::mem::MemTier::new()).tier(bench.tier().await);
    let error = schemas(without.write_mode(strata::WriteMode::WriteBehind)).build().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidConfig && error.to_string().contains("STRATA_JOURNAL"), "{error}");
}

on_truths![
    a_killed_store_s_writes_are_made_by_the_next,
    what_was_flushed_before_the_kill_is_not_written_again,
    a_store_that_is_dropped_leaves_its_journal_to_the_next,
    a_journal_belongs_to_one_store,
    an_older_copy_of_a_journal_is_refused,
    a_copy_in_use_beside_its_original_is_told,
    writes_of_a_model_that_is_gone_become_dead_letters,
    another_build_reads_the_journal_by_the_names_of_columns,
    tags_of_a_pending_write_outlive_a_kill,
    a_mode_that_is_changed_keeps_what_was_pending,
    memory_alone_needs_no_journal,
];
