//! Another key takes the place of the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strata::{Collection, ErrorKind, KeyRing, Query, Role};

use super::super::models::City;
use super::super::stacks::{Bench, Stack};
use super::{Encrypted, Patient, key, on_encrypted, patient, patients, ring, secret};

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

on_encrypted!(records_are_encrypted_with_the_new_key, a_run_that_was_interrupted_goes_on_where_it_was, no_write_that_comes_between_is_lost);

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

#[tokio::test]
async fn a_schema_without_encrypted_fields_or_tables_has_nothing_to_encrypt() {
    let plain = Stack::MemSqlite.open().await;
    let error = plain.of::<City>().reencrypt().run().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("no encrypted field"), "{error}");
    let badges = super::open(Stack::ModelAlone).await;
    let error = badges.of::<super::Badge>().reencrypt().run().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("`cache_only`"), "{error}");
}
