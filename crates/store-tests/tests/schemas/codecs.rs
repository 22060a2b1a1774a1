//! Records of one shared tier that stores of different builds write and read.

use std::sync::Arc;

use store_testkit::{FaultTier, Faults, ModelRecords, Operation};
use strata::facet::{Records, Slot};
use strata::mem::MemTier;
use strata::{BoundSchema, Codec, ColumnType, Deferred, EncodedRecord, PostcardCodec, Result, Role, Row, Schema, Store, Value};
use tempfile::TempDir;
use uuid::Uuid;

use store_tests::models::{Account, Document, account, document};
use store_tests::stacks::{open_sqlite, sqlite};
use store_tests::waiting::until;

/// One shared tier and one truth, for several stores.
struct Servers {
    shared: ModelRecords,
    directory: TempDir,
}

/// A store of one build, and the calls that it makes.
struct Instance {
    store: Store,
    shared_calls: Faults,
    truth_calls: Faults,
}

impl Servers {
    async fn new() -> Self {
        let (directory, _) = sqlite().await;
        Servers { shared: ModelRecords::new(), directory }
    }

    async fn store<T: Schema>(&self, codec: impl Codec, reads: Option<OwnCodec>) -> Instance {
        let (records, tables) = (FaultTier::new(self.shared.clone()), FaultTier::new(open_sqlite(&self.directory).await));
        let (shared_calls, truth_calls) = (records.faults(), tables.faults());
        let builder = Store::builder().near(MemTier::new()).tier(records).tier(tables).schema::<T>();
        let builder = builder.configure(|settings| settings.codec = Arc::new(codec));
        let builder = match reads {
            Some(codec) => builder.read_codec(codec),
            None => builder,
        };
        Instance { store: builder.build().await.unwrap(), shared_calls, truth_calls }
    }

    async fn relayed<T: Schema>(&self, store: &Store) {
        relayed::<T>(&self.shared, store).await;
    }

    async fn slot<T: Schema>(&self, key: &str) -> Slot {
        let schema = BoundSchema::standalone(T::definition());
        self.shared.fetch(&schema, &[key.to_owned()], None).await.unwrap().remove(0)
    }

    async fn record<T: Schema>(&self, key: &str) -> EncodedRecord {
        match self.slot::<T>(key).await {
            Slot::Record(record) => record,
            other => panic!("the slot holds {other:?}"),
        }
    }
}

/// Waits until the relayer has come to all that was written: it voids the leases of readers that come before it.
pub(crate) async fn relayed<T: Schema>(shared: &ModelRecords, store: &Store) {
    let schemas = [Arc::new(BoundSchema::standalone(T::definition()))];
    let end = store.token().await.unwrap().expect("the truth has a log");
    until("the relayer has passed the writes", async || {
        let marks = shared.marks(&schemas).await.unwrap().remove(0);
        marks.iter().flatten().any(|mark| mark.position == *end.place())
    })
    .await;
}

impl Instance {
    /// Reads a document, and tells whether the truth was asked.
    async fn read(&self, id: Uuid) -> (Option<Document>, bool) {
        let before = self.truth_calls.calls(Operation::GetMany);
        let found = self.store.collection::<Document>().unwrap().get(id).await.unwrap();
        (found.map(|document| (*document).clone()), self.truth_calls.calls(Operation::GetMany) > before)
    }
}

/// A codec of the program's own: postcard's bytes the other way round.
#[derive(Debug, Clone, Copy)]
struct OwnCodec;

impl Codec for OwnCodec {
    fn id(&self) -> u8 {
        200
    }

    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        PostcardCodec.encode(values).map(|bytes| bytes.into_iter().rev().collect())
    }

    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
        PostcardCodec.decode(columns, &bytes.iter().rev().copied().collect::<Vec<_>>())
    }
}

