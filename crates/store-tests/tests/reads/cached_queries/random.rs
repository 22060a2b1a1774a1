//! Random writes by two instances on one truth, and after each the answers that memory keeps beside those of SQL.
//!
//! `STRATA_QUERY_OPERATIONS` says how many there are; `cargo xtask prove queries` sets it.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use strata::{Changes, Collection, Freshness, Order, Query, Schema, Store, StoreBuilder, params};

use store_tests::stacks::{Bench, Models, Stack};

const KEYS: u64 = 24;
const QUERIES: u64 = 24;
/// After so many operations there are other queries.
const SERIES: u64 = 4_000;

/// One column of each kind that conditions compare exactly, and some of those that they do not.
#[derive(Debug, Clone, PartialEq, Schema)]
struct Part {
    #[schema(primary_key)]
    id: i64,
    name: String,
    shelf: Option<i64>,
    stock: i64,
    open: bool,
    price: f64,
    note: Option<String>,
    labels: Vec<i64>,
    #[schema(auto_now)]
    changed_at: std::time::SystemTime,
}

struct Parts;

impl Models for Parts {
    fn register<N: strata::facet::NearTier>(&self, _: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        builder.schema::<Part>()
    }
}

/// Pseudo-random numbers of one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn key(&mut self) -> i64 {
        self.roll(KEYS) as i64 + 1
    }

    fn number(&mut self) -> i64 {
        self.roll(6) as i64 - 1
    }

    fn maybe(&mut self) -> Option<i64> {
        (self.roll(3) > 0).then(|| self.number())
    }

    fn name(&mut self) -> &'static str {
        ["", "bolt", "Bolt", "nut", "nut 2", "ñu"][self.roll(6) as usize]
    }

    fn part(&mut self, id: i64) -> Part {
        Part {
            id,
            name: self.name().to_owned(),
            shelf: self.maybe(),
            stock: self.number(),
            open: self.roll(2) == 0,
            price: self.number() as f64 / 2.0,
            note: (self.roll(2) == 0).then(|| self.name().to_owned()),
            labels: vec![self.number()],
            changed_at: std::time::UNIX_EPOCH,
        }
    }

    /// Assignments of one or two columns.
    fn changes(&mut self) -> Changes<Part> {
        let count = 1 + self.roll(2);
        let assignment = |_| match self.roll(7) {
            0 => Part::name().set(self.name()),
            1 => Part::shelf().set(self.maybe()),
            2 | 3 => Part::stock().set(self.number()),
            4 => Part::open().set(self.roll(2) == 0),
            5 => Part::price().set(self.number() as f64),
            _ => Part::labels().set(vec![self.number()]),
        };
        let mut changes: Vec<_> = (0..count).map(assignment).collect();
        // Of two for one column only one may stand.
        if count == 2 && format!("{:?}", changes[0]) == format!("{:?}", changes[1]) {
            changes.pop();
        }
        changes.into()
    }

    fn condition(&mut self, depth: u64) -> Query<Part> {
        Query::from(self.filter(depth))
    }

    fn filter(&mut self, depth: u64) -> strata::Filter {
        if depth > 0 && self.roll(3) == 0 {
            let first = self.filter(depth - 1);
            return match self.roll(3) {
                0 => first.and(self.filter(depth - 1)),
                1 => first.or(self.filter(depth - 1)),
                _ => !first,
            };
        }
        match self.roll(14) {
            0 => Part::id().le(self.key()),
            1 => Part::name().eq(self.name()),
            2 => Part::name().gt(self.name()),
            3 => Part::name().like(["%o%", "nut%", "_", "%"][self.roll(4) as usize]),
            4 => Part::shelf().eq(self.number()),
            5 => Part::shelf().is_null(),
            6 => Part::shelf().ne(self.number()),
            7 => Part::stock().between(self.number(), self.number()),
            8 => Part::stock().one_of([self.number(), self.number()]),
            9 => Part::open().eq(self.roll(2) == 0),
            10 => Part::price().ge(self.number() as f64),
            11 => Part::note().ne(self.name()),
            12 => Part::stock().gt(self.number()),
            _ => strata::Filter::Raw { sql: "stock + coalesce(shelf, 0) > $1".into(), params: params![self.number()] },
        }
    }

    fn query(&mut self) -> Query<Part> {
        let mut query = if self.roll(6) == 0 { Query::new() } else { self.condition(2) };
        for _ in 0..self.roll(3) {
            let order: Order = match self.roll(6) {
                0 => Part::name().asc(),
                1 => Part::shelf().desc(),
                2 => Part::shelf().asc(),
                3 => Part::stock().desc(),
                4 => Part::id().desc(),
                _ => Part::open().asc(),
            };
            query = query.order_by(order);
        }
        if self.roll(2) == 0 {
            query = query.limit(1 + self.roll(8));
        }
        if self.roll(5) == 0 {
            query = query.offset(self.roll(4));
        }
        query
    }
}

