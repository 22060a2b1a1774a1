//! Encrypted fields: where they are seen and where not, how they are searched for, and how keys change.

mod builds;
mod everywhere;
mod nonces;
mod pending;
mod places;
mod queries;
mod rotation;
mod told;

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use strata::facet::NearTier;
use strata::{Collection, Deferred, EncryptionKey, KeyRing, Store, StoreBuilder};
use uuid::Uuid;

use store_tests::models::encrypted::{Badge, Behind, Patient, Visit};
use store_tests::stacks::{Bench, Models, Stack};

fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes(&[byte; 32]).unwrap()
}

/// A ring of the keys 1 and 2, of which this one encrypts: a key is known to every instance before one encrypts with it.
fn ring(primary: u8) -> KeyRing {
    let other = 3 - primary;
    KeyRing::new(primary.into(), key(primary)).with_key(other.into(), key(other)).with_index_key(key(99))
}

/// A secret text that stands nowhere else.
fn secret(what: &str, id: &str) -> String {
    format!("the-secret-{what}-of-{id}")
}

fn patient(id: &str) -> Patient {
    Patient {
        id: id.to_owned(),
        ward: 7,
        email: secret("email", id),
        code: Some(0x1122_3344_5566_7788),
        diagnosis: Some(secret("diagnosis", id)),
        is_private: true,
        weight: 72.25,
        scan: secret("scan", id).into_bytes(),
        born_at: UNIX_EPOCH + Duration::from_micros(0x0102_0304_0506_0708),
        insurance: Uuid::from_u128(0x0a1b_2c3d_4e5f_6071_8293_a4b5_c6d7_e8f9),
        visits: vec![Visit { ward: secret("ward", id), nights: 3 }],
        notes: Deferred::Loaded(secret("notes", id)),
        remark: Deferred::Loaded(Some(secret("remark", id))),
        marker: format!("the-marker-of-{id}"),
        updated_at: UNIX_EPOCH,
    }
}

fn behind(id: i64, secret: &str) -> Behind {
    Behind { id, secret: self::secret("pending", secret), marker: format!("the-marker-of-{id}") }
}

fn badge(id: i64) -> Badge {
    Badge {
        id,
        secret: secret("badge", &id.to_string()),
        marker: format!("the-marker-of-{id}"),
        bytes: vec![0, 1, 2, 255],
        number: Some(-7),
    }
}

/// The models of the tests, with keys.
struct Encrypted {
    keys: KeyRing,
    journal: Option<PathBuf>,
}

impl Encrypted {
    fn new(keys: KeyRing) -> Self {
        Encrypted { keys, journal: None }
    }
}

impl Models for Encrypted {
    fn register<N: NearTier>(&self, stack: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        let builder = builder.encryption(self.keys.clone());
        if !stack.has_tables() {
            return builder.schema::<Badge>();
        }
        let builder = builder.schema::<Patient>();
        match &self.journal {
            Some(journal) => builder.schema::<Behind>().journal(journal).configure(|settings| {
                settings.write_behind.flush_interval = Duration::from_secs(600);
                settings.write_behind.flush_threshold = 1_000_000;
            }),
            None => builder,
        }
    }
}

async fn open(stack: Stack) -> Bench {
    stack.open_with(Duration::from_secs(120), &Encrypted::new(ring(1))).await
}

fn patients(store: &Store) -> Collection<Patient> {
    store.collection().expect("the store has the model")
}

/// Runs cases, functions over a [`Bench`] with encrypted models, on the stacks that have tables.
macro_rules! on_encrypted {
    ($($case:ident),* $(,)?) => {
        $crate::encryption::on_encrypted!(@stack mem_sqlite MemSqlite [$($case),*]);
        $crate::encryption::on_encrypted!(@stack sqlite Sqlite [$($case),*]);
        $crate::encryption::on_encrypted!(@stack mem_model_sqlite MemModelSqlite [$($case),*]);
        $crate::encryption::on_encrypted!(@stack mem_redis_postgres MemRedisPostgres [$($case),*]);
    };
    (@stack $module:ident $stack:ident [$($case:ident),*]) => {
        mod $module {
            use crate::encryption::open;
            use store_tests::stacks::Stack;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&mut open(Stack::$stack).await).await;
                }
            )*
        }
    };
}
use on_encrypted;