/// One store fills the slot, the other reads it without asking the truth.
async fn check_read_by_the_other(writer: impl Codec, writer_id: u8, reader: impl Codec) {
    let servers = Servers::new().await;
    let writing = servers.store::<Document>(writer, None).await;
    let id = Uuid::new_v4();
    let documents = writing.store.collection::<Document>().unwrap();
    documents.set(document(id)).await.unwrap();
    servers.relayed::<Document>(&writing.store).await;
    documents.from(Role::Shared).get(id).await.unwrap();
    assert_eq!(servers.record::<Document>(&id.to_string()).await.codec, writer_id);

    let reading = servers.store::<Document>(reader, Some(OwnCodec)).await;
    assert_eq!(reading.read(id).await, (Some(document(id)), false));
    // A write of the other store goes into the slot in its own codec.
    let changed = Document { small: 7, ..document(id) };
    reading.store.collection::<Document>().unwrap().set(changed.clone()).await.unwrap();
    assert_eq!(**documents.from(Role::Shared).get(id).await.unwrap().unwrap().model(), changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_of_the_program_s_own_is_read_where_it_is_known() {
    check_read_by_the_other(OwnCodec, 200, PostcardCodec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_and_postcard_read_each_other() {
    check_read_by_the_other(strata::JsonCodec, 2, PostcardCodec).await;
    check_read_by_the_other(PostcardCodec, 1, strata::JsonCodec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messagepack_and_postcard_read_each_other() {
    check_read_by_the_other(strata::MessagePackCodec, 3, PostcardCodec).await;
    check_read_by_the_other(PostcardCodec, 1, strata::MessagePackCodec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_shows_its_content_to_people() {
    let servers = Servers::new().await;
    let instance = servers.store::<Account>(strata::JsonCodec, None).await;
    let accounts = instance.store.collection::<Account>().unwrap();
    accounts.set(account(1)).await.unwrap();
    servers.relayed::<Account>(&instance.store).await;
    accounts.from(Role::Shared).get(1).await.unwrap();
    let payload = servers.record::<Account>("1").await.payload;
    assert_eq!(String::from_utf8_lossy(&payload), "[[],1,\"account-1\",\"note\",3]\0", "and no field that caches leave out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_that_a_build_does_not_know_is_a_miss() {
    let servers = Servers::new().await;
    let writing = servers.store::<Document>(OwnCodec, None).await;
    let id = Uuid::new_v4();
    let documents = writing.store.collection::<Document>().unwrap();
    documents.set(document(id)).await.unwrap();
    servers.relayed::<Document>(&writing.store).await;
    documents.from(Role::Shared).get(id).await.unwrap();

    let reading = servers.store::<Document>(PostcardCodec, None).await;
    assert_eq!(reading.read(id).await, (Some(document(id)), true));
    assert_eq!(reading.read(id).await, (Some(document(id)), false), "memory took it in");
    let others = reading.store.collection::<Document>().unwrap();
    assert!(others.exists(id).await.unwrap());
    assert_eq!(others.from(Role::Shared).get_many([id]).await.unwrap()[0].as_deref(), Some(&document(id)));
    assert_eq!(servers.record::<Document>(&id.to_string()).await.codec, 1, "what is of no use here gives way to what is");
    assert_eq!(reading.store.stats().errors, 0, "a deploy is no error");

    let changed = Document { small: 7, ..document(id) };
    others.set(changed.clone()).await.unwrap();
    assert_eq!(servers.record::<Document>(&id.to_string()).await.codec, 1);
    assert_eq!(**documents.from(Role::Shared).get(id).await.unwrap().unwrap().model(), changed);
    assert!(reading.shared_calls.calls(Operation::Replace) == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_that_a_build_does_not_know_is_a_miss() {
    /// A model before a deploy.
    #[derive(Debug, Clone, PartialEq, Schema)]
    #[schema(name = "item")]
    struct Before {
        #[schema(primary_key)]
        id: i64,
        name: String,
    }
    /// And after it: as many bytes could mean either.
    #[derive(Debug, Clone, PartialEq, Schema)]
    #[schema(name = "item")]
    struct After {
        #[schema(primary_key)]
        id: i64,
        name: String,
        #[schema(default = 5)]
        #[schema(omit_l1)]
        stock: Deferred<i64>,
    }

    let servers = Servers::new().await;
    // The build after the deploy makes the table with its new column, and the old build goes on for a while.
    let after = servers.store::<After>(PostcardCodec, None).await;
    let before = servers.store::<Before>(PostcardCodec, None).await;
    let (new, old) = (after.store.collection::<After>().unwrap(), before.store.collection::<Before>().unwrap());
    for round in 0..3 {
        let name = |by: &str| format!("{by} {round}");
        old.set(Before { id: 1, name: name("old") }).await.unwrap();
        old.invalidate(1).await.unwrap();
        servers.relayed::<Before>(&before.store).await;
        assert_eq!(old.get(1).await.unwrap().unwrap().name, name("old"));
        assert_eq!(servers.record::<Before>("1").await.fingerprint, Before::definition().fingerprint());
        new.invalidate(2).await.unwrap();
        let seen = new.from(Role::Shared).get(1).await.unwrap().unwrap();
        assert_eq!((&seen.name, &seen.stock), (&name("old"), &Deferred::Loaded(5)));

        new.set(After { id: 1, name: name("new"), stock: Deferred::NotLoaded }).await.unwrap();
        assert_eq!(servers.record::<After>("1").await.fingerprint, After::definition().fingerprint());
        assert_eq!(old.from(Role::Shared).get(1).await.unwrap().unwrap().name, name("new"));
        assert_eq!(old.from(Role::Shared).get_many([1]).await.unwrap()[0].as_ref().unwrap().name, name("new"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_that_is_taken_back_shows_nothing_old_and_loses_no_column() {
    #[derive(Debug, Clone, PartialEq, Schema)]
    #[schema(name = "ware")]
    struct Before {
        #[schema(primary_key)]
        id: i64,
        name: String,
        #[schema(omit_cache)]
        secret: Deferred<String>,
    }
    /// A column more, of which the truth alone holds one, and another order.
    #[derive(Debug, Clone, PartialEq, Schema)]
    #[schema(name = "ware")]
    struct After {
        #[schema(primary_key)]
        id: i64,
        #[schema(omit_cache)]
        secret: Deferred<String>,
        #[schema(default = 5)]
        rank: i64,
        #[schema(omit_cache, default = "none")]
        origin: Deferred<String>,
        name: String,
    }

    let servers = Servers::new().await;
    // The table gets its columns before the new build comes.
    servers.store::<After>(PostcardCodec, None).await.store.close().await.unwrap();
    let before = servers.store::<Before>(PostcardCodec, None).await;
    let old = before.store.collection::<Before>().unwrap();
    old.set(Before { id: 1, name: "first".to_owned(), secret: Deferred::Loaded("s".to_owned()) }).await.unwrap();
    servers.relayed::<Before>(&before.store).await;
    old.from(Role::Shared).get(1).await.unwrap();
    assert_eq!(servers.record::<Before>("1").await.fingerprint, Before::definition().fingerprint());

    // Forth, beside the old build.
    let after = servers.store::<After>(PostcardCodec, None).await;
    let new = after.store.collection::<After>().unwrap();
    let seen = new.get(1).await.unwrap().unwrap();
    assert_eq!((&*seen.name, seen.rank), ("first", 5));
    let whole = |name: &str| After {
        id: 1,
        secret: Deferred::NotLoaded,
        rank: 9,
        origin: Deferred::Loaded("here".to_owned()),
        name: name.to_owned(),
    };
    new.set(whole("second")).await.unwrap();
    assert_eq!(
        old.from(Role::Truth).get(1).await.unwrap().unwrap().secret,
        Deferred::Loaded("s".to_owned()),
        "it was not loaded, so it stays"
    );
    assert_eq!(old.get(1).await.unwrap().unwrap().name, "second");

    // Back: the old build starts anew, on slots that the new one filled, and writes a record that it read from them or past them.
    new.from(Role::Shared).get(1).await.unwrap();
    after.store.close().await.unwrap();
    let again = servers.store::<Before>(PostcardCodec, None).await;
    let old_again = again.store.collection::<Before>().unwrap();
    let cached = old_again.get(1).await.unwrap().unwrap();
    assert_eq!((&*cached.name, &cached.secret), ("second", &Deferred::NotLoaded));
    old_again.set(Before { name: "third".to_owned(), ..(*cached).clone() }).await.unwrap();
    assert_eq!(old_again.from(Role::Truth).get(1).await.unwrap().unwrap().secret, Deferred::Loaded("s".to_owned()));
    old.delete(2).await.unwrap();
    assert_eq!(again.store.stats().errors + before.store.stats().errors, 0, "a deploy is no error");

    // And forth again: nothing that the old build does not know was lost.
    let after = servers.store::<After>(PostcardCodec, None).await;
    let new = after.store.collection::<After>().unwrap();
    let seen = new.get(1).await.unwrap().unwrap();
    assert_eq!((&*seen.name, seen.rank, &seen.origin), ("third", 9, &Deferred::NotLoaded));
    let stored = new.from(Role::Truth).get(1).await.unwrap().unwrap();
    assert_eq!((&stored.origin, &stored.secret), (&Deferred::Loaded("here".to_owned()), &Deferred::Loaded("s".to_owned())));
    assert_eq!(after.store.stats().errors, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_a_miss_and_an_error_that_is_counted() {
    let servers = Servers::new().await;
    let instance = servers.store::<Account>(PostcardCodec, None).await;
    let accounts = instance.store.collection::<Account>().unwrap();
    accounts.set(account(1)).await.unwrap();
    servers.relayed::<Account>(&instance.store).await;
    accounts.from(Role::Shared).get(1).await.unwrap();
    let whole = servers.record::<Account>("1").await;
    let schema = BoundSchema::standalone(Account::definition());
    for damaged in [Vec::new(), vec![0xFF; 40], whole.payload[..whole.payload.len() - 1].to_vec(), [&whole.payload[..], b"x"].concat()] {
        servers.shared.put(&schema, &[("1".to_owned(), EncodedRecord { payload: damaged.into(), ..whole.clone() })]).await.unwrap();
        let errors = instance.store.stats().errors;
        assert_eq!(accounts.from(Role::Shared).get(1).await.unwrap().unwrap().name, "account-1");
        assert_eq!(instance.store.stats().errors, errors + 1);
    }
}
