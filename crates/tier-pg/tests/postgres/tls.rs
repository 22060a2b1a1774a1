//! Encryption: each mode against servers that can, cannot and must encrypt.

use std::path::Path;

use store_core::{ErrorKind, Tier};
use store_testkit::servers::{PostgresOptions, PostgresServer, TlsFiles};
use tier_pg::{PgConfig, PgTier, SslMode};

use crate::database::wait_until;

/// Whether the tier's connection is encrypted, as the server says; the kind of the error if there is none.
async fn dial(config: PgConfig) -> Result<bool, ErrorKind> {
    let tier = PgTier::connect(config).await.map_err(|error| {
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        error.kind()
    })?;
    let schema = crate::table::account();
    store_core::facet::Migrations::migrate(&tier, std::slice::from_ref(&schema), &store_core::MigrationSettings::default()).await.unwrap();
    let filter = crate::table::raw("(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())", vec![]);
    crate::table::put(&tier, crate::table::row(1)).await.unwrap();
    let count = store_core::facet::Count { filter: Some(filter), preference: store_core::facet::ReadPreference::Primary };
    let encrypted = store_core::facet::Tables::count(&tier, &schema, count).await.unwrap() == 1;
    tier.close().await.unwrap();
    Ok(encrypted)
}

fn url(server: &PostgresServer, host: &str, options: &str) -> String {
    format!("{}?{options}", server.url().replace("127.0.0.1", host))
}

async fn with(server: &PostgresServer, host: &str, mode: &str, roots: Option<&Path>) -> Result<bool, ErrorKind> {
    let roots = roots.map(|path| format!("&sslrootcert={}", path.display())).unwrap_or_default();
    dial(PgConfig::from_url(&url(server, host, &format!("sslmode={mode}{roots}"))).unwrap()).await
}

#[tokio::test]
async fn each_mode_does_what_its_name_means_elsewhere() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [files, others] = directories.each_ref().map(|directory| TlsFiles::generate(directory.path()).unwrap());
    let options = |tls: Option<TlsFiles>, require_tls| PostgresOptions {
        password: Some("secret".into()),
        tls,
        require_tls,
        ..PostgresOptions::default()
    };
    let able = PostgresServer::start(&options(Some(files.clone()), false)).unwrap();
    let strict = PostgresServer::start(&options(Some(files.clone()), true)).unwrap();
    let plain = PostgresServer::start(&options(None, false)).unwrap();
    let (right, wrong) = (Some(files.authority.as_path()), Some(others.authority.as_path()));

    for (mode, on_able, on_strict, on_plain) in [
        ("disable", Ok(false), Err(ErrorKind::AccessDenied), Ok(false)),
        ("allow", Ok(false), Ok(true), Ok(false)),
        ("prefer", Ok(true), Ok(true), Ok(false)),
        ("require", Ok(true), Ok(true), Err(ErrorKind::L3Unavailable)),
    ] {
        assert_eq!(with(&able, "127.0.0.1", mode, None).await, on_able, "{mode}");
        assert_eq!(with(&strict, "127.0.0.1", mode, None).await, on_strict, "{mode}");
        assert_eq!(with(&plain, "127.0.0.1", mode, None).await, on_plain, "{mode}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(with(&strict, host, mode, right).await, Ok(true), "{mode}");
        }
        assert_eq!(with(&strict, "127.0.0.1", mode, wrong).await, Err(ErrorKind::L3Unavailable), "{mode}");
        assert_eq!(with(&plain, "127.0.0.1", mode, right).await, Err(ErrorKind::L3Unavailable), "{mode}");
    }
    // The certificate is for 127.0.0.1, not for the other addresses of this machine.
    let elsewhere = |mode: &str| url(&strict, "127.0.0.1", &format!("sslmode={mode}&sslrootcert={}", files.authority.display()));
    let renamed = |mode: &str| elsewhere(mode).replace("@127.0.0.1", "@db.internal") + "&hostaddr=127.0.0.1";
    assert_eq!(dial(PgConfig::from_url(&renamed("verify-ca")).unwrap()).await, Ok(true));
    assert_eq!(dial(PgConfig::from_url(&renamed("verify-full")).unwrap()).await, Err(ErrorKind::L3Unavailable));
    // An authority that the operating system does not know.
    assert_eq!(with(&strict, "127.0.0.1", "verify-full", Some(Path::new("system"))).await.unwrap_err(), ErrorKind::L3Unavailable);

    let by_setters = PgConfig::from_url(&strict.url()).unwrap().with_ssl_mode(SslMode::VerifyFull).with_root_certificate(&files.authority);
    assert_eq!(dial(by_setters).await, Ok(true));
}

#[tokio::test]
async fn a_root_certificate_that_cannot_be_used_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (empty, malformed) = (directory.path().join("empty.pem"), directory.path().join("malformed.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    std::fs::write(&malformed, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for file in [directory.path().join("missing.pem"), empty, malformed] {
        let config = PgConfig::from_url("postgres://localhost/x").unwrap().with_ssl_mode(SslMode::VerifyCa).with_root_certificate(&file);
        let error = PgTier::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}

/// A statement on an encrypted connection is cancelled over another one.
#[tokio::test]
async fn what_nobody_waits_for_is_cancelled_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles::generate(directory.path()).unwrap();
    let options = PostgresOptions { tls: Some(files.clone()), require_tls: true, ..PostgresOptions::default() };
    let server = PostgresServer::start(&options).unwrap();
    let config = PgConfig::from_url(&url(&server, "127.0.0.1", &format!("sslmode=verify-full&sslrootcert={}", files.authority.display())));
    let tier = std::sync::Arc::new(PgTier::connect(config.unwrap()).await.unwrap());
    store_core::facet::Migrations::migrate(&*tier, &[crate::table::account()], &store_core::MigrationSettings::default()).await.unwrap();
    crate::table::put(&tier, crate::table::row(1)).await.unwrap();
    let sleeping =
        "(SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%' AND query NOT LIKE '%activity%' AND state <> 'idle')";
    let slow = tokio::spawn({
        let tier = std::sync::Arc::clone(&tier);
        async move { crate::table::ids(&tier, "pg_sleep(61) IS NULL", vec![]).await }
    });
    let count = async |wanted: i64| crate::table::ids(&tier, &format!("{sleeping} = {wanted}"), vec![]).await.unwrap() == [1];
    wait_until("the statement", async || count(1).await).await;
    slow.abort();
    wait_until("its end", async || count(0).await).await;
}
