//! What a store asks of keys before it exists.

use strata::mem::MemTier;
use strata::{CallbackKeys, EnvironmentKeys, Error, ErrorKind, FileKeys, KeyRing, Schema, Store};

use super::{Badge, Patient, key, ring};

async fn refusal(change: impl FnOnce(strata::StoreBuilder<MemTier>) -> strata::StoreBuilder<MemTier>) -> Error {
    let error = change(Store::builder().near(MemTier::new())).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    error
}

#[tokio::test]
async fn a_store_without_the_keys_it_needs_is_refused() {
    let error = refusal(|builder| builder.schema::<Badge>()).await.to_string();
    assert!(
        error.contains("schema `badge`: its field `secret` is encrypted") && error.contains(".encryption(KeyRing::new(1, key))"),
        "{error}"
    );
    let error = refusal(|builder| builder.schema::<Patient>().encryption(KeyRing::new(1, key(1)))).await.to_string();
    assert!(error.contains("its field `email` is encrypted and found by a blind index") && error.contains("with_index_key"), "{error}");
    let error = refusal(|builder| builder.schema::<Badge>().encryption(ring(1).with_key(1, key(2)))).await.to_string();
    assert!(error.contains("two encryption keys have the number 1"), "{error}");
    let failing = CallbackKeys::new(async || Err(Error::new(ErrorKind::InvalidConfig, "the service is asleep; wake it")));
    let error = refusal(|builder| builder.schema::<Badge>().encryption(failing)).await;
    assert!(error.operation() == Some("build") && error.to_string().contains("asleep"), "{error}");
}

#[tokio::test]
async fn keys_come_from_files_and_functions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, format!("# keys\n1={}\nindex={}\n", "0a".repeat(32), "0b".repeat(32))).unwrap();
    let store = Store::builder().near(MemTier::new()).schema::<Badge>().encryption(FileKeys::new(&path)).build().await.unwrap();
    store.close().await.unwrap();
    let given = CallbackKeys::new(async || Ok(ring(2)));
    let store = Store::builder().near(MemTier::new()).schema::<Badge>().encryption(given).build().await.unwrap();
    store.close().await.unwrap();

    std::fs::write(&path, format!("1={}", "0a".repeat(31))).unwrap();
    let error = refusal(|builder| builder.schema::<Badge>().encryption(FileKeys::new(&path))).await.to_string();
    assert!(error.contains("keys") && error.contains("64 hexadecimal digits") && !error.contains("0a0a"), "{error}");
    let error = refusal(|builder| builder.schema::<Badge>().encryption(FileKeys::new("/nowhere/keys"))).await.to_string();
    assert!(error.contains("`/nowhere/keys`: the file cannot be read"), "{error}");
    let error = refusal(|builder| builder.schema::<Badge>().encryption(EnvironmentKeys::new("STRATA_TEST_NO_KEYS"))).await.to_string();
    assert!(error.contains("`STRATA_TEST_NO_KEYS`: the environment variable is not set"), "{error}");
}

#[test]
fn encryption_changes_the_layout_and_a_blind_index_does_not() {
    macro_rules! fingerprint {
        ($($tag:ident),*) => {{
            #[derive(Schema)]
            #[schema(name = "thing")]
            struct Thing {
                #[schema(primary_key)]
                id: i64,
                #[schema($($tag),*)]
                secret: Vec<u8>,
            }
            Thing::definition().fingerprint()
        }};
    }
    let plain = fingerprint!();
    let encrypted = fingerprint!(encrypted);
    assert_ne!(plain, encrypted);
    assert_eq!(plain, fingerprint!(unique));
    assert_eq!(encrypted, fingerprint!(encrypted, unique));
    assert!(![plain, encrypted].contains(&fingerprint!(encrypted, plain_in_l2)));
}
