//! What can be asked of encrypted fields, and what cannot.

use strata::{Collection, ErrorKind, Filter, Freshness, Order, Projection, Query, Role, Value, params};

use super::{Patient, on_encrypted, patient, secret};
use store_tests::stacks::{Bench, Stack};

#[derive(Debug, PartialEq, Projection)]
#[projection(of = Patient)]
struct Contact {
    email: String,
    #[projection(column = "diagnosis")]
    complaint: Option<String>,
}

async fn filled(bench: &Bench) -> Collection<Patient> {
    let patients = bench.of::<Patient>();
    let ward = |id: &str, ward: i64| Patient { ward, code: (ward != 2).then_some(ward), ..patient(id) };
    patients.set_many([ward("a", 1), ward("b", 2), ward("c", 3), ward("d", 3)]).await.unwrap();
    patients
}

async fn ids(patients: &Collection<Patient>, query: impl Into<Query<Patient>>) -> Vec<String> {
    let query = query.into();
    let found: Vec<String> = patients.search(query.clone()).await.unwrap().iter().map(|patient| patient.id.clone()).collect();
    let below = patients.from(Role::Truth).search(query.clone()).await.unwrap();
    assert_eq!(found, below.iter().map(|patient| patient.id.clone()).collect::<Vec<_>>());
    // A count knows no limit.
    assert!(patients.count(query.clone()).await.unwrap() >= found.len() as u64);
    for _ in 0..2 {
        let cached = patients.search_cached(&query).await.unwrap();
        assert_eq!(found, cached.iter().map(|patient| patient.id.clone()).collect::<Vec<_>>());
    }
    found
}

