//! What a build without features says of variables that name what it lacks.

use super::*;

fn variables(name: &str, value: &str) -> Variables {
    Variables::new([(name.to_owned(), value.to_owned())])
}

#[track_caller]
fn refused<R>(result: Result<R>, name: &str, remedy: &str) {
    let text = result.map(drop).unwrap_err().to_string();
    assert!(text.contains(name) && text.contains(remedy), "{text}");
}

#[test]
fn redis_is_refused_with_the_feature_that_brings_it() {
    for (name, value) in [("REDIS_URL", "redis://localhost"), ("STRATA_REDIS_DATABASE", "1")] {
        refused(refuse_redis(&mut variables(name, value)), name, "feature `redis`");
    }
    assert!(refuse_redis(&mut variables("STRATA_L1_TTL", "1m")).is_ok());
}

#[test]
fn databases_are_refused_with_the_features_that_bring_them() {
    for (name, value, remedy) in [
        ("DATABASE_URL", "postgres://localhost/db", "feature `pg`"),
        ("STRATA_PG_POOL_SIZE", "4", "feature `pg`"),
        ("DATABASE_URL", "sqlite:/tmp/x.db", "feature `sqlite`"),
        ("STRATA_SQLITE_READERS", "4", "feature `sqlite`"),
    ] {
        refused(truth(&mut variables(name, value)), name, remedy);
    }
}

#[test]
fn keys_are_refused_with_the_feature_that_uses_them() {
    for name in ["STRATA_ENCRYPTION_KEYS", "STRATA_ENCRYPTION_KEYS_FILE"] {
        refused(refuse_keys(&mut variables(name, "1=ab")), name, "feature `encryption`");
    }
}

#[test]
fn codecs_are_refused_that_were_left_out() {
    for name in ["json", "messagepack"] {
        refused(codec(name), "STRATA_CODEC", "feature");
    }
    assert!(codec("postcard").is_ok());
}
