//! What `build` refuses, and whether it says what is wrong and how to mend it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store_testkit::ModelRecords;
use strata::facet::NearTier;
use strata::mem::MemTier;
use strata::{
    Codec, ColumnType, Error, ErrorKind, Facets, Finding, Lifetime, PostcardCodec, Result, Role, Row, Schema, SchemaOptions, Settings,
    Setup, Store, StoreBuilder, Tier, Value, WriteMode,
};

use store_tests::models::{Account, City, Membership, Player};
use store_tests::stacks;

/// A mistake, and what its message must name.
type Case<O> = (fn(&mut O), &'static [&'static str]);

/// A tier with a role and nothing that it takes.
#[derive(Debug)]
struct Powerless(Role);

#[async_trait]
impl Tier for Powerless {
    fn name(&self) -> &str {
        "powerless"
    }

    fn role(&self) -> Role {
        self.0
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets::default()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A codec with a number of the test's choice.
#[derive(Debug)]
struct Numbered(u8, #[expect(dead_code, reason = "tells two codecs of one number apart")] &'static str);

impl Codec for Numbered {
    fn id(&self) -> u8 {
        self.0
    }

    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        PostcardCodec.encode(values)
    }

    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
        PostcardCodec.decode(columns, bytes)
    }
}

/// Checks that the stack is refused, in words that hold all of `said`.
#[track_caller]
fn check(error: Error, kind: ErrorKind, said: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    for said in said {
        assert!(text.contains(said), "`{said}` is not in: {text}");
    }
}

async fn refused<N: NearTier>(builder: StoreBuilder<N>, said: &[&str]) {
    check(builder.build().await.expect_err("the stack is refused"), ErrorKind::InvalidConfig, said);
}

fn cache_only<T: Schema>(options: &mut SchemaOptions<T>) {
    options.policies.cache_only = true;
}

/// A builder on which nothing is wrong but what the test adds.
fn mem() -> StoreBuilder<MemTier> {
    Store::builder().near(MemTier::new())
}

#[tokio::test]
async fn tiers_must_be_given_from_near_to_far_and_once_each() {
    let twice = mem().tier(ModelRecords::new()).tier(ModelRecords::new()).schema_with::<Player>(cache_only);
    refused(twice, &["two tiers have the role L2 (shared)", "`model`", "leave one out"]).await;

    let (_directory, sqlite) = stacks::sqlite().await;
    let upside_down = mem().tier(sqlite).tier(ModelRecords::new()).schema::<Player>();
    refused(upside_down, &["`model` (L2 (shared)) stands below a farther tier", "from near to far"]).await;

    let late = Store::builder().schema_with::<Player>(cache_only).near(MemTier::new());
    refused(late, &["`near` must come before `tier` and `schema`"]).await;
    let late = Store::builder().tier(ModelRecords::new()).near(MemTier::new()).schema_with::<Player>(cache_only);
    refused(late, &["`near` must come before `tier` and `schema`"]).await;
}

#[tokio::test]
async fn a_tier_must_be_able_to_play_its_role() {
    for (role, said) in [
        (Role::Near, ["`powerless` is a memory tier", "give it to `near`"]),
        (Role::Shared, ["`powerless` cannot be the shared tier", "it has no `records`"]),
        (Role::Truth, ["`powerless` cannot be the tier of truth", "it has no `tables`"]),
        (Role::Ledger, ["`powerless`: a ledger tier is not supported", "leave it out"]),
    ] {
        refused(mem().tier(Powerless(role)).schema_with::<Player>(cache_only), &said).await;
    }
}

#[tokio::test]
async fn a_store_needs_a_tier_a_schema_and_a_place_for_each() {
    refused(Store::builder().schema_with::<Player>(cache_only), &["the store has no tier", "memory and SQLite"]).await;
    refused(mem(), &["the store has no schema", "`.schema::<YourModel>()`"]).await;
    refused(mem().schema::<Player>(), &["schema `player`: it needs a tier of truth", "add PostgreSQL or SQLite", "cache_only"]).await;
    let (_directory, sqlite) = stacks::sqlite().await;
    let nowhere = Store::builder().tier(sqlite).schema_with::<Player>(cache_only);
    refused(nowhere, &["schema `player`: it is `cache_only`", "no memory or shared tier", "add one"]).await;
    refused(mem().schema_with::<Account>(cache_only), &["schema `account`", "`omit_cache`", "store it in a tier of truth"]).await;
    refused(mem().schema_with::<Account>(cache_only), &["schema `account`", "`omit_l1`", "add a shared tier"]).await;
}

#[tokio::test]
async fn a_schema_s_policies_must_make_sense() {
    let changed = |change: fn(&mut SchemaOptions<Player>)| {
        mem().schema_with::<Player>(|options| {
            cache_only(options);
            change(options);
        })
    };
    let cases: [Case<SchemaOptions<Player>>; 14] = [
        (
            |options| options.policies.write_mode = Some(WriteMode::WriteBehind),
            &["write-behind needs a tier of truth", "use `write_through`"],
        ),
        (|options| options.policies.write_mode = Some(WriteMode::WriteThroughLazyL1), &["memory is its only tier", "use `write_through`"]),
        (|options| options.policies.near.ttl = Duration::ZERO.into(), &["life time in l1", "below a millisecond", "`Lifetime::Never`"]),
        (|options| options.policies.shared.ttl = Duration::from_micros(999).into(), &["life time in l2", "below a millisecond"]),
        (|options| options.policies.near.ttl = Lifetime::For(Duration::MAX), &["life time in l1", "above a century", "`Lifetime::Never`"]),
        (|options| options.policies.near.max_entries = Some(0), &["may hold nothing", "leave the limit out"]),
        (|options| _ = options.weigh(0, |_, _| 1), &["may hold nothing", "leave the limit out"]),
        (|options| options.policies.truth.table = Some(String::new()), &["`` cannot be a table", "1 to 63 bytes"]),
        (|options| options.policies.truth.table = Some("x".repeat(64)), &["cannot be a table", "1 to 63 bytes"]),
        (|options| options.policies.truth.table = Some("a\0b".to_owned()), &["`a\\0b` cannot be a table"]),
        (|options| options.policies.truth.table = Some("_strata_log".to_owned()), &["`_strata_log` cannot be a table"]),
        (|options| options.policies.shared.key_prefix = Some(String::new()), &["`` cannot be a key prefix", "not empty"]),
        (|options| options.policies.shared.key_prefix = Some("_p".to_owned()), &["`_p` cannot be a key prefix"]),
        (|options| options.policies.shared.key_prefix = Some("a\nb".to_owned()), &["`a\\nb` cannot be a key prefix", "control characters"]),
    ];
    for (change, said) in cases {
        refused(changed(change), &[&["schema `player`"], said].concat()).await;
    }
}

#[tokio::test]
async fn settings_must_be_in_range() {
    let cases: [Case<Settings>; 17] = [
        (|settings| settings.l1_ttl = Some(Duration::ZERO), &["`l1_ttl` is below a millisecond", "`None`"]),
        (|settings| settings.l2_ttl = Some(Duration::MAX), &["`l2_ttl` is above a century", "`None`"]),
        (|settings| settings.fill_lease = Duration::ZERO, &["`fill_lease` is below a millisecond; give a longer time"]),
        (
            |settings| settings.freshness = Duration::ZERO,
            &["`freshness` is below a millisecond; give a longer time; what", "`Freshness::Strong`"],
        ),
        (|settings| settings.operation_timeout = Duration::from_nanos(1), &["`operation_timeout` is below a millisecond"]),
        (|settings| settings.operation_timeout = Duration::MAX, &["`operation_timeout` is above a century"]),
        (|settings| settings.l1_max_entries = Some(0), &["`l1_max_entries` is 0", "`None` for no limit"]),
        (|settings| settings.query_max_entries = 0, &["`query_max_entries` is 0", "use `search`"]),
        (|settings| settings.query_max_rows = 0, &["`query_max_rows` is 0", "use `search`"]),
        (|settings| settings.negative_ttl = Some(Duration::ZERO), &["`negative_ttl` is below a millisecond", "`None`"]),
        (|settings| settings.verify = 1.5, &["`verify` is 1.5", "from 0 to 1"]),
        (|settings| settings.verify = f64::NAN, &["`verify` is NaN", "from 0 to 1"]),
        (|settings| settings.jitter = 1.0, &["`jitter` is 1", "from 0 to below 1"]),
        (|settings| settings.refresh_ahead = -0.1, &["`refresh_ahead` is -0.1", "from 0 to below 1"]),
        (|settings| settings.truth_reads = 0, &["`truth_reads` is 0", "at one time"]),
        (|settings| settings.truth_writes = 0, &["`truth_writes` is 0", "at one time"]),
        (|settings| settings.soft_timeout = Some(Duration::from_millis(1)), &["`soft_timeout` has no effect without `stale_on_error`"]),
    ];
    for (change, said) in cases {
        refused(mem().schema_with::<Player>(cache_only).configure(change), said).await;
    }
}

#[tokio::test]
async fn codecs_need_numbers_of_their_own() {
    let builder = || mem().schema_with::<Player>(cache_only);
    refused(builder().read_codec(Numbered(1, "a")), &["the codec number 1 is Strata's own", "from 128 up"]).await;
    refused(builder().read_codec(Numbered(127, "a")), &["the codec number 127 is Strata's own"]).await;
    let two = builder().read_codec(Numbered(200, "a")).read_codec(Numbered(200, "b"));
    refused(two, &["two codecs have the number 200", "give one of them another"]).await;
    let own = builder().read_codec(Numbered(200, "a")).configure(|settings| settings.codec = Arc::new(Numbered(200, "a")));
    own.read_codec(PostcardCodec).build().await.expect("a codec may be given to write and to read with");
}

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    let builder = mem().tier(Powerless(Role::Shared)).schema::<Player>().schema::<City>().read_codec(Numbered(1, "a"));
    let builder = builder.configure(|settings| settings.l1_ttl = Some(Duration::ZERO));
    refused(builder, &["`l1_ttl`", "`powerless`", "schema `player`", "schema `city`", "codec number 1"]).await;
}