/// How a query is asked.
#[derive(Debug, Clone, Copy)]
enum Form {
    Records,
    Names,
    Stocks,
}

/// What a query answers, as text. Doubles, times and nested values too are compared exactly.
async fn ask(parts: &Collection<Part>, query: &Query<Part>, form: Form, cached: bool) -> String {
    let mut text = String::new();
    match (form, cached) {
        (Form::Records, true) => write!(text, "{:?}", parts.search_cached(query).await.unwrap()),
        (Form::Records, false) => write!(text, "{:?}", parts.search(query.clone()).await.unwrap()),
        (Form::Names, true) => write!(text, "{:?}", parts.select_cached(query, (Part::name(), Part::shelf())).await.unwrap()),
        (Form::Names, false) => write!(text, "{:?}", parts.select(query.clone(), (Part::name(), Part::shelf())).await.unwrap()),
        (Form::Stocks, true) => write!(text, "{:?}", parts.select_cached(query, Part::stock()).await.unwrap()),
        (Form::Stocks, false) => write!(text, "{:?}", parts.select(query.clone(), Part::stock()).await.unwrap()),
    }
    .unwrap();
    text
}

/// One of the two instances.
struct Instance {
    store: Store,
    parts: Collection<Part>,
    /// Whether the other one has written since this one last heard all.
    is_behind: bool,
    /// What it answered last of each query, where it keeps that.
    kept: HashMap<usize, String>,
}

#[derive(Debug, Default)]
struct Report {
    operations: u64,
    writes: u64,
    cached: u64,
    wrong: u64,
    voided: u64,
    in_vain: u64,
}

async fn write(dice: &mut Dice, instance: &Instance) {
    let (parts, key) = (&instance.parts, dice.key());
    match dice.roll(20) {
        0..4 => drop(parts.set(dice.part(key)).await.unwrap()),
        4..9 => drop(parts.patch(key, dice.changes()).await.unwrap()),
        9 => drop(parts.insert_only(dice.part(key)).await),
        10 | 11 => drop(parts.delete(key).await.unwrap()),
        12 => {
            let models: Vec<Part> = (0..3)
                .map(|_| {
                    let key = dice.key();
                    dice.part(key)
                })
                .collect();
            parts.set_many(models).await.unwrap();
        }
        13 => drop(parts.delete_many([key, dice.key()]).await.unwrap()),
        14 | 15 => {
            let stock = dice.number();
            parts.update(key, |part| part.stock = stock).await.unwrap();
        }
        16 => drop(parts.update_where(dice.condition(1), dice.changes()).await.unwrap()),
        17 => {
            let few = dice.filter(1).and(Part::id().le(key)).and(Part::id().gt(key - 4));
            parts.delete_where(few).await.unwrap();
        }
        18 => {
            let (part, other, commits) = (dice.part(key), dice.key(), dice.roll(3) > 0);
            let (third, stock, few, kind) = (dice.key(), dice.number(), dice.filter(1).and(Part::id().le(key)), dice.roll(3));
            let outcome = instance.store.transaction(async |tx| {
                if kind > 0 {
                    tx.patch::<Part>(third, Part::stock().set(stock)).await?;
                    tx.update_where(few.clone(), Part::open().set(stock > 2)).await?;
                }
                if kind < 2 {
                    tx.set(part.clone()).await?;
                    tx.delete::<Part>(other).await?;
                    tx.patch::<Part>(third, Part::shelf().set(Some(stock))).await?;
                }
                if commits { Ok(()) } else { Err(strata::Error::new(strata::ErrorKind::Conflict, "on purpose")) }
            });
            assert_eq!(outcome.await.is_ok(), commits);
        }
        _ => match dice.roll(4) {
            0 => parts.invalidate(key).await.unwrap(),
            1 => drop(parts.invalidate_all().await.unwrap()),
            2 => parts.invalidate_tag("front").await.unwrap(),
            _ => drop(parts.get(key).await.unwrap()),
        },
    }
}

