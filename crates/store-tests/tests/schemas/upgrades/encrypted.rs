//! Encrypted fields of older versions, and fields that are encrypted in one version and not in the other.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strata::mem::MemTier;
use strata::{
    Document, EncryptionKey, Error, ErrorKind, KeyRing, Role, Schema, Store, Upgrade, UpgradeError, UpgradePolicy, Versioned, WriteBehind,
    WriteMode,
};
use tempfile::TempDir;

use store_tests::stacks::{bytes_of_files, open_sqlite, redis, sqlite};
use store_tests::waiting::until;

/// What a record of each kind of change holds: a field that gets encrypted, one that is not any more, one that stays so, and one that Redis was allowed to see.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "agent", cache_only)]
struct AgentV1 {
    #[schema(primary_key)]
    id: i64,
    name: String,
    #[schema(encrypted)]
    motto: String,
    #[schema(encrypted)]
    photo: Vec<u8>,
    #[schema(encrypted, plain_in_l2)]
    print: Vec<u8>,
    #[schema(encrypted)]
    pin: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "agent", cache_only, version = 2, upgrade_from = AgentV1)]
struct AgentV2 {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted)]
    name: String,
    motto: String,
    photo: Vec<u8>,
    #[schema(encrypted)]
    print: Vec<u8>,
    #[schema(encrypted)]
    pin: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only, version = 3, upgrade_from = AgentV2)]
struct Agent {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, plain_in_l2)]
    motto: String,
    #[schema(encrypted)]
    alias: Option<String>,
    photo: Vec<u8>,
    #[schema(encrypted)]
    print: Vec<u8>,
    #[schema(encrypted)]
    pin: i64,
}

/// Nothing of it is encrypted.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "agent", cache_only, version = 2, upgrade_from = AgentV1)]
struct Open {
    #[schema(primary_key)]
    id: i64,
    pin: String,
}

impl Upgrade<AgentV1> for AgentV2 {
    fn upgrade(old: AgentV1) -> Result<Self, UpgradeError> {
        let AgentV1 { id, name, motto, photo, print, pin } = old;
        Ok(AgentV2 { id, name, motto, photo, print, pin })
    }
}

impl Upgrade<AgentV2> for Agent {
    fn upgrade(old: AgentV2) -> Result<Self, UpgradeError> {
        let AgentV2 { id, name, motto, photo, print, pin } = old;
        Ok(Agent { id, motto, alias: Some(name), photo, print, pin: pin.parse().map_err(|_| "the pin is no number")? })
    }
}

impl Upgrade<AgentV1> for Open {
    fn upgrade(old: AgentV1) -> Result<Self, UpgradeError> {
        Ok(Open { id: old.id, pin: old.pin })
    }
}

fn first(id: i64) -> AgentV1 {
    let text = |what: &str| format!("the-{what}-of-{id}");
    let (photo, print) = (text("photo").into_bytes(), text("print").into_bytes());
    AgentV1 { id, name: text("name"), motto: text("motto"), photo, print, pin: format!("77001{id}") }
}

fn newest(id: i64) -> Agent {
    let AgentV1 { name, motto, photo, print, .. } = first(id);
    Agent { id, motto, alias: Some(name), photo, print, pin: 770_010 + id }
}

fn ring(first: u8) -> KeyRing {
    let key = |byte| EncryptionKey::from_bytes(&[byte; 32]).unwrap();
    KeyRing::new(1, key(first)).with_index_key(key(99))
}

fn holds(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

fn assert_silent(error: &Error) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("the-") && !text.contains("77001"), "{text}");
    }
}

/// One Redis, which is the truth of several builds.
struct Shared(redis::Namespace);