async fn equal_values_are_found(bench: &mut Bench) {
    let patients = filled(bench).await;
    let email = |id| secret("email", id);
    for (filter, expected) in [
        (Patient::email().eq(email("b")), &["b"][..]),
        (Patient::email().eq("nobody"), &[]),
        (Patient::email().one_of([email("a"), email("d"), email("x")]), &["a", "d"]),
        (Patient::email().one_of([""; 0]), &[]),
        (Patient::code().eq(3), &["c", "d"]),
        (Patient::code().ne(3), &["a"]),
        (Patient::code().is_null(), &["b"]),
        (Patient::diagnosis().is_not_null(), &["a", "b", "c", "d"]),
        (!Patient::code().eq(3), &["a"]),
        (Patient::code().eq(1).or(Patient::email().eq(email("b")).and(Patient::ward().lt(9))), &["a", "b"]),
        (Patient::born_at().eq(patient("a").born_at).and(Patient::ward().eq(3)), &["c", "d"]),
    ] {
        assert_eq!(ids(&patients, filter.clone()).await, expected, "{filter:?}");
    }
    let ordered = Query::from(Patient::code().one_of([1, 3])).order_by(Patient::ward().desc()).limit(2);
    assert_eq!(ids(&patients, ordered.clone()).await, ["d", "c"]);
    let page = patients.page(ordered).await.unwrap();
    let next = Query::from(Patient::code().one_of([1, 3])).order_by(Patient::ward().desc()).limit(2).after(page.next.unwrap());
    assert_eq!(ids(&patients, next).await, ["a"]);

    let contact = |id| Contact { email: email(id), complaint: Some(secret("diagnosis", id)) };
    let query = || Query::from(Patient::code().eq(3));
    assert_eq!(patients.select_as::<Contact>(query()).await.unwrap(), [contact("c"), contact("d")]);
    for _ in 0..2 {
        assert_eq!(patients.select_as_cached::<Contact>(&query()).await.unwrap(), [contact("c"), contact("d")]);
    }
    let chosen = patients.select(query(), (Patient::weight(), Patient::is_private(), Patient::code(), Patient::scan())).await.unwrap();
    assert_eq!(chosen[1], (72.25, true, Some(3), patient("d").scan));

    let mut streamed = patients.stream(query()).unwrap();
    let first = std::future::poll_fn(|context| streamed.as_mut().poll_next(context)).await.unwrap().unwrap();
    assert_eq!(first.visits, patient("c").visits);
    bench
        .store
        .transaction(async |tx| {
            assert_eq!(tx.search(query()).await?.len(), 2);
            assert_eq!(tx.count(query()).await?, 2);
            assert_eq!(tx.update_where::<Patient>(query(), Patient::ward().set(30)).await?.len(), 2);
            assert_eq!(tx.delete_where::<Patient>(Patient::email().eq(secret("email", "d"))).await?, ["d"]);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(patients.delete_where(Patient::code().eq(1)).await.unwrap(), ["a"]);
    assert_eq!(ids(&patients, Query::new()).await, ["b", "c"]);
}

async fn what_a_write_changes_is_found_at_once(bench: &mut Bench) {
    let patients = filled(bench).await;
    let (old, new) = (Patient::email().eq(secret("email", "a")), Patient::email().eq("new@example.org"));
    assert_eq!((ids(&patients, old.clone()).await.len(), ids(&patients, new.clone()).await.len()), (1, 0));
    patients.patch("a", Patient::email().set("new@example.org")).await.unwrap().unwrap();
    assert_eq!((ids(&patients, old.clone()).await.len(), ids(&patients, new.clone()).await.len()), (0, 1));
    assert_eq!(patients.get("a").await.unwrap().unwrap().email, "new@example.org");
    patients.update("a", |patient| patient.email = secret("email", "a")).await.unwrap();
    assert_eq!((ids(&patients, old).await.len(), ids(&patients, new).await.len()), (1, 0));
    // A write that leaves a field alone leaves its ciphertext and its blind index alone.
    patients.patch("a", Patient::code().set(None)).await.unwrap().unwrap();
    assert_eq!(ids(&patients, Patient::code().is_null()).await, ["a", "b"]);
    patients.set(Patient { notes: strata::Deferred::NotLoaded, remark: strata::Deferred::NotLoaded, ..patient("a") }).await.unwrap();
    let whole = patients.from(Role::Truth).get("a").await.unwrap().unwrap();
    assert_eq!((&whole.notes, &whole.remark), (&patient("a").notes, &patient("a").remark));
    let strong = patients.with_freshness(Freshness::Strong).get("a").await.unwrap().unwrap();
    assert_eq!(strong.diagnosis, patient("a").diagnosis);
}

async fn equal_values_of_a_unique_field_are_refused(bench: &mut Bench) {
    let patients = filled(bench).await;
    let twice = Patient { email: secret("email", "a"), ..patient("e") };
    let error = patients.set(twice.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::UniqueViolation, Some("email")), "{error}");
    assert!(!format!("{error} {error:?}").contains("the-secret"), "{error:?}");
    let error = bench.store.transaction(async |tx| tx.set(twice.clone()).await.map(drop)).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::UniqueViolation, Some("email")), "{error}");
    let error = patients.set_many([patient("f"), twice]).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::UniqueViolation, Some("email")), "{error}");
    // NULL is unlike any other.
    patients.set_many([Patient { code: None, ..patient("g") }, Patient { code: None, ..patient("h") }]).await.unwrap();
}

