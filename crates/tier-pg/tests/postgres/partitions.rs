//! Moving rows out of the default partition, when theirs is made.

use std::sync::{Arc, LazyLock};

use store_core::facet::Migrations;
use store_core::{
    BoundSchema, ColumnDefinition, ColumnType, DefaultValue, ErrorKind, MigrationSettings, PartitionDefinition, Partitioning, Policies,
    SchemaDefinition, Tier,
};
use tier_pg::{PgConfig, PgTier};

use crate::database::Database;

fn sale() -> Arc<BoundSchema> {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let key = |name, column_type| ColumnDefinition { is_key: true, ..ColumnDefinition::new(name, column_type) };
        let columns = vec![key("region", ColumnType::Text), key("id", ColumnType::BigInt)];
        let partitioning = Partitioning::List { values: vec![DefaultValue::Text("eu")] };
        SchemaDefinition::new("sale", columns, vec![], Policies::default())
            .with_partition(PartitionDefinition { column: "region", partitioning })
    });
    Arc::new(BoundSchema::standalone(&DEFINITION))
}

/// A row waits in the default partition for one that is not made yet, and triggers of each kind look on.
const WAITING: &str = "
    DROP TABLE sale_is_eu;
    CREATE TABLE heard (what TEXT);
    CREATE FUNCTION hear() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN INSERT INTO heard VALUES (TG_NAME || ' ' || TG_OP); RETURN NULL; END $$;
    INSERT INTO sale (region, id) VALUES ('eu', 1), ('us', 2);
    CREATE TRIGGER keep BEFORE DELETE ON sale FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE TRIGGER follow AFTER INSERT OR DELETE ON sale FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE TRIGGER whole AFTER INSERT OR DELETE ON sale_default FOR EACH STATEMENT EXECUTE FUNCTION hear();
    CREATE TRIGGER off AFTER DELETE ON sale_default FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE TRIGGER always AFTER DELETE ON sale_default FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE TRIGGER replica AFTER DELETE ON sale_default FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE CONSTRAINT TRIGGER late AFTER DELETE ON sale_default DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hear();
    ALTER TABLE sale_default DISABLE TRIGGER off, ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica;";

#[tokio::test]
async fn no_trigger_takes_a_move_for_a_deletion() {
    for only_partitions in [false, true] {
        let database = Database::create().await;
        let tier = database.tier().await;
        let settings = MigrationSettings::default();
        tier.migrate(&[sale()], &settings).await.unwrap();
        let client = database.client().await;
        client.batch_execute(WAITING).await.unwrap();
        const STATES: &str =
            "SELECT string_agg(tgname || tgenabled::TEXT, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'sale_default'::REGCLASS";
        let states: String = client.query_one(STATES, &[]).await.unwrap().get(0);
        let report = match only_partitions {
            true => tier.make_partitions(&[sale()], &settings).await.unwrap(),
            false => tier.migrate(&[sale()], &settings).await.unwrap(),
        };
        assert_eq!(report.applied.len(), 1, "{report:?}");
        const FOUND: &str = "SELECT string_agg(tableoid::REGCLASS || ' ' || id, ', ' ORDER BY id), (SELECT count(*) FROM heard) FROM sale";
        let found = client.query_one(FOUND, &[]).await.unwrap();
        assert_eq!((found.get(0), found.get(1)), ("sale_is_eu 1, sale_default 2", 0_i64));
        let after: String = client.query_one(STATES, &[]).await.unwrap().get(0);
        assert_eq!(after, states);
        assert!(["alwaysA", "followO", "keepO", "lateO", "offD", "replicaR"].iter().all(|state| states.contains(state)), "{states}");
        client.batch_execute("INSERT INTO sale (region, id) VALUES ('eu', 3)").await.unwrap();
        let heard: String = client.query_one("SELECT string_agg(what, ', ') FROM heard", &[]).await.unwrap().get(0);
        assert_eq!(heard, "follow INSERT", "the new partition has the table's triggers");
    }
}