impl Shared {
    async fn store<T: Schema>(&self, keys: KeyRing, policy: UpgradePolicy) -> Store {
        let builder = Store::builder().tier(self.0.tier().await).schema::<T>().upgrade_policy(policy);
        builder.encryption(keys).build().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_in_redis_are_opened_by_the_version_that_sealed_them() {
    let shared = Shared(redis::open().await.0);
    let v1 = shared.store::<AgentV1>(ring(1), UpgradePolicy::OnRead).await;
    v1.collection::<AgentV1>().unwrap().set(first(1)).await.unwrap();
    let v2 = shared.store::<AgentV2>(ring(1), UpgradePolicy::OnRead).await;
    v2.collection::<AgentV2>().unwrap().set(AgentV2::upgrade(first(2)).unwrap()).await.unwrap();
    assert_eq!(*v2.collection::<AgentV2>().unwrap().get(1).await.unwrap().unwrap(), AgentV2::upgrade(first(1)).unwrap());

    let v3 = shared.store::<Agent>(ring(1), UpgradePolicy::OnRead).await;
    let agents = v3.collection::<Agent>().unwrap();
    for id in [1, 2] {
        assert_eq!(*agents.get(id).await.unwrap().unwrap(), newest(id));
    }
    let before = shared.0.dump();
    let seen = |content: &[u8], what: &str| [1, 2].map(|id| holds(content, &format!("the-{what}-of-{id}")));
    // Redis has bytes that it may see as digits.
    let printed = |content: &[u8]| {
        let digits = |id| first(id).print.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [1, 2].map(|id| holds(content, &digits(id)))
    };
    assert_eq!(["name", "motto", "photo"].map(|what| seen(&before, what)), [[true, false], [false, true], [false, true]]);
    assert_eq!((printed(&before), seen(&before, "print")), ([true, false], [false; 2]));

    let writing = shared.store::<Agent>(ring(1), UpgradePolicy::WriteBack).await;
    let written = writing.collection::<Agent>().unwrap();
    until("all are written back", async || {
        assert!(written.get_many([1, 2]).await.unwrap().iter().flatten().map(|agent| (**agent).clone()).eq([1, 2].map(newest)));
        writing.stats().upgrades_written == 2
    })
    .await;
    let after = shared.0.dump();
    assert_eq!(["name", "motto", "photo"].map(|what| seen(&after, what)), [[false; 2], [true; 2], [true; 2]]);
    assert_eq!((printed(&after), seen(&after, "print")), ([false; 2], [false; 2]));
    assert!(!holds(&after, "77001"));
    let upgrades = writing.stats().upgrades;
    for id in [1, 2] {
        assert_eq!(*written.get(id).await.unwrap().unwrap(), newest(id));
    }
    assert_eq!((writing.stats().upgrades, writing.stats().errors), (upgrades, 0), "they are of this version by now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_record_that_cannot_be_opened_is_an_error_that_tells_nothing_of_it() {
    let shared = Shared(redis::open().await.0);
    let v1 = shared.store::<AgentV1>(ring(1), UpgradePolicy::OnRead).await;
    let old = v1.collection::<AgentV1>().unwrap();
    old.set(first(1)).await.unwrap();
    old.set(AgentV1 { pin: "77001x".into(), ..first(2) }).await.unwrap();
    let other = shared.store::<Agent>(ring(2), UpgradePolicy::WriteBack).await;
    let error = other.collection::<Agent>().unwrap().get(1).await.unwrap_err();
    assert_eq!((error.kind(), error.key(), error.column()), (ErrorKind::DecodeFailed, Some("1"), Some("motto")));
    assert!(error.to_string().contains("which version 1 of the model wrote"), "{error}");
    assert_silent(&error);
    let v3 = shared.store::<Agent>(ring(1), UpgradePolicy::WriteBack).await;
    let error = v3.collection::<Agent>().unwrap().get(2).await.unwrap_err();
    assert!(error.to_string().contains("the pin is no number"), "{error}");
    assert_silent(&error);
    assert_eq!(*old.get(1).await.unwrap().unwrap(), first(1), "nothing is lost");

    let open = shared.store::<Open>(ring(1), UpgradePolicy::OnRead).await;
    assert_eq!(open.collection::<Open>().unwrap().get(1).await.unwrap().unwrap().pin, first(1).pin);
    let error = Store::builder().tier(shared.0.tier().await).schema::<Open>().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let text = error.to_string();
    assert!(text.contains("its field `motto` is encrypted in what version 1 wrote") && text.contains("remove `upgrade_from`"), "{text}");
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "clerk")]
struct ClerkV1 {
    #[schema(primary_key)]
    id: i64,
    name: Option<String>,
    #[schema(encrypted)]
    secret: Option<String>,
    #[schema(encrypted)]
    scan: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(version = 2, upgrade_from = ClerkV1)]
struct Clerk {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, index)]
    alias: Option<String>,
    told: Option<String>,
    #[schema(encrypted)]
    scan: Option<Vec<u8>>,
}

impl Upgrade<ClerkV1> for Clerk {
    fn upgrade(old: ClerkV1) -> Result<Self, UpgradeError> {
        Ok(Clerk { id: old.id, alias: old.name, told: old.secret, scan: old.scan })
    }
}

/// Without an upgrade, what was encrypted is of another kind.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "clerk")]
struct Careless {
    #[schema(primary_key)]
    id: i64,
    name: Option<String>,
    scan: Option<Vec<u8>>,
}

async fn behind<T: Schema>(truth: &TempDir, journal: &Path, keys: KeyRing) -> Store {
    let unhurried = WriteBehind { flush_interval: Duration::from_secs(600), flush_threshold: 1_000_000, ..WriteBehind::default() };
    let builder = Store::builder().near(MemTier::new()).tier(open_sqlite(truth).await).schema::<T>().encryption(keys);
    builder.write_mode(WriteMode::WriteBehind).write_behind(unhurried).journal(journal).build().await.unwrap()
}

