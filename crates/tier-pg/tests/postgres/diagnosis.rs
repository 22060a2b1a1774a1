//! What a server tells of itself.

use store_core::facet::Migrations;
use store_core::{Finding, MigrationSettings, Tier, Weight};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::Database;
use crate::table::account;

fn finding<'a>(findings: &'a [Finding], told: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.what.contains(told));
    found.unwrap_or_else(|| panic!("nothing says `{told}`: {findings:?}"))
}

#[tokio::test]
async fn rights_are_told_with_what_mends_them() {
    let database = Database::create().await;
    let findings = database.tier().await.diagnose().await;
    assert_eq!(finding(&findings, "PostgreSQL ").weight, Weight::Fine);
    assert_eq!(finding(&findings, "may create tables in the schema `public`").weight, Weight::Fine);
    finding(&findings, "a round trip takes");
    finding(&findings, "apart");
    finding(&findings, "extension vector");

    let (client, user) = (database.client().await, format!("u_{}", database.name()));
    client.batch_execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'; REVOKE CREATE ON SCHEMA public FROM public")).await.unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&database.url_as(&user, "x")).unwrap()).await.unwrap();
    let findings = tier.diagnose().await;
    let right = finding(&findings, "may not create tables");
    assert_eq!(right.weight, Weight::Notice);
    assert!(
        right.remedy.as_ref().is_some_and(|remedy| remedy.contains(&format!("GRANT CREATE ON SCHEMA \"public\" TO \"{user}\""))),
        "{right:?}"
    );
    finding(&findings, "may read and write the tables that are there");

    database.tier().await.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    client
        .batch_execute(&format!("GRANT SELECT, INSERT ON account TO {user}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}"))
        .await
        .unwrap();
    let findings = tier.diagnose().await;
    let right = finding(&findings, "lacks rights on the table `public.account`: UPDATE, DELETE");
    assert_eq!(right.weight, Weight::Problem);
    assert_eq!(right.remedy.as_deref(), Some(format!("GRANT UPDATE, DELETE ON TABLE public.account TO \"{user}\"").as_str()));
    finding(&findings, "lacks rights on the table `public._strata_log`: SELECT, INSERT, UPDATE, DELETE");
    assert!(!findings.iter().any(|finding| finding.what.contains("_strata_version")), "{findings:?}");
    client
        .batch_execute(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}; REVOKE ALL ON _strata_version FROM {user}"))
        .await
        .unwrap();
    finding(&tier.diagnose().await, "lacks rights on the sequence `public._strata_version`: USAGE");
    client.batch_execute(&format!("DROP OWNED BY {user}")).await.unwrap();

    tier.close().await.unwrap();
    client.batch_execute(&format!("DROP ROLE {user}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_a_standby_is_a_problem() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let standby = server.start_replica().unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&standby.url()).unwrap()).await.unwrap();
    assert_eq!(finding(&tier.diagnose().await, "is a standby").weight, Weight::Problem);

    let mut away = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let config =
        [&standby, &away].into_iter().fold(PgConfig::from_url(&server.url()), |config, replica| config?.with_read_replica(&replica.url()));
    away.kill().unwrap();
    let tier = PgTier::connect(config.unwrap()).await.unwrap();
    let findings = tier.diagnose().await;
    assert_eq!(finding(&findings, &format!(":{} answers", standby.port())).weight, Weight::Fine);
    assert_eq!(finding(&findings, &format!(":{} is given no reads", away.port())).weight, Weight::Problem);

    let tier = PgTier::connect(PgConfig::from_url(&server.url()).unwrap()).await.unwrap();
    server.kill().unwrap();
    let findings = tier.diagnose().await;
    assert!(matches!(&findings[..], [only] if only.weight == Weight::Problem && only.remedy.is_some()), "{findings:?}");
}