/// Who has the table, and not its default partition, may not end that one's triggers.
#[tokio::test]
async fn a_user_who_may_not_move_rows_is_told() {
    let database = Database::create().await;
    let owner = database.tier().await;
    owner.migrate(&[sale()], &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    let user = format!("u_{}", database.name());
    let grant = format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO {user}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user};
         ALTER TABLE sale OWNER TO {user}"
    );
    client.batch_execute(&format!("{WAITING} {grant}")).await.unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&database.url_as(&user, "x")).unwrap()).await.unwrap();
    let error = tier.migrate(&[sale()], &MigrationSettings::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    let (said, sql) = error.to_string().split_once("have one who may run: ").map(|(said, sql)| (said.to_owned(), sql.to_owned())).unwrap();
    assert!(said.contains("this user may not make the partition `sale_is_eu`"), "{said}");
    client.batch_execute(&format!("BEGIN; {sql}; COMMIT")).await.unwrap();
    assert!(tier.migrate(&[sale()], &MigrationSettings::default()).await.unwrap().applied.is_empty());
    let heard: i64 = client.query_one("SELECT count(*) FROM heard", &[]).await.unwrap().get(0);
    assert_eq!(heard, 0);
    tier.close().await.unwrap();
    client.batch_execute(&format!("REASSIGN OWNED BY {user} TO CURRENT_USER; DROP OWNED BY {user}; DROP ROLE {user}")).await.unwrap();
}

/// A reference to the default partition alone would take a move for a deletion, too.
#[tokio::test]
async fn rows_that_something_refers_to_stay() {
    for target in ["sale", "sale_default"] {
        let database = Database::create().await;
        let tier = database.tier().await;
        tier.migrate(&[sale()], &MigrationSettings::default()).await.unwrap();
        let client = database.client().await;
        let refer = format!(
            "CREATE TABLE child (region TEXT, id BIGINT, FOREIGN KEY (region, id) REFERENCES {target} (region, id) ON DELETE CASCADE);
             INSERT INTO child VALUES ('eu', 1)"
        );
        client.batch_execute(&format!("{WAITING} {refer}")).await.unwrap();
        let report = tier.migrate(&[sale()], &MigrationSettings::default()).await.unwrap();
        assert!(report.applied.is_empty() && report.drift.iter().any(|drift| drift.what.contains("`child`")), "{target}: {report:?}");
        assert_eq!(client.query_one("SELECT count(*) FROM child", &[]).await.unwrap().get::<_, i64>(0), 1);
    }
}

/// A partition of a hash that was detached still has its name.
#[tokio::test]
async fn a_partition_whose_name_is_taken_is_not_advised() {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let id = ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::BigInt) };
        SchemaDefinition::new("ha", vec![id], vec![], Policies::default())
            .with_partition(PartitionDefinition { column: "id", partitioning: Partitioning::Hash { partitions: 2 } })
    });
    let schema = Arc::new(BoundSchema::standalone(&DEFINITION));
    let database = Database::create().await;
    let tier = database.tier().await;
    let settings = MigrationSettings::default();
    tier.migrate(std::slice::from_ref(&schema), &settings).await.unwrap();
    let client = database.client().await;
    client.batch_execute("ALTER TABLE ha DETACH PARTITION ha_hash0").await.unwrap();
    let error = tier.migrate(std::slice::from_ref(&schema), &settings).await.unwrap_err();
    assert!(error.to_string().contains("something else has the name `ha_hash0`; give that another name"), "{error}");
    client.batch_execute("ALTER TABLE ha_hash0 RENAME TO ha_before").await.unwrap();
    let told = tier.migrate(std::slice::from_ref(&schema), &settings).await.unwrap_err().to_string();
    client.batch_execute(told.split_once("run: ").unwrap().1).await.unwrap();
    assert!(tier.migrate(&[schema], &settings).await.unwrap().applied.is_empty());
}