/// A journal with a pending write of the older version.
async fn pending() -> TempDir {
    let (truth, _) = sqlite().await;
    let journals = tempfile::tempdir().unwrap();
    let store = behind::<ClerkV1>(&truth, &journals.path().join("first"), ring(1)).await;
    let texts = |what: &str| Some(format!("the-{what}"));
    let clerk = ClerkV1 { id: 1, name: texts("name"), secret: texts("secret"), scan: texts("scan").map(String::into_bytes) };
    store.collection::<ClerkV1>().unwrap().set(clerk).await.unwrap();
    let copy = journals.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(journals.path().join("first")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let content = bytes_of_files(&copy);
    assert_eq!(["name", "secret", "scan"].map(|what| holds(&content, &format!("the-{what}"))), [true, false, false]);
    journals
}

fn clerk() -> Clerk {
    Clerk { id: 1, alias: Some("the-name".into()), told: Some("the-secret".into()), scan: Some(b"the-scan".to_vec()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_writes_are_opened_by_the_version_that_sealed_them() {
    let journals = pending().await;
    let (truth, _) = sqlite().await;
    let store = behind::<Clerk>(&truth, &journals.path().join("copy"), ring(1)).await;
    let clerks = store.collection::<Clerk>().unwrap();
    assert_eq!(*clerks.get(1).await.unwrap().unwrap(), clerk());
    store.flush().await.unwrap();
    assert_eq!(*clerks.from(Role::Truth).get(1).await.unwrap().unwrap(), clerk());
    let found = clerks.from(Role::Truth).search(Clerk::alias().eq("the-name").into()).await.unwrap();
    assert_eq!(found.len(), 1, "the blind index is that of this version");
    store.close().await.unwrap();
    let content = bytes_of_files(truth.path());
    assert_eq!(["name", "secret", "scan"].map(|what| holds(&content, &format!("the-{what}"))), [false, true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_writes_that_cannot_be_opened_wait_as_they_are() {
    let journals = pending().await;
    let (truth, _) = sqlite().await;
    let careless = behind::<Careless>(&truth, &journals.path().join("copy"), ring(1)).await;
    careless.flush().await.unwrap();
    let letters = careless.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    careless.dead_letters().of::<Careless>().retry(&letters[0]).await.unwrap_err();
    careless.close().await.unwrap();

    let other = behind::<Clerk>(&truth, &journals.path().join("copy"), ring(2)).await;
    let error = other.dead_letters().of::<Clerk>().retry(&letters[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some("secret")), "{error}");
    assert_silent(&error);
    other.close().await.unwrap();

    let store = behind::<Clerk>(&truth, &journals.path().join("copy"), ring(1)).await;
    store.dead_letters().of::<Clerk>().retry(&letters[0]).await.unwrap();
    assert_eq!(*store.collection::<Clerk>().unwrap().from(Role::Truth).get(1).await.unwrap().unwrap(), clerk());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Document)]
#[document(version = 0)]
struct FileV0 {
    line: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Document)]
#[document(version = 1, upgrade_from = FileV0)]
struct File {
    lines: Vec<String>,
}

impl Upgrade<FileV0> for File {
    fn upgrade(old: FileV0) -> Result<Self, UpgradeError> {
        Ok(File { lines: vec![old.line] })
    }
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "case")]
struct CaseBefore {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted)]
    file: FileV0,
    #[schema(encrypted)]
    other: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "case", upgrade_policy = "write_back")]
struct Case {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted)]
    file: Versioned<File>,
    #[schema(encrypted)]
    other: String,
}

/// The rows as SQL has them.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "case")]
struct CaseRow {
    #[schema(primary_key)]
    id: i64,
    file: Vec<u8>,
    other: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_encrypted_columns_are_written_back_encrypted() {
    let (directory, tier) = sqlite().await;
    let before = Store::builder().tier(tier).schema::<CaseBefore>().encryption(ring(1)).build().await.unwrap();
    let case = CaseBefore { id: 1, file: FileV0 { line: "the-line".into() }, other: "the-other".into() };
    before.collection::<CaseBefore>().unwrap().set(case).await.unwrap();
    let rows = Store::builder().tier(open_sqlite(&directory).await).schema::<CaseRow>().build().await.unwrap();
    let row = async || rows.collection::<CaseRow>().unwrap().get(1).await.unwrap().unwrap();
    let stored = row().await;

    let store = Store::builder().tier(open_sqlite(&directory).await).schema::<Case>().encryption(ring(1)).build().await.unwrap();
    let cases = store.collection::<Case>().unwrap();
    let expected = Case { id: 1, file: Versioned(File { lines: vec!["the-line".into()] }), other: "the-other".into() };
    assert_eq!(*cases.get(1).await.unwrap().unwrap(), expected);
    until("it is written back", async || store.stats().upgrades_written == 1).await;
    let written = row().await;
    assert_ne!(stored.file, written.file);
    assert_eq!(stored.other, written.other, "what stays as it is keeps its ciphertext");
    let upgrades = store.stats().upgrades;
    assert_eq!(*cases.get(1).await.unwrap().unwrap(), expected);
    assert_eq!((store.stats().upgrades, store.stats().errors), (upgrades, 0));
    for store in [before, rows, store] {
        store.close().await.unwrap();
    }
    assert!(!holds(&bytes_of_files(directory.path()), "the-"));
}