#[tokio::test]
async fn models_must_keep_out_of_each_other_s_way() {
    /// Another model of the same name.
    #[derive(Debug, Schema)]
    #[schema(name = "player")]
    struct Namesake {
        #[schema(primary_key)]
        id: String,
    }
    /// Its unique column gives an index the name of one of [`Player`]'s.
    #[derive(Debug, Schema)]
    #[schema(name = "player_region")]
    struct Region {
        #[schema(primary_key)]
        id: String,
        #[schema(index)]
        level: i64,
    }
    #[derive(Debug, Schema)]
    #[schema(partition_by(list(id), values = ["a"]))]
    struct Divided {
        #[schema(primary_key)]
        id: String,
    }

    let (_directory, sqlite) = stacks::sqlite().await;
    let sqlite = Arc::new(sqlite);
    let base = || mem().tier(Arc::clone(&sqlite)).schema::<Player>();
    let table = |table: &'static str| base().schema_with::<City>(move |options| options.policies.truth.table = Some(table.to_owned()));
    let prefix =
        |prefix: &'static str| base().schema_with::<City>(move |options| options.policies.shared.key_prefix = Some(prefix.to_owned()));
    for (builder, said) in [
        (base().schema::<Player>(), &["(`player`)", "added twice", "add it once"][..]),
        (base().schema::<Namesake>(), &["(`player`)", "another model has this name", "#[schema(name = \"…\")]"]),
        (table("Player"), &["(`city`)", "shares the table `Player` with schema `player`", "another"]),
        (table("player_region_level_idx"), &["(`city`)", "`player_region_level_idx`", "another name"]),
        (base().schema::<Region>(), &["(`player_region`)", "`player_region_level_idx`", "taken by schema `player`"]),
        (table("divided_is_a").schema::<Divided>(), &["(`divided`)", "`divided_is_a`", "taken by schema `city`"]),
        (prefix("player"), &["(`city`)", "key prefix `player`", "another"]),
        (prefix("player:old"), &["(`city`)", "key prefix `player:old`", "one key"]),
    ] {
        check(builder.build().await.expect_err("they clash"), ErrorKind::SchemaDuplicate, said);
    }
    base().schema::<Membership>().build().await.expect("different models do not clash");
}

