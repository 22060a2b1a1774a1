//! References and checks.

use std::time::Duration;

use strata::{Collection, ErrorKind, Freshness, Schema, Store};

use super::Truth;
use store_tests::waiting::until;

#[derive(Debug, Clone, PartialEq, Schema)]
struct Team {
    #[schema(primary_key)]
    id: i64,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(check = "level <= 100 OR name = 'root'")]
struct Player {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    id: i64,
    name: String,
    #[schema(check = "level > 0")]
    level: i64,
    #[schema(references(Team::id, on_delete = "cascade"))]
    team: i64,
    #[schema(references(Team::id, on_delete = "set_null"))]
    rival: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct Contract {
    #[schema(primary_key)]
    id: i64,
    #[schema(references(Team::id))]
    team: i64,
}

fn player(id: i64, team: i64, rival: Option<i64>) -> Player {
    Player { region: "a:b%\u{1}".to_owned(), id, name: format!("player {id}"), level: 1, team, rival }
}

fn key(id: i64) -> (String, i64) {
    ("a:b%\u{1}".to_owned(), id)
}

/// The model that refers comes before the one that it refers to.
async fn open(truth: &Truth) -> Store {
    truth.builder().await.schema::<Player>().schema::<Contract>().schema::<Team>().build().await.unwrap()
}

async fn fill(store: &Store) -> (Collection<Team>, Collection<Player>) {
    let (teams, players) = (store.collection::<Team>().unwrap(), store.collection::<Player>().unwrap());
    teams.set_many((1..=3).map(|id| Team { id, name: format!("team {id}") })).await.unwrap();
    players.set_many([player(1, 1, Some(2)), player(2, 2, Some(1)), player(3, 3, None)]).await.unwrap();
    (teams, players)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_rule_is_refused_by_its_name() {
    for truth in Truth::both().await {
        let store = open(&truth).await;
        let (teams, players) = fill(&store).await;
        let refused = players.set(player(4, 9, None)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConstraintViolation, "{refused}");
        if matches!(truth, Truth::Postgres(_)) {
            assert_eq!(refused.column(), Some("team"));
            assert!(refused.to_string().contains("player_team_fkey"), "{refused}");
        }
        let refused = players.set(Player { level: 0, ..player(4, 1, None) }).await.unwrap_err();
        assert_eq!((refused.kind(), refused.column()), (ErrorKind::ConstraintViolation, Some("level")), "{refused}");
        assert!(refused.to_string().contains("player_level_check_"), "{refused}");
        let refused = players.set(Player { level: 101, ..player(4, 1, None) }).await.unwrap_err();
        assert_eq!((refused.kind(), refused.column()), (ErrorKind::ConstraintViolation, None), "{refused}");
        assert!(refused.to_string().contains("player_check_"), "{refused}");

        let contracts = store.collection::<Contract>().unwrap();
        contracts.set(Contract { id: 1, team: 3 }).await.unwrap();
        assert_eq!(teams.delete(3).await.unwrap_err().kind(), ErrorKind::ConstraintViolation);
        assert!(teams.get(3).await.unwrap().is_some());
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deletion_takes_along_leaves_every_cache() {
    for truth in Truth::both().await {
        let (store, other) = (open(&truth).await, open(&truth).await);
        let (teams, _) = fill(&store).await;
        let both = [store.collection::<Player>().unwrap(), other.collection::<Player>().unwrap()];
        let seen = async |players: &Collection<Player>, freshness| {
            let players = players.with_freshness(freshness);
            let found = players.get_many([key(1), key(2), key(3)]).await.unwrap();
            found.iter().map(|player| player.as_ref().map(|player| player.rival)).collect::<Vec<_>>()
        };
        let now = || Freshness::Bounded(Duration::ZERO);
        for players in &both {
            assert_eq!(seen(players, now()).await, [Some(Some(2)), Some(Some(1)), Some(None)]);
        }
        let before = both[0].get_record(key(2)).await.unwrap().unwrap().version();
        assert!(teams.delete(1).await.unwrap());
        let expected = [None, Some(None), Some(None)];
        for players in &both {
            assert_eq!(seen(players, now()).await, expected);
            assert_eq!(seen(players, Freshness::Any).await, expected, "it was told, so it shows nothing older from here on");
        }
        assert!(both[0].get_record(key(2)).await.unwrap().unwrap().version() > before);

        // Nobody asks for it: the log's follower alone.
        assert!(teams.delete(2).await.unwrap());
        for players in &both {
            let kept = players.with_freshness(Freshness::Any);
            until("memory lets go of it", async || kept.get(key(2)).await.unwrap().is_none()).await;
        }
        // The record's own deletion and its next life are as ever.
        assert!(both[0].delete(key(3)).await.unwrap());
        both[0].set(player(3, 3, None)).await.unwrap();
        assert_eq!(seen(&both[1], now()).await[2], Some(None));
        store.close().await.unwrap();
        other.close().await.unwrap();
    }
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "player", table = "player")]
struct OldPlayer {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    id: i64,
    name: String,
    level: i64,
    team: i64,
    rival: Option<i64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_added_to_a_table_with_rows() {
    for truth in Truth::both().await {
        let old = truth.builder().await.schema::<OldPlayer>().build().await.unwrap();
        let row = |id, level| OldPlayer { region: String::new() + "r", id, name: String::new(), level, team: 1, rival: None };
        old.collection::<OldPlayer>().unwrap().set_many([row(1, 1), row(2, 0)]).await.unwrap();
        old.close().await.unwrap();

        let build = async || truth.builder().await.schema::<Player>().schema::<Contract>().schema::<Team>().build().await;
        if matches!(truth, Truth::Postgres(_)) {
            let migrator = truth.builder().await.schema::<Player>().schema::<Contract>().schema::<Team>().migrator().unwrap();
            let plan = migrator.plan().await.unwrap();
            let validations: Vec<_> = plan.steps.iter().filter(|step| step.sql.contains("VALIDATE CONSTRAINT")).collect();
            assert!(!validations.is_empty() && validations.iter().all(|step| !step.in_transaction), "a large table takes its time: {plan}");
            migrator.close().await.unwrap();
        }
        let refused = build().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SchemaMismatch, "{refused}");
        match &truth {
            Truth::Postgres(_) => {
                assert!(refused.to_string().contains("VALIDATE CONSTRAINT"), "{refused}");
                assert_eq!((refused.column(), refused.key()), (Some("level"), Some("r:2")), "{refused}");
                assert!(refused.to_string().contains("that with the key `r:2` for one"), "{refused}");
                let mend =
                    "UPDATE player SET level = 1; INSERT INTO team (id, name) VALUES (2, ''); UPDATE player SET team = 2 WHERE id = 2";
                truth.run(mend).await.unwrap();
                let refused = build().await.unwrap_err();
                assert_eq!((refused.kind(), refused.column()), (ErrorKind::SchemaMismatch, Some("team")), "{refused}");
                assert_eq!(refused.key(), Some("r:1"), "{refused}");
                truth
                    .run("INSERT INTO team (id, name) VALUES (1, ''); UPDATE player SET team = 1; DELETE FROM team WHERE id = 2")
                    .await
                    .unwrap();
            }
            Truth::Sqlite(_) => {
                let message = refused.to_string();
                let steps =
                    message.split_once("make a backup, then run: ").unwrap().1.split_once("; then build the store again").unwrap().0;
                truth.run("UPDATE player SET level = 1; CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT NOT NULL, _version INTEGER NOT NULL DEFAULT 0) STRICT; INSERT INTO team VALUES (1, '', 0)").await.unwrap();
                truth.run(steps).await.unwrap();
            }
        }
        let store = build().await.unwrap();
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
        assert!(store.collection::<Player>().unwrap().set(Player { region: "r".to_owned(), ..player(3, 2, None) }).await.is_err());
        assert!(store.collection::<Team>().unwrap().delete(1).await.unwrap());
        let players = store.collection::<Player>().unwrap().with_freshness(Freshness::Bounded(Duration::ZERO));
        assert_eq!(players.count(strata::Query::new()).await.unwrap(), 0);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_the_model_has_no_more_are_told_of_with_what_removes_them() {
    for truth in Truth::both().await {
        let store = open(&truth).await;
        fill(&store).await;
        store.close().await.unwrap();
        let old = truth.builder().await.schema::<OldPlayer>().schema::<Team>().build().await.unwrap();
        let plan = old.plan().await.unwrap();
        assert!(plan.is_empty(), "{plan}");
        let told: Vec<_> = plan.drift.iter().filter(|drift| drift.what.contains("which the model lacks; it is still in force")).collect();
        let names = ["reference `player_team_fkey`", "reference `player_rival_fkey`", "check `player_level_check_", "check `player_check_"];
        for name in names {
            assert!(told.iter().any(|drift| drift.what.contains(name) && !drift.is_refused), "{name}: {plan}");
        }
        assert_eq!(told.len(), names.len(), "{plan}");
        let remedy = |what: &str| what.split_once("run: ").unwrap().1.split("; then build").next().unwrap().to_owned();
        match &truth {
            Truth::Postgres(_) => {
                for drift in told {
                    truth.run(&remedy(&drift.what)).await.unwrap();
                }
            }
            // The one remedy is for all of them.
            Truth::Sqlite(_) => truth.run(&remedy(&told[0].what)).await.unwrap(),
        }
        let plan = old.plan().await.unwrap().to_string();
        assert!(!plan.contains("which the model lacks"), "{plan}");
        let players = old.collection::<OldPlayer>().unwrap();
        assert_eq!(players.count(strata::Query::new()).await.unwrap(), 3);
        old.close().await.unwrap();
    }
}

mod cascading {
    #[derive(strata::Schema)]
    pub(super) struct Contract {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(references(super::Team::id, on_delete = "cascade"))]
        pub(super) team: i64,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_row_is_not_changed_in_silence() {
    for truth in Truth::both().await {
        open(&truth).await.close().await.unwrap();
        let builder = async || truth.builder().await.schema::<cascading::Contract>().schema::<Team>();
        let migrator = builder().await.migrator().unwrap();
        let plan = migrator.plan().await.unwrap();
        assert!(plan.is_refused() && plan.steps.is_empty(), "{plan}");
        let refused = migrator.migrate().await.unwrap_err();
        migrator.close().await.unwrap();
        assert_eq!((refused.kind(), refused.schema()), (ErrorKind::SchemaMismatch, Some("contract")), "{refused}");
        let remedy = refused.to_string().split_once("run: ").unwrap().1.split("; then build").next().unwrap().to_owned();
        truth.run(&remedy).await.unwrap();
        let store = builder().await.build().await.unwrap();
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
        let (teams, contracts) = (store.collection::<Team>().unwrap(), store.collection::<cascading::Contract>().unwrap());
        teams.set(Team { id: 1, name: "a".into() }).await.unwrap();
        contracts.set(cascading::Contract { id: 1, team: 1 }).await.unwrap();
        assert!(teams.delete(1).await.unwrap());
        assert!(contracts.with_freshness(Freshness::Bounded(Duration::ZERO)).get(1).await.unwrap().is_none());
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_make_nothing_asks_for_every_trigger() {
    for truth in Truth::both().await {
        open(&truth).await.close().await.unwrap();
        let triggers = match &truth {
            Truth::Postgres(_) => ["_strata_watch_delete", "_strata_watch_row", "_strata_watch_update"].map(|name| (name, " ON player")),
            Truth::Sqlite(_) => ["team", "rival", "rival"]
                .map(|column| (if column == "team" { "_strata_follow_player_team" } else { "_strata_follow_player_rival" }, "")),
        };
        for (name, of) in triggers {
            truth.run(&format!("DROP TRIGGER {name}{of}")).await.unwrap();
            let builder = truth.builder().await.schema::<Player>().schema::<Contract>().schema::<Team>();
            let error = builder.configure(|settings| settings.create_tables = false).build().await.unwrap_err();
            assert!(error.to_string().contains(&format!("{name} on player")), "{error}");
            open(&truth).await.close().await.unwrap();
        }
    }
}

mod renamed {
    use strata::Schema;

    #[derive(Schema)]
    #[schema(table = "gate")]
    pub(super) struct Before {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(check = "lvl > 0 AND note <> ' '")]
        pub(super) lvl: i64,
        pub(super) note: String,
    }

    #[derive(Schema)]
    #[schema(table = "gate")]
    pub(super) struct After {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(check = "level > 0 AND note <> ' '")]
        pub(super) level: i64,
        pub(super) note: String,
    }

    #[derive(Schema)]
    #[schema(table = "gate")]
    pub(super) struct Otherwise {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(check = "level > 0 AND note <> ''")]
        pub(super) level: i64,
        pub(super) note: String,
    }
}

#[tokio::test]
async fn a_check_follows_the_new_name_of_its_column() {
    let truth = Truth::Sqlite(tempfile::tempdir().unwrap());
    truth.builder().await.schema::<renamed::Before>().build().await.unwrap().close().await.unwrap();
    truth.run("ALTER TABLE gate RENAME COLUMN lvl TO level").await.unwrap();
    truth.builder().await.schema::<renamed::After>().build().await.unwrap().close().await.unwrap();
    let error = truth.builder().await.schema::<renamed::Otherwise>().build().await.unwrap_err();
    assert!(error.to_string().contains("lacks the check"), "{error}");
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(partition_by(list(region), values = ["eu"]))]
struct Division {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    id: i64,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(references(columns(region, division), target(Division::region, Division::id)))]
struct Club {
    #[schema(primary_key)]
    id: i64,
    region: String,
    division: i64,
}

#[tokio::test]
async fn a_reference_to_a_divided_table_is_refused() {
    let truth = Truth::Sqlite(tempfile::tempdir().unwrap());
    let error = truth.builder().await.schema::<Division>().schema::<Club>().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("names the schema `division`, whose table is divided"), "{error}");
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct League {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(references(columns(host), target(League::id), on_delete = "cascade"))]
struct Match {
    #[schema(primary_key)]
    id: i64,
    #[schema(references(Team::id))]
    host: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_refers_to_two_models() {
    for truth in Truth::both().await {
        let store = truth.builder().await.schema::<Team>().schema::<League>().schema::<Match>().build().await.unwrap();
        assert_eq!(store.plan().await.unwrap().to_string(), "nothing to do");
        let matches = store.collection::<Match>().unwrap();
        store.collection::<Team>().unwrap().set(Team { id: 1, name: String::new() }).await.unwrap();
        assert_eq!(matches.set(Match { id: 1, host: 1 }).await.unwrap_err().kind(), ErrorKind::ConstraintViolation);
        store.collection::<League>().unwrap().set(League { id: 1 }).await.unwrap();
        matches.set(Match { id: 1, host: 1 }).await.unwrap();
        assert_eq!(store.collection::<Team>().unwrap().delete(1).await.unwrap_err().kind(), ErrorKind::ConstraintViolation);
        assert!(store.collection::<League>().unwrap().delete(1).await.unwrap());
        assert!(matches.from(strata::Role::Truth).get(1).await.unwrap().is_none());
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_refused() {
    let truth = Truth::Sqlite(tempfile::tempdir().unwrap());
    let error = truth.builder().await.schema::<Contract>().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("names the schema `team`, which the store does not have"), "{error}");
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct Vault {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, unique)]
    secret: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct Burglar {
    #[schema(primary_key)]
    id: i64,
    #[schema(references(Vault::secret))]
    knows: Vec<u8>,
}

#[tokio::test]
async fn a_reference_to_an_encrypted_column_is_refused() {
    let truth = Truth::Sqlite(tempfile::tempdir().unwrap());
    let key = strata::EncryptionKey::generate().unwrap();
    let builder = truth.builder().await.encryption(strata::KeyRing::new(1, key));
    let error = builder.schema::<Vault>().schema::<Burglar>().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("names `secret` of `vault`, which is encrypted"), "{error}");
}
