//! Another key takes the place of the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store_testkit::servers::{RedisOptions, RedisServer};
use store_testkit::{Fault, Operation};
use strata::facet::NearTier;
use strata::mem::MemTier;
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, ErrorKind, KeyRing, OnConflict, Query, Role, SchemaOptions, Store, StoreBuilder};
use tempfile::TempDir;

use super::{Behind, Encrypted, Patient, behind, key, on_encrypted, patient, patients, ring, secret};
use store_tests::models::City;
use store_tests::stacks::{Bench, FaultyBench, Models, Stack, open_sqlite};
use store_tests::waiting::until;

const RECORDS: usize = 60;

async fn filled(bench: &Bench) {
    let all = (0..RECORDS).map(|number| patient(&format!("p{number:02}")));
    patients(&bench.store).import(all).run().await.unwrap();
}

/// Reads everything with the second key alone.
async fn assert_all_of_the_second_key(bench: &mut Bench, expected: impl Fn(&str) -> String) {
    let alone = KeyRing::new(2, key(2)).with_index_key(key(99));
    let store = bench.another_with(&Encrypted::new(alone)).await;
    let found = patients(&store).from(Role::Truth).search(Query::new().no_limit()).await.unwrap();
    assert_eq!(found.len(), RECORDS);
    for record in found {
        assert_eq!(record.diagnosis.as_deref(), Some(&*expected(&record.id)));
        assert_eq!(record.notes, patient(&record.id).notes);
        // The blind index is still that of the value.
        let by_email = patients(&store).search(Patient::email().eq(&record.email).into()).await.unwrap();
        assert_eq!(by_email.iter().map(|found| &*found.id).collect::<Vec<_>>(), [&*record.id]);
        let cached = patients(&store).get(&*record.id).await.unwrap().unwrap();
        assert_eq!(cached.diagnosis, record.diagnosis);
    }
    store.close().await.unwrap();
}

async fn records_are_encrypted_with_the_new_key(bench: &mut Bench) {
    filled(bench).await;
    let before = patients(&bench.store).get_record("p00").await.unwrap().unwrap();
    let progress = patients(&bench.store).reencrypt().run().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.key, progress.is_complete()), (60, 60, 1, true));
    assert_eq!(
        patients(&bench.store).from(Role::Truth).get("p00").await.unwrap().unwrap().version(),
        before.version(),
        "nothing was to do"
    );

    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let patients = patients(&next);
    let progress = patients.reencrypt().progress().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.key), (0, 60, 2));
    patients.set(patient("p07")).await.unwrap();
    let mut told = Vec::new();
    let progress =
        patients.reencrypt().chunk(25).rows_per_second(1_000_000).on_progress(|progress| told.push(progress.done)).run().await.unwrap();
    assert_eq!(told, [1, 26, 51, 60]);
    assert_eq!((progress.done, progress.unreadable, progress.is_complete()), (60, 0, true));
    let after = patients.from(Role::Truth).get("p00").await.unwrap().unwrap();
    assert_eq!(after.updated_at, before.updated_at, "no time is stamped");
    assert!(after.version() > before.version());
    assert_all_of_the_second_key(bench, |id| secret("diagnosis", id)).await;
    // A store that still has what is older in memory is told.
    let seen = super::patients(&bench.store).get("p00").await.unwrap().unwrap();
    assert_eq!(seen.diagnosis, before.diagnosis);
}

async fn a_run_that_was_interrupted_goes_on_where_it_was(bench: &mut Bench) {
    filled(bench).await;
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let mut done = 0;
    while done < RECORDS as u64 {
        let store = next.clone();
        let reached = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&reached);
        let job = tokio::spawn(async move {
            let patients = patients(&store);
            patients
                .reencrypt()
                .chunk(7)
                .rows_per_second(500)
                .on_progress(move |progress| seen.store(progress.done, Ordering::SeqCst))
                .run()
                .await
        });
        while !job.is_finished() && reached.load(Ordering::SeqCst) < done + 14 {
            tokio::task::yield_now().await;
        }
        job.abort();
        let _ = job.await;
        let now = patients(&next).reencrypt().progress().await.unwrap().done;
        assert!(now >= reached.load(Ordering::SeqCst) && now > done, "{now} of {done}");
        done = now;
    }
    assert_all_of_the_second_key(bench, |id| secret("diagnosis", id)).await;
}