/// An index whose name is taken is left out by the database in silence.
#[tokio::test]
async fn a_model_must_keep_out_of_its_own_way() {
    #[derive(Debug, Schema)]
    #[schema(index(columns(size), name = "Boat"))]
    struct Boat {
        #[schema(primary_key)]
        id: String,
        size: i64,
    }
    #[derive(Debug, Schema)]
    #[schema(index(columns(size), name = "ship_pkey"))]
    struct Ship {
        #[schema(primary_key)]
        id: String,
        size: i64,
    }
    let (_directory, sqlite) = stacks::sqlite().await;
    let sqlite = Arc::new(sqlite);
    refused(mem().tier(Arc::clone(&sqlite)).schema::<Boat>(), &["schema `boat`", "name `Boat`", "give the index another"]).await;
    refused(mem().tier(Arc::clone(&sqlite)).schema::<Ship>(), &["schema `ship`", "name `ship_pkey`"]).await;
    let elsewhere = mem().tier(sqlite).schema_with::<Ship>(|options| options.policies.truth.table = Some("ships".to_owned()));
    elsewhere.build().await.expect("that name is free");
}

#[test]
fn a_store_needs_a_runtime() {
    let build = mem().schema_with::<Player>(cache_only).build();
    let error = futures_util::FutureExt::now_or_never(build).expect("it fails at once").expect_err("there is no runtime");
    check(error, ErrorKind::InvalidConfig, &["needs a tokio runtime", "#[tokio::main]"]);
}

#[tokio::test]
async fn a_store_that_may_make_no_tables_needs_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("game.db");
    let builder = |create_tables| {
        let path = path.clone();
        async move {
            let builder = Store::open(path).await.unwrap().schema::<Player>().schema::<City>();
            builder.configure(|settings| settings.create_tables = create_tables).build().await
        }
    };
    let error = builder(false).await.unwrap_err();
    assert_eq!((error.kind(), error.operation(), error.tier()), (ErrorKind::SchemaMismatch, Some("build"), Some(Role::Truth)), "{error}");
    for part in [
        "`_strata_version`, `_strata_log`, `_strata_journals`, `_strata_dead_letters`, `player`, `city`",
        "`create_tables` is off; turn it on",
    ] {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no file was made");

    builder(true).await.unwrap().close().await.unwrap();
    let store = builder(false).await.unwrap();
    store.collection::<Player>().unwrap().set(store_tests::models::player("a", 1)).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_may_make_no_tables_needs_them_in_postgres() {
    let (_database, tier) = stacks::postgres::open().await;
    let builder = Store::builder().tier(tier).schema::<Player>().configure(|settings| settings.create_tables = false);
    let error = builder.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
    assert!(
        error
            .to_string()
            .contains("`_strata_version`, `_strata_log`, `_strata_log_pruned`, `_strata_journals`, `_strata_dead_letters`, `player`"),
        "{error}"
    );
}
