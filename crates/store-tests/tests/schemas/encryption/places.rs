//! What becomes of ciphertexts that somebody changes or moves where they are stored.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use strata::facet::NearTier;
use strata::{EncryptionKey, ErrorKind, KeyRing, Query, Role, Schema, StoreBuilder};

use super::{Encrypted, Patient, patient, patients, ring};
use store_tests::stacks::{Bench, FaultyBench, Models, Stack};
use store_tests::waiting::until;

/// Runs a statement past the store.
async fn run(bench: &Bench, statement: &str) {
    match bench.stack {
        Stack::MemRedisPostgres => bench.postgres().run(statement).await,
        _ => bench.run_on_sqlite(statement),
    }
}

async fn assert_refused(bench: &mut Bench, keys: KeyRing, id: &str, column: &str) {
    let store = bench.another_with(&Encrypted::new(keys)).await;
    let patients = patients(&store);
    let ward = Query::from(Patient::ward().eq(7));
    let reads = [
        patients.from(Role::Truth).get(id).await.err(),
        patients.from(Role::Truth).search(ward.clone()).await.err(),
        patients.select(ward.clone(), (Patient::email(), Patient::diagnosis())).await.err(),
        patients.select_cached(&ward, (Patient::email(), Patient::diagnosis())).await.err(),
        store.transaction(async |tx| tx.get::<Patient>(id).await).await.err(),
        patients.update(id, |patient| patient.ward += 1).await.err(),
    ];
    for (position, error) in reads.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("read {position} of `{column}` was answered"));
        assert_eq!(
            (error.kind(), error.schema(), error.column()),
            (ErrorKind::DecodeFailed, Some("patient"), Some(column)),
            "{position}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains("the-secret"), "{error:?}");
    }
    store.close().await.unwrap();
}

async fn a_value_is_good_in_its_own_place_alone(stack: Stack) {
    let mut bench = super::open(stack).await;
    patients(&bench.store).set_many([patient("a"), patient("b")]).await.unwrap();
    bench.store.close().await.unwrap();
    let sqlite = stack != Stack::MemRedisPostgres;
    let (empty, flip) = match sqlite {
        true => ("x''", "zeroblob(length(email))"),
        false => ("'\\x'", "set_byte(email, 30, (get_byte(email, 30) + 1) % 256)"),
    };
    for (change, column) in [
        ("email = (SELECT email FROM patient WHERE id = 'b')".to_owned(), "email"),
        ("email = diagnosis".to_owned(), "email"),
        ("diagnosis = email".to_owned(), "diagnosis"),
        (format!("diagnosis = {empty}"), "diagnosis"),
        ("email = substr(email, 1, 20)".to_owned(), "email"),
        (format!("email = {flip}"), "email"),
    ] {
        run(&bench, "CREATE TABLE kept AS SELECT id, email, diagnosis FROM patient").await;
        run(&bench, &format!("UPDATE patient SET {change} WHERE id = 'a'")).await;
        assert_refused(&mut bench, ring(1), "a", column).await;
        let kept = |column| format!("{column} = (SELECT {column} FROM kept WHERE kept.id = patient.id)");
        run(&bench, &format!("UPDATE patient SET {}, {}", kept("email"), kept("diagnosis"))).await;
        run(&bench, "DROP TABLE kept").await;
    }
    let wrong = KeyRing::new(1, EncryptionKey::generate().unwrap()).with_index_key(EncryptionKey::generate().unwrap());
    assert_refused(&mut bench, wrong, "a", "email").await;
    let other_number = KeyRing::new(2, EncryptionKey::generate().unwrap()).with_index_key(EncryptionKey::generate().unwrap());
    assert_refused(&mut bench, other_number, "a", "email").await;
    let whole = bench.another_with(&Encrypted::new(ring(1))).await;
    assert_eq!(patients(&whole).from(Role::Truth).get("a").await.unwrap().unwrap().visits, patient("a").visits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_good_in_its_own_place_alone_on_sqlite() {
    a_value_is_good_in_its_own_place_alone(Stack::MemSqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_good_in_its_own_place_alone_on_postgres() {
    a_value_is_good_in_its_own_place_alone(Stack::MemRedisPostgres).await;
}

/// A name that only one build knows, or a number that only one build takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Old {
    TheSecretName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum New {
    Other,
}

/// One model alone.
struct Alone<T>(PhantomData<T>);

macro_rules! note {
    ($note:ident, $kind:ty, $number:ty) => {
        #[derive(Debug, Clone, PartialEq, Schema)]
        #[schema(name = "note")]
        struct $note {
            #[schema(primary_key)]
            id: i64,
            #[schema(encrypted)]
            kind: Option<$kind>,
            #[schema(encrypted)]
            number: $number,
        }

        impl Models for Alone<$note> {
            fn register<N: NearTier>(&self, _: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
                builder.schema::<$note>().encryption(ring(1))
            }
        }
    };
}
note!(OldNote, Old, i64);
note!(NewNote, New, u8);

#[tokio::test]
async fn what_does_not_fit_the_field_any_more_is_told_without_the_content() {
    let day = std::time::Duration::from_secs(24 * 3_600);
    let mut bench = Stack::MemSqlite.open_with(day, &Alone(PhantomData::<OldNote>)).await;
    let notes = [OldNote { id: 1, kind: Some(Old::TheSecretName), number: 7 }, OldNote { id: 2, kind: None, number: 4_711 }];
    bench.of::<OldNote>().set_many(notes).await.unwrap();
    let next = bench.another_with(&Alone(PhantomData::<NewNote>)).await;
    let notes = next.collection::<NewNote>().unwrap();
    let kinds = notes.select(Query::new(), NewNote::kind()).await.unwrap_err();
    for (error, column) in [
        (notes.get(1).await.unwrap_err(), "kind"),
        (notes.search(Query::new()).await.unwrap_err(), "kind"),
        (kinds, "kind"),
        (notes.get(2).await.unwrap_err(), "number"),
    ] {
        assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some(column)), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("TheSecret") && !shown.contains("4711"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verifier_compares_what_is_decrypted() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema::<Patient>().encryption(ring(1)).configure(|settings| {
            settings.verify = 1.0;
            settings.freshness = std::time::Duration::from_millis(40);
        })
    });
    let bench = bench.await;
    let patients = bench.of::<Patient>();
    until("twenty copies were checked", async || {
        for id in ["a", "b"] {
            patients.set(patient(id)).await.unwrap();
            patients.get(id).await.unwrap();
            patients.from(Role::Shared).get(id).await.unwrap();
        }
        bench.store.verification().checked >= 20
    })
    .await;
    assert_eq!(bench.store.verification().inconsistent, 0, "{:?}", bench.store.verification().recent);
}