async fn play(stack: Stack, operations: u64, seed: u64) -> Report {
    let mut bench: Bench = stack.open_with(Duration::from_secs(3_600), &Parts).await;
    let second = bench.another_with(&Parts).await;
    let plain = bench.without_caches(|builder| builder.schema::<Part>()).await;
    let sql: Collection<Part> = plain.collection().unwrap();
    let mut instances = [bench.store.clone(), second].map(|store| Instance {
        parts: store.collection().unwrap(),
        store,
        is_behind: false,
        kept: HashMap::new(),
    });
    let mut dice = Dice(seed);
    let (mut report, mut queries) = (Report::default(), Vec::new());
    while report.operations < operations {
        if report.operations.is_multiple_of(SERIES) {
            queries = (0..QUERIES).map(|_| (dice.query(), [Form::Records, Form::Names, Form::Stocks][dice.roll(3) as usize])).collect();
            instances.iter_mut().for_each(|instance| instance.kept.clear());
        }
        report.operations += 1;
        let by = dice.roll(2) as usize;
        if dice.roll(10) == 0 {
            report.writes += 1;
            write(&mut dice, &instances[by]).await;
            instances[1 - by].is_behind = true;
            continue;
        }
        let number = dice.roll(QUERIES) as usize;
        let (query, form) = &queries[number];
        let instance = &mut instances[by];
        let parts = match (instance.is_behind, dice.roll(2)) {
            (false, _) => instance.parts.clone(),
            (true, 0) => instance.parts.with_freshness(Freshness::Bounded(Duration::ZERO)),
            (true, _) => instance.parts.with_freshness(Freshness::Session(instance.store.token().await.unwrap().unwrap())),
        };
        instance.is_behind = false;
        let before = instance.store.stats();
        let answer = ask(&parts, query, *form, true).await;
        let after = instance.store.stats();
        let expected = ask(&sql, query, *form, false).await;
        report.cached += after.query_hits - before.query_hits;
        if answer != expected {
            report.wrong += 1;
            eprintln!(
                "operation {} of the seed {seed} on {stack:?}: {query:?} as {form:?}\n  memory {answer}\n  SQL    {expected}",
                report.operations
            );
        }
        let known = instance.kept.remove(&number);
        if after.query_misses > before.query_misses
            && let Some(known) = known
        {
            report.voided += 1;
            report.in_vain += u64::from(known == expected);
        }
        if after.fills_refused == before.fills_refused {
            instance.kept.insert(number, answer);
        }
    }
    for instance in instances {
        instance.store.close().await.unwrap();
    }
    plain.close().await.unwrap();
    report
}

async fn no_answer_is_wrong(stack: Stack) {
    let given = std::env::var("STRATA_QUERY_OPERATIONS").map(|text| text.parse().expect("a number of operations"));
    let seed = std::env::var("STRATA_QUERY_SEED").map_or_else(|_| u64::from(std::process::id()), |text| text.parse().expect("a seed"));
    let report = play(stack, given.unwrap_or(1_500), seed).await;
    let part = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    println!(
        "{stack:?}, seed {seed}: {} operations, {} of them writes; {} answers from memory, {} wrong answers; \
         {} answers were voided, {} of them in vain: over-invalidation {:.3}",
        report.operations,
        report.writes,
        report.cached,
        report.wrong,
        report.voided,
        report.in_vain,
        part(report.in_vain, report.voided),
    );
    assert_eq!(report.wrong, 0);
    assert!(report.cached > 0 && report.voided > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_from_memory_are_those_of_sqlite() {
    no_answer_is_wrong(Stack::MemSqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_from_memory_are_those_of_postgres() {
    no_answer_is_wrong(Stack::MemPostgres).await;
}
