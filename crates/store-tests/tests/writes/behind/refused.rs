//! What PostgreSQL refuses in ways of its own: at the commit, by a policy, or with a code that somebody made up.

use std::time::Duration;

use strata::{Acknowledge, ErrorKind, WriteBehind};

use super::letters::Told;
use super::{Bench, Truth, acknowledged_by, players, truth, unhurried};
use store_tests::models::{Player, player};
use store_tests::stacks::postgres::Database;

/// Refuses players of some levels, each in its own way.
const RULES: &str = "
    CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN
            IF NEW.level = 901 THEN RAISE EXCEPTION USING ERRCODE = ''23514'', MESSAGE = ''at the commit''; END IF;
            IF NEW.level = 902 THEN RAISE EXCEPTION USING ERRCODE = ''XY001'', MESSAGE = ''at the commit''; END IF;
            RETURN NULL;
        END';
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON player DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE FUNCTION refuse_at_once() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN
            IF NEW.level = 903 THEN RAISE EXCEPTION USING ERRCODE = ''XY001'', MESSAGE = ''made up''; END IF;
            IF NEW.level = 904 THEN RAISE EXCEPTION USING ERRCODE = ''42501'', MESSAGE = ''denied''; END IF;
            RETURN NEW;
        END';
    CREATE TRIGGER refuse_at_once BEFORE INSERT OR UPDATE ON player FOR EACH ROW EXECUTE FUNCTION refuse_at_once();
    ALTER TABLE player ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY low ON player USING (true) WITH CHECK (level <> 905);";

fn server(bench: &Bench) -> &Database {
    match &bench.truth {
        Truth::Postgres(database) => database,
        Truth::Sqlite(_) => unreachable!("it is PostgreSQL"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_in_any_way_harms_no_other() {
    let bench = Bench::postgres().await;
    bench.open("tables").await.close().await.unwrap();
    let database = server(&bench);
    let url = database.url();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    // A superuser passes by all policies.
    let user = format!("u_{name}");
    let rights = format!(
        "{RULES} CREATE ROLE {user}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user};
         ALTER DATABASE {name} SET role = '{user}'"
    );
    database.run(&rights).await;

    for levels in [vec![901], vec![902], vec![903], vec![904], vec![905], (901..=905).collect()] {
        let (told, journal) = (Told::default(), format!("{levels:?}"));
        let hooks = told.clone();
        let store = bench.try_open(&journal, |builder| builder.schema_with::<Player>(|options| _ = options.hooks(hooks))).await.0.unwrap();
        let good: Vec<String> = (0..10).map(|number| format!("{number} of {journal}")).collect();
        players(&store).set_many(good.iter().map(|id| player(id, 1))).await.unwrap();
        let bad = levels.iter().map(|level| player(&format!("{level} of {journal}"), *level));
        players(&store).set_many(bad.clone()).await.unwrap();
        players(&store).set(player(&format!("last of {journal}"), 1)).await.unwrap();
        store.flush().await.unwrap();
        assert_eq!(store.stats().dirty_entries, 0);
        for id in good.iter().chain([&format!("last of {journal}")]) {
            assert_eq!(truth(&store, id).await, Some(1), "{id}");
        }
        let mut refused: Vec<String> = told.0.lock().unwrap().iter().map(|(id, kind)| format!("{id}: {kind:?}")).collect();
        refused.sort();
        assert_eq!(refused, bad.map(|player| format!("{}: {:?}", player.id, ErrorKind::ConstraintViolation)).collect::<Vec<_>>());
        let letters = store.dead_letters().list(None, 10).await.unwrap();
        assert_eq!(letters.len(), levels.len());
        for letter in letters {
            assert!(!letter.error.contains("grant the permission"), "{}", letter.error);
            assert!(store.dead_letters().remove(&letter).await.unwrap());
        }
    }

    let hasty = WriteBehind { flush_interval: Duration::from_millis(1), ..unhurried() };
    let (store, _) = bench.open_with("waits", |builder| acknowledged_by(Acknowledge::Truth)(builder.write_behind(hasty))).await;
    let (waiting, refused) = (players(&store), players(&store));
    let (stored, refused) = tokio::join!(waiting.set(player("stored", 1)), refused.set(player("refused", 901)));
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind(), refused.key()), (ErrorKind::ConstraintViolation, Some("refused")), "{refused}");
    assert!(!stored.unwrap().is_pending());
    database.run(&format!("SET ROLE NONE; ALTER DATABASE {name} RESET role; DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

/// Where each record is checked for itself, those that refer to one another find each other all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_refers_to_a_later_write_is_stored_beside_what_a_commit_refuses() {
    let bench = Bench::postgres().await;
    let store = bench.open("a").await;
    let refers = "ALTER TABLE player ADD FOREIGN KEY (region) REFERENCES player (id) DEFERRABLE INITIALLY DEFERRED";
    server(&bench).run(refers).await;
    let of = |id: &str, region: Option<&str>| Player { region: region.map(str::to_owned), ..player(id, 1) };
    let rows = [of("a", Some("d")), of("b", Some("nobody")), of("c", Some("a")), of("d", None)];
    players(&store).set_many(rows).await.unwrap();
    store.flush().await.unwrap();
    let found = [truth(&store, "a").await, truth(&store, "b").await, truth(&store, "c").await, truth(&store, "d").await];
    assert_eq!(found, [Some(1), None, Some(1), Some(1)]);
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.key.as_str()).collect::<Vec<_>>(), ["b"]);
}