async fn whatever_needs_the_plain_value_is_refused(bench: &mut Bench) {
    let patients = filled(bench).await;
    let refused = |error: strata::Error, column: &str, told: &str| {
        assert_eq!((error.kind(), error.schema()), (ErrorKind::InvalidQuery, Some("patient")), "{error}");
        assert!(error.to_string().contains(told) && error.to_string().contains(column), "{error}");
        assert!(!format!("{error} {error:?}").contains("the-secret"), "{error:?}");
    };
    let operand = || secret("email", "a");
    for (column, filter) in [
        ("email", Patient::email().lt(operand())),
        ("email", Patient::email().like("%the-secret%")),
        ("code", Patient::code().between(1, 2)),
        ("diagnosis", Patient::diagnosis().eq(operand())),
        ("weight", Patient::weight().ge(1.0)),
        ("born_at", !Patient::born_at().gt(patient("a").born_at)),
    ] {
        let query = Query::from(filter.clone());
        refused(patients.search(query.clone()).await.unwrap_err(), column, "is encrypted");
        refused(patients.search_cached(&query).await.unwrap_err(), column, "is encrypted");
        refused(patients.count(query.clone()).await.unwrap_err(), column, "is encrypted");
        refused(patients.select(query.clone(), Patient::ward()).await.unwrap_err(), column, "is encrypted");
        refused(patients.select_cached(&query, Patient::ward()).await.unwrap_err(), column, "is encrypted");
        refused(patients.stream(query.clone()).err().unwrap(), column, "is encrypted");
        refused(patients.delete_where(filter.clone()).await.unwrap_err(), column, "is encrypted");
        refused(patients.update_where(filter.clone(), Patient::ward().set(1)).await.unwrap_err(), column, "is encrypted");
        refused(bench.store.transaction(async |tx| tx.search(query.clone()).await).await.unwrap_err(), column, "is encrypted");
        refused(bench.store.transaction(async |tx| tx.count(query.clone()).await).await.unwrap_err(), column, "is encrypted");
        refused(query.to_sql(strata::sql::Dialect::Postgres).unwrap_err(), column, "is encrypted");
    }
    refused(
        Query::<Patient>::from(Patient::email().eq(operand())).to_sql(strata::sql::Dialect::Sqlite).unwrap_err(),
        "email",
        "is encrypted",
    );
    for order in [Order::from(Patient::email()), Patient::diagnosis().desc(), Order::from("email_blind")] {
        refused(
            patients.search(Query::new().order_by(order.clone())).await.unwrap_err(),
            "",
            "is encrypted, so the database cannot order by it",
        );
        refused(patients.search_cached(&Query::new().order_by(order)).await.unwrap_err(), "", "cannot order by it");
    }
    let everybody = || Query::from(Filter::All(vec![]));
    let changes = [Patient::ward().set(9), Patient::diagnosis().set("the-secret")];
    refused(patients.update_where(everybody(), changes).await.unwrap_err(), "diagnosis", "change each record with `update` or `patch`");
    let changes = || Patient::email().set("the-secret");
    let within = bench.store.transaction(async |tx| tx.update_where::<Patient>(everybody(), changes()).await);
    refused(within.await.unwrap_err(), "email", "`update` or `patch`");
    assert_eq!(patients.count(Patient::ward().eq(9).into()).await.unwrap(), 0);

    // SQL of the program's own sees what is stored.
    assert_eq!(ids(&patients, Query::new().where_sql("code IS NULL", params![])).await, ["b"]);
    let plain = Query::new().where_sql("email = $1", vec![Value::Bytes(operand().into_bytes().into())]);
    assert!(ids(&patients, plain).await.is_empty());
}

on_encrypted!(
    equal_values_are_found,
    what_a_write_changes_is_found_at_once,
    equal_values_of_a_unique_field_are_refused,
    whatever_needs_the_plain_value_is_refused,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_index_that_was_put_to_another_record_finds_nothing() {
    let bench = super::open(Stack::MemSqlite).await;
    let patients = filled(&bench).await;
    bench.run_on_sqlite("CREATE TABLE kept AS SELECT email_blind FROM patient WHERE id = 'a'");
    bench.run_on_sqlite("UPDATE patient SET email_blind = NULL WHERE id = 'a'");
    bench.run_on_sqlite("UPDATE patient SET email_blind = (SELECT email_blind FROM kept) WHERE id = 'b'");
    patients.invalidate_all().await.unwrap();
    let email = Patient::email().eq(secret("email", "a"));
    assert_eq!(patients.count(email.clone().into()).await.unwrap(), 1, "the index says so");
    for filter in [email.clone(), Patient::email().one_of([secret("email", "a")]), email.clone().and(Patient::ward().gt(0))] {
        assert!(ids(&patients, filter.clone()).await.is_empty());
        let query = Query::from(filter);
        assert!(patients.select(query.clone(), Patient::email()).await.unwrap().is_empty());
        assert!(patients.page(query.limit(5)).await.unwrap().records.is_empty());
    }
    let found = bench.store.transaction(async |tx| tx.search(Query::<Patient>::from(email.clone())).await).await.unwrap();
    assert!(found.is_empty());
    // What holds for another reason is found.
    assert_eq!(ids(&patients, email.or(Patient::ward().eq(2))).await, ["b"]);
}

#[test]
fn what_is_asked_for_is_not_shown() {
    let secret = secret("email", "a");
    let filter = Patient::email()
        .eq(&*secret)
        .or(!Patient::email().one_of([&*secret]))
        .or(Filter::Raw { sql: "email = $1".to_owned(), params: vec![secret.clone().into()] });
    let shown = format!("{filter:?} {:?}", Query::<Patient>::from(filter.clone()));
    assert!(shown.contains("email") && !shown.contains("the-secret"), "{shown}");
}
