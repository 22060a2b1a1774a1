//! What is told of encrypted records while they are written, read and lost: by events, and by messages between instances.

use std::fmt::{Debug, Write as _};
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strata::{ErrorKind, KeyRing, Query, Role};
use tempfile::TempDir;
use tokio_postgres::{AsyncMessage, Client, NoTls};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use super::everywhere::{assert_no_secret, write_everything};
use super::{Behind, Encrypted, Patient, behind, key, patient, patients, ring, secret};
use store_tests::stacks::{Bench, Stack, redis};
use store_tests::waiting::until;

/// Everything that was told in one way.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }

    fn holds(&self, part: &str) -> bool {
        self.0.lock().unwrap().windows(part.len()).any(|window| window == part.as_bytes())
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = writeln!(text, "{field}={value:?}");
        self.add(text.as_bytes());
    }
}

/// Takes events and spans of every level.
impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Whatever the database sends without being asked, as `NOTIFY` does, for as long as the client lives.
async fn notices_of(bench: &Bench) -> (Told, Client) {
    let told = Told::default();
    let (client, mut connection) = tokio_postgres::connect(&bench.postgres().url(), NoTls).await.unwrap();
    let heard = told.clone();
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(message)) => heard.add(format!("{} {:?}\n", message.channel(), message.payload()).as_bytes()),
                Ok(message) => heard.add(format!("{message:?}\n").as_bytes()),
                Err(_) => return,
            }
        }
    });
    let channel: String = client.query_one("SELECT 'strata_' || md5(current_schema())", &[]).await.unwrap().get(0);
    client.batch_execute(&format!("LISTEN \"{channel}\"")).await.unwrap();
    (told, client)
}

/// Whatever anybody publishes in Redis until it is over.
struct Published {
    told: Told,
    is_over: Arc<AtomicBool>,
}

impl Published {
    fn begin() -> Self {
        let url = redis::url();
        let mut connection = TcpStream::connect(url.strip_prefix("redis://").unwrap().trim_end_matches('/')).unwrap();
        connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        connection.write_all(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n").unwrap();
        let published = Published { told: Told::default(), is_over: Arc::default() };
        let (told, is_over) = (published.told.clone(), Arc::clone(&published.is_over));
        std::thread::spawn(move || {
            let mut part = [0; 4_096];
            while !is_over.load(Ordering::SeqCst) {
                // A read that found nothing in time is tried again.
                let read = connection.read(&mut part).unwrap_or_default();
                told.add(&part[..read]);
            }
        });
        published
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// What the truth refuses, what cannot be opened, and what fits no field.
async fn fail_everywhere(bench: &mut Bench) {
    let all = patients(&bench.store);
    let taken = all.set(patient("set")).await.unwrap();
    let error = all.set(with_email("other", &taken.email)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UniqueViolation, "{error}");
    let error = all.search(Query::from(Patient::diagnosis().eq(secret("diagnosis", "set")))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}");
    bench.store.transaction(async |tx| tx.insert_only(patient("set")).await).await.unwrap_err();

    // In Redis somebody changed a ciphertext, and in the database exchanged two.
    until("Redis has a ciphertext", async || {
        all.from(Role::Shared).get("import-1").await.unwrap();
        !bench.redis().change_behind(&[1, 0, 0, 0, 1]).starts_with(b":0\r\n")
    })
    .await;
    all.from(Role::Shared).get_many(["import-1", "set"]).await.unwrap();
    bench.postgres().run("UPDATE patient SET email = diagnosis WHERE id = 'import-2'").await;
    let error = all.from(Role::Truth).get("import-2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DecodeFailed, "{error}");
    let next = bench.another_with(&Encrypted::new(ring(2))).await;
    let progress = patients(&next).reencrypt().rows_per_second(1_000_000).run().await.unwrap();
    assert_eq!(progress.unreadable, 1);
    let wrong = bench.another_with(&Encrypted::new(KeyRing::new(2, key(7)).with_index_key(key(8)))).await;
    assert_eq!(patients(&wrong).get("set").await.unwrap_err().kind(), ErrorKind::DecodeFailed);

    // Pending writes, of which the truth refuses one.
    let journal = TempDir::new().unwrap();
    let models = Encrypted { keys: ring(2), journal: Some(journal.path().to_owned()) };
    let pending = bench.another_with(&models).await;
    pending.collection::<Behind>().unwrap().set_many([behind(1, "one"), behind(2, "one")]).await.unwrap();
    pending.flush().await.unwrap();
    let letters = pending.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(pending.dead_letters().retry(&letters[0]).await.unwrap_err().kind(), ErrorKind::UniqueViolation);
    pending.close().await.unwrap();
}

fn with_email(id: &str, email: &str) -> Patient {
    Patient { email: email.to_owned(), ..patient(id) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_messages_tell_no_secret() {
    let events = Told::default();
    tracing::subscriber::set_global_default(events.clone()).unwrap();
    let mut bench = super::open(Stack::MemRedisPostgres).await;
    let ((notices, _client), published) = (notices_of(&bench).await, Published::begin());
    write_everything(&bench.store).await;
    fail_everywhere(&mut bench).await;
    // Instances without Redis wake each other by PostgreSQL.
    let alone = bench.without_caches(|builder| builder.schema::<Patient>().encryption(ring(2))).await;
    // Whoever waits for a message has heard all that came before it.
    until("both databases have spoken", async || {
        patients(&bench.store).set(patient("the-last")).await.unwrap();
        patients(&alone).set(patient("the-last")).await.unwrap();
        notices.holds("strata_") && published.told.holds("the-last")
    })
    .await;
    assert_no_secret("an event", &events.0.lock().unwrap(), "schema=\"patient\"");
    assert_no_secret("a notice of PostgreSQL", &notices.0.lock().unwrap(), "strata_");
    assert_no_secret("a message in Redis", &published.told.0.lock().unwrap(), "the-last");
}