async fn no_write_that_comes_between_is_lost(bench: &mut Bench) {
    filled(bench).await;
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let is_over = Arc::new(AtomicBool::new(false));
    // Instances that still write with the first key, and others that write with the second.
    let writers = [&bench.store, &next, &next].into_iter().enumerate().map(|(writer, store)| {
        let (patients, is_over): (Collection<Patient>, _) = (patients(store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut written = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                let id = format!("p{:02}", (written as usize * 3 + writer) % RECORDS);
                let update = patients.update(&*id, |patient| {
                    let rounds: u64 = patient.marker.parse().unwrap_or_default();
                    patient.marker = (rounds + 1).to_string();
                    patient.diagnosis = Some(format!("{} after {}", secret("diagnosis", &patient.id), patient.marker));
                });
                match update.await {
                    Ok(_) => written += 1,
                    Err(error) => assert!(error.kind() == ErrorKind::Conflict || error.is_retryable(), "{error}"),
                }
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let jobs = [&next, &next].map(|store| {
        let patients = patients(store);
        tokio::spawn(async move { patients.reencrypt().chunk(5).rows_per_second(2_000).run().await })
    });
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    // What the older instance wrote behind the jobs' backs is left to the last run.
    let progress = patients(&next).reencrypt().rows_per_second(1_000_000).run().await.unwrap();
    assert!(progress.is_complete(), "{progress:?}");
    let all = patients(&next).from(Role::Truth).search(Query::new().no_limit()).await.unwrap();
    let rounds: u64 = all.iter().map(|patient| patient.marker.parse::<u64>().unwrap_or_default()).sum();
    assert_eq!(rounds, written);
    let expected: std::collections::HashMap<String, String> =
        all.iter().map(|patient| (patient.id.clone(), patient.diagnosis.clone().unwrap())).collect();
    for patient in &all {
        assert!(patient.marker.starts_with("the-marker") || expected[&patient.id].ends_with(&format!(" after {}", patient.marker)));
    }
    assert_all_of_the_second_key(bench, |id| expected[id].clone()).await;
}

/// Patches of other columns write no ciphertext: what they touch is left to the job.
async fn what_is_patched_meanwhile_is_not_passed_by(bench: &mut Bench) {
    filled(bench).await;
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let other_index = KeyRing::new(2, key(2)).with_key(1, key(1)).with_index_key(key(98));
    let other_index = bench.another_with(&Encrypted::new(other_index)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let writers = [0, 1].map(|writer| {
        let (patients, is_over) = (patients(&bench.store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut written = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                let id = format!("p{:02}", (written as usize * 7 + writer) % RECORDS);
                assert!(patients.patch(&*id, Patient::marker().set("patched")).await.unwrap().is_some());
                written += 1;
            }
            written
        })
    });
    let progress = patients(&next).reencrypt().chunk(20).rows_per_second(1_000_000).run().await.unwrap();
    assert_eq!((progress.done, progress.unreadable, progress.is_complete()), (60, 0, true));
    let progress = patients(&other_index).reencrypt().everything().chunk(20).rows_per_second(1_000_000).run().await.unwrap();
    assert!(progress.is_complete(), "{progress:?}");
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    for number in 0..RECORDS {
        let id = format!("p{number:02}");
        let by_email = patients(&other_index).search(Patient::email().eq(secret("email", &id)).into()).await.unwrap();
        assert_eq!(by_email.iter().map(|found| &*found.id).collect::<Vec<_>>(), [&*id]);
    }
}

on_encrypted!(
    records_are_encrypted_with_the_new_key,
    a_run_that_was_interrupted_goes_on_where_it_was,
    no_write_that_comes_between_is_lost,
    what_is_patched_meanwhile_is_not_passed_by,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_no_faster_than_it_may_be() {
    let mut bench = super::open(Stack::MemSqlite).await;
    filled(&bench).await;
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let began = Instant::now();
    patients(&next).reencrypt().chunk(10).rows_per_second(100).run().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(590), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decrypted_is_left_and_told() {
    let mut bench = super::open(Stack::MemSqlite).await;
    filled(&bench).await;
    bench.run_on_sqlite("UPDATE patient SET email = diagnosis WHERE id = 'p05'");
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let progress = patients(&next).reencrypt().chunk(4).rows_per_second(1_000_000).run().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.unreadable, progress.is_complete()), (59, 60, 1, false));
    let progress = patients(&next).reencrypt().everything().chunk(4).rows_per_second(1_000_000).run().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.unreadable, progress.is_complete()), (59, 60, 1, false));
    assert_eq!(patients(&next).reencrypt().progress().await.unwrap().unreadable, 0, "all are of keys that it has");

    // Without the first key, and with a ring that has only another one.
    bench.run_on_sqlite("UPDATE patient SET diagnosis = NULL WHERE id = 'p06'");
    for (number, unreadable) in [(2, 1), (3, 60)] {
        let lacking = KeyRing::new(number, key(2)).with_index_key(key(99));
        let lacking = bench.another_with(&Encrypted::new(lacking)).await;
        let progress = patients(&lacking).reencrypt().progress().await.unwrap();
        assert_eq!((progress.total, progress.unreadable), (60, unreadable), "{progress:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_blind_indexes_are_made_and_those_of_another_key_on_demand() {
    let mut bench = super::open(Stack::MemSqlite).await;
    filled(&bench).await;
    bench.run_on_sqlite("UPDATE patient SET email_blind = NULL WHERE id < 'p10'");
    let patients = patients(&bench.store);
    let by_email = |id: &str| Query::from(Patient::email().eq(secret("email", id)));
    assert_eq!(patients.count(by_email("p05")).await.unwrap(), 0);
    assert_eq!(patients.reencrypt().progress().await.unwrap().done, 50);
    patients.reencrypt().run().await.unwrap();
    assert_eq!(patients.count(by_email("p05")).await.unwrap(), 1);

    let other_index = bench.another_with(&Encrypted::new(KeyRing::new(1, key(1)).with_index_key(key(98)))).await;
    let others = super::patients(&other_index);
    assert_eq!(others.count(by_email("p05")).await.unwrap(), 0);
    let progress = others.reencrypt().everything().rows_per_second(1_000_000).run().await.unwrap();
    assert_eq!((progress.done, progress.is_complete()), (60, true));
    assert_eq!(others.count(by_email("p05")).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_index_keys_let_in_twice_is_told_and_keeps_nothing_else_back() {
    let mut bench = super::open(Stack::MemSqlite).await;
    filled(&bench).await;
    let next = bench.another_with(&Encrypted::new(KeyRing::new(1, key(1)).with_index_key(key(98)))).await;
    let others = patients(&next);
    others.insert_only(Patient { email: secret("email", "p05"), ..patient("q05") }).await.unwrap();
    let mut told = Vec::new();
    let job = others.reencrypt().everything().chunk(20).rows_per_second(1_000_000);
    let progress = job.on_progress(|progress| told.push((progress.done, progress.last_key))).run().await.unwrap();
    let of = |done, last: &str| (done, Some(last.to_owned()));
    assert_eq!(told, [(0, None), of(19, "p19"), of(39, "p39"), of(59, "p59"), of(60, "q05")]);
    assert_eq!((progress.done, progress.total, progress.refused, progress.unreadable, progress.is_complete()), (60, 61, 1, 0, false));
    let with = |id: &str| Query::from(Patient::email().eq(secret("email", id)));
    assert_eq!(others.count(with("p59")).await.unwrap(), 1);
    let before = others.from(Role::Truth).get("p04").await.unwrap().unwrap().version();
    others.delete("q05").await.unwrap();
    let progress = others.reencrypt().everything().after("p04").run().await.unwrap();
    assert_eq!((progress.done, progress.refused, progress.is_complete()), (60, 0, true));
    assert_eq!(others.search(with("p05")).await.unwrap()[0].id, "p05");
    assert_eq!(others.from(Role::Truth).get("p04").await.unwrap().unwrap().version(), before, "it began behind it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlasts_what_passes_and_no_more() {
    let bench = FaultyBench::open_with(|builder| builder.encryption(ring(1)).schema::<Patient>()).await;
    let patients = bench.of::<Patient>();
    patients.import((0..6).map(|number| patient(&format!("p{number:02}")))).run().await.unwrap();
    let faults = &bench.truth_faults;
    faults.next(Operation::Select, Fault::FailBefore(ErrorKind::Unavailable));
    faults.next(Operation::Begin, Fault::FailBefore(ErrorKind::Timeout));
    faults.next(Operation::PutIf, Fault::Conflict);
    // It was committed, and the next attempt writes the same once more.
    faults.next(Operation::Commit, Fault::FailAfter(ErrorKind::Timeout));
    let progress = patients.reencrypt().everything().chunk(3).run().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.is_complete()), (6, 6, true));
    // A row that cannot even be read is found by reading the chunk's rows one by one.
    for _ in 0..2 {
        faults.next(Operation::GetMany, Fault::FailBefore(ErrorKind::DecodeFailed));
    }
    let progress = patients.reencrypt().everything().chunk(3).run().await.unwrap();
    assert_eq!((progress.done, progress.unreadable, progress.is_complete()), (5, 1, false));
    faults.next(Operation::Begin, Fault::FailBefore(ErrorKind::AccessDenied));
    assert_eq!(patients.reencrypt().everything().run().await.unwrap_err().kind(), ErrorKind::AccessDenied);
}

/// Redis comes back with the ciphertexts of the first key that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_missed_of_a_run_is_believed_by_nobody() {
    const LIMIT: Duration = Duration::from_millis(300);
    let mut server = RedisServer::start(&RedisOptions { append_only: true, ..RedisOptions::default() }).unwrap();
    let directory = TempDir::new().unwrap();
    let config = RedisConfig::from_url(&server.url()).unwrap();
    let config = config.with_read_timeout(LIMIT).with_write_timeout(LIMIT).with_dial_timeout(LIMIT);
    let open = async |keys: KeyRing| {
        let redis = RedisTier::connect_lazily(config.clone()).unwrap();
        let builder = Store::builder().near(MemTier::new()).tier(redis).tier(open_sqlite(&directory).await);
        let builder = builder.configure(|settings| settings.breaker.cool_down = Duration::from_millis(50));
        builder.schema::<Patient>().encryption(keys).build().await.unwrap()
    };
    let ids: Vec<String> = (0..8).map(|number| format!("p{number}")).collect();
    let versions = async |store: &Store, role| {
        let mut versions = Vec::new();
        for id in &ids {
            let found = patients(store).from(role).get(&**id).await.unwrap().unwrap();
            assert_eq!(found.diagnosis, patient(id).diagnosis);
            versions.push(found.version());
        }
        versions
    };
    let old = open(ring(1)).await;
    patients(&old).import(ids.iter().map(|id| patient(id))).run().await.unwrap();
    until("Redis has all of them", async || {
        let hits = old.stats().l2_hits;
        versions(&old, Role::Shared).await;
        old.stats().l2_hits - hits == 8
    })
    .await;
    let before = versions(&old, Role::Truth).await;

    let next = open(ring(2)).await;
    server.kill().unwrap();
    let progress = patients(&next).reencrypt().chunk(3).run().await.unwrap();
    assert!(progress.is_complete(), "{progress:?}");
    let after = versions(&next, Role::Truth).await;
    assert!(before.iter().zip(&after).all(|(before, after)| before < after));
    assert_eq!(versions(&next, Role::Shared).await, after);
    server.restart().unwrap();
    // One that has seen it, one that knows both keys and nothing else, and one that could not even open what Redis has.
    let alone = KeyRing::new(2, key(2)).with_index_key(key(99));
    for store in [&next, &open(ring(2)).await, &open(alone).await] {
        assert_eq!(versions(store, Role::Shared).await, after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_writes_that_would_be_rejected_keep_the_job_from_running() {
    let journal = TempDir::new().unwrap();
    let models = Encrypted { keys: ring(1), journal: Some(journal.path().join("rejects")) };
    let mut bench = Stack::MemSqlite.open_with(Duration::from_secs(120), &models).await;
    let pending = bench.of::<Behind>();
    pending.set(behind(1, "one")).await.unwrap();
    bench.store.flush().await.unwrap();
    let error = pending.reencrypt().run().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidConfig && error.to_string().contains("`on_conflict`"), "{error}");
    assert!(pending.reencrypt().progress().await.unwrap().is_complete());

    let next = bench.another_with(&LastFlushWins(Encrypted { keys: ring(2), journal: Some(journal.path().join("wins")) })).await;
    let next_pending = next.collection::<Behind>().unwrap();
    next_pending.set(behind(2, "two")).await.unwrap();
    let progress = next_pending.reencrypt().run().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.key), (2, 2, 2), "what was pending was flushed, with the new key");
    assert!(next.dead_letters().list(None, 10).await.unwrap().is_empty());
}

/// The same models, whose pending writes replace what others wrote.
struct LastFlushWins(Encrypted);

impl Models for LastFlushWins {
    fn register<N: NearTier>(&self, _: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        let journal = self.0.journal.as_ref().unwrap();
        let last_flush_wins = |options: &mut SchemaOptions<Behind>| {
            options.on_conflict(OnConflict::LastFlushWins);
        };
        builder.encryption(self.0.keys.clone()).schema_with::<Behind>(last_flush_wins).journal(journal)
    }
}

#[tokio::test]
async fn a_schema_without_encrypted_fields_or_tables_has_nothing_to_encrypt() {
    let plain = Stack::MemSqlite.open().await;
    let error = plain.of::<City>().reencrypt().run().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("no encrypted field"), "{error}");
    let badges = super::open(Stack::ModelAlone).await;
    let error = badges.of::<super::Badge>().reencrypt().run().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("`cache_only`"), "{error}");
}
