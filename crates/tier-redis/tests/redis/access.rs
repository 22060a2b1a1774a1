//! Who may connect, to which database, and over what.

use std::time::{Duration, Instant};

use store_core::facet::{Records, Slot};
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{RedisOptions, RedisServer, TlsFiles};
use tier_redis::{RedisConfig, RedisTier, RedisTls};

use crate::support::{LIMIT, fetch, impatient, read_through, record, schema, start_server};

const PASSWORD: &str = "correct:horse@battery/staple";

fn start_protected_server() -> RedisServer {
    RedisServer::start(&RedisOptions { password: Some(PASSWORD.to_owned()), ..RedisOptions::default() }).unwrap()
}

fn config_of(server: &RedisServer) -> RedisConfig {
    RedisConfig::standalone("127.0.0.1", server.port()).with_read_timeout(LIMIT).with_write_timeout(LIMIT)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_opens_the_server() {
    let (server, open) = (start_protected_server(), start_server());
    for config in [impatient(&server.url()), config_of(&server).with_password(PASSWORD), config_of(&open).with_password(PASSWORD)] {
        let tier = RedisTier::connect(config).await.unwrap();
        read_through(&tier, "a").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_is_refused_and_not_shown() {
    let server = start_protected_server();
    for (config, case) in [
        (config_of(&server).with_password("guessed-secret"), "a wrong password"),
        (config_of(&server).with_username("nobody").with_password("guessed-secret"), "an unknown user"),
        (config_of(&server), "no password"),
    ] {
        let begin = Instant::now();
        let error = RedisTier::connect(config.clone()).await.expect_err(case);
        assert!(begin.elapsed() < Duration::from_secs(4), "{case} was not refused at once");
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{case}: {error}");
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?} {config:?}").contains("secret"), "{case}: {error:?}");
        let patient = RedisTier::connect_or_keep_trying(config.clone()).await;
        assert_eq!(patient.expect_err(case).kind(), ErrorKind::AccessDenied, "time does not mend it");

        // Without connecting first, the calls say why.
        let tier = RedisTier::connect_lazily(config).unwrap();
        let error = crate::support::until_some(async || {
            let error = tier.ping().await.unwrap_err();
            (error.kind() != ErrorKind::L2Unavailable).then_some(error)
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        assert!(!format!("{error} {error:?} {tier:?}").contains("secret"), "{case}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_permission_is_refused_by_the_call() {
    let server = start_server();
    server.command(&["ACL", "SETUSER", "reader", "on", ">pass", "~strata:*", "+@connection", "+info", "+get"]).unwrap();
    let tier = RedisTier::connect(config_of(&server).with_username("reader").with_password("pass")).await.unwrap();
    assert_eq!(fetch(&tier, "a", None).await.unwrap(), Slot::Empty);
    for error in [
        tier.remove(&schema(), &["a".to_owned()]).await.unwrap_err(),
        tier.put(&schema(), &[("a".to_owned(), record(0))]).await.unwrap_err(),
        tier.clear(&schema()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
        assert_eq!(error.schema(), Some("item"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_kept_apart() {
    let server = start_server();
    let [first, second] = [0, 5].map(|database| config_of(&server).with_database(database));
    let (first, second) = (RedisTier::connect(first).await.unwrap(), RedisTier::connect(second).await.unwrap());
    read_through(&first, "a").await.unwrap();
    assert_eq!(fetch(&second, "a", None).await.unwrap(), Slot::Empty);
    assert_eq!(server.command(&["-n", "5", "DBSIZE"]).unwrap(), "0");
    let by_url = RedisTier::connect(impatient(&format!("{}/5", server.url()))).await.unwrap();
    read_through(&by_url, "a").await.unwrap();
    assert_eq!(server.command(&["-n", "5", "DBSIZE"]).unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_exist_is_an_invalid_configuration() {
    let server = start_server();
    let error = RedisTier::connect(config_of(&server).with_database(99)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("database"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_configuration_needs_a_cluster() {
    let server = start_server();
    let error = RedisTier::connect(RedisConfig::cluster([("127.0.0.1", server.port())])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("redis://"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_is_trusted_by_its_authority() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles::generate(directory.path()).unwrap();
    let authority = std::fs::read(&files.authority).unwrap();
    let options = RedisOptions { tls: Some(files), password: Some(PASSWORD.to_owned()), ..RedisOptions::default() };
    let server = RedisServer::start(&options).unwrap();

    let trusting = impatient(&server.url()).with_tls(RedisTls::new().with_authority(authority.clone()));
    let tier = RedisTier::connect(trusting).await.unwrap();
    read_through(&tier, "a").await.unwrap();
    let localhost = RedisConfig::standalone("localhost", server.port()).with_password(PASSWORD);
    RedisTier::connect(localhost.with_tls(RedisTls::new().with_authority(authority.clone()))).await.unwrap();

    // Without its authority, under a name that is not the server's, and without encryption.
    let error = RedisTier::connect(impatient(&server.url())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::L2Unavailable);
    assert!(error.to_string().contains("with_authority"), "{error}");
    let other_name = RedisConfig::standalone("127.0.0.2", server.port()).with_tls(RedisTls::new().with_authority(authority));
    assert_eq!(RedisTier::connect(other_name).await.unwrap_err().kind(), ErrorKind::L2Unavailable);
    let plain = config_of(&server).with_password(PASSWORD).with_dial_timeout(Duration::from_millis(500));
    let error = RedisTier::connect(plain).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::L2Unavailable | ErrorKind::Timeout), "{error}");
    assert!(!format!("{error:?}").contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_a_server_that_asks_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles::generate(directory.path()).unwrap();
    let [authority, certificate, key] = [&files.authority, &files.certificate, &files.key].map(|file| std::fs::read(file).unwrap());
    let server = RedisServer::start(&RedisOptions { tls: Some(files), ..RedisOptions::default() }).unwrap();
    server.command(&["CONFIG", "SET", "tls-auth-clients", "yes"]).unwrap();

    let tls = RedisTls::new().with_authority(authority.clone());
    let error = RedisTier::connect(impatient(&server.url()).with_tls(tls.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::L2Unavailable, "{error}");
    let tier = RedisTier::connect(impatient(&server.url()).with_tls(tls.with_client_certificate(certificate, key))).await.unwrap();
    tier.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_configuration_needs_an_encrypted_server() {
    let server = start_server();
    let config = impatient(&server.url()).with_tls(RedisTls::new()).with_dial_timeout(Duration::from_millis(500));
    let error = RedisTier::connect(config).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::L2Unavailable | ErrorKind::Timeout), "{error}");
}

#[tokio::test]
async fn malformed_certificates_are_named() {
    let config = || RedisConfig::standalone("localhost", 6_379);
    for (tls, part) in [
        (RedisTls::new().with_authority("no PEM"), "authority"),
        (RedisTls::new().with_authority("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "authority"),
        (RedisTls::new().with_client_certificate("no PEM", "secret key"), "private key"),
    ] {
        let error = RedisTier::connect(config().with_tls(tls.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(part), "{error} should name the {part}");
        assert!(!format!("{error:?} {tls:?}").contains("secret"));
    }
}
