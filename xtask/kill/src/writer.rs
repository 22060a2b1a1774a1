//! The process that is killed: it opens the store, which replays the journal, tells what the truth holds then, and writes until its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::sqlite::{SqliteConfig, SqliteTier, Synchronous};
use strata::{Acknowledge, Role, SchemaOptions, Store, WriteBehind, WriteMode};
use tokio::sync::mpsc;

use crate::arguments::Task;
use crate::calls::Caller;
use crate::model::{InJournal, InMemory, InTruth, Numbered, Place, TASKS, Through, for_level};
use crate::protocol::Line;
use crate::truth::application;

/// So small that its segments come and go.
const JOURNAL_BYTES: u64 = 256 << 10;
/// A loaded machine is no failure of the store.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the store of a writer.
pub(crate) async fn open(task: &Task) -> Result<Store> {
    let mut random = fastrand::Rng::with_seed(task.seed);
    let write_behind = WriteBehind {
        flush_interval: Duration::from_millis(random.u64(1..150)),
        flush_threshold: random.choice([3, 20, 1_000]).unwrap_or_default(),
        journal_bytes: JOURNAL_BYTES,
        ..WriteBehind::default()
    };
    let builder = Store::builder().near(MemTier::new());
    let builder = match task.truth.starts_with("postgres://") {
        true => {
            let config = PgConfig::from_url(&task.truth)?.with_application_name(&application(task.number)).with_max_connections(8);
            builder.tier(PgTier::connect(config).await?)
        }
        false => builder.tier(SqliteTier::open(SqliteConfig::new(&task.truth).with_synchronous(Synchronous::Normal)).await?),
    };
    let builder = builder
        .schema_with::<InMemory>(|options| behind(options, Acknowledge::Memory))
        .schema_with::<InJournal>(|options| behind(options, Acknowledge::Journal))
        .schema_with::<InTruth>(|options| behind(options, Acknowledge::Truth))
        .schema::<Through>();
    let builder = builder.journal(&task.journal).write_behind(write_behind).configure(|settings| {
        settings.operation_timeout = PATIENCE;
        settings.breaker.enabled = false;
    });
    builder.build().await.context("the store cannot be built")
}

fn behind<T: Numbered>(options: &mut SchemaOptions<T>, level: Acknowledge) {
    options.policies.write_mode = Some(WriteMode::WriteBehind);
    options.acknowledge(level);
}

/// Writes until it is killed, or closes the store where the conductor has no numbers for it.
pub(crate) async fn run(task: Task) -> Result<()> {
    let mut input = listen();
    Line::Opening.tell()?;
    let store = open(&task).await?;
    store.flush().await.context("what the journal held cannot be flushed")?;
    Line::Flushed.tell()?;
    if input.recv().await.is_none() {
        return Ok(store.close().await?);
    }
    let mut held = BTreeMap::new();
    for place in Place::all() {
        let found = for_level!(place.level, Model => {
            let record = store.collection::<Model>()?.from(Role::Truth).get(place.key).await?;
            record.map(|record| record.number())
        });
        Line::Found(place, found).tell()?;
        held.insert(place, found.is_some());
    }
    Line::Ready.tell()?;
    let Some(numbers) = numbers(&mut input).await? else { return Ok(store.close().await?) };
    let calls = Arc::new(AtomicU64::new(1));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let places = Place::of_task(number).map(|place| {
            let next = numbers.get(&place).copied().with_context(|| format!("{place} has no number"))?;
            Ok((place, next, held.get(&place).is_some_and(|held| *held)))
        });
        let random = fastrand::Rng::with_seed(task.seed ^ (number as u64 + 1));
        let caller = Caller::new(store.clone(), Arc::clone(&calls), random, places.collect::<Result<_>>()?);
        tasks.spawn(caller.run());
    }
    // It ends with the conductor, if nobody kills it before.
    tokio::select! {
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            _ => bail!("a task of the writer ended"),
        },
        _ = input.recv() => Ok(()),
    }
}

/// The lines that the conductor says.
fn listen() -> mpsc::Receiver<String> {
    let (said, lines) = mpsc::channel(1);
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| said.blocking_send(line)));
    lines
}

/// The next number of each key.
async fn numbers(input: &mut mpsc::Receiver<String>) -> Result<Option<BTreeMap<Place, i64>>> {
    let Some(line) = input.recv().await else { return Ok(None) };
    let number = |word: &str| {
        let (place, number) = word.split_once('=').context("a number has no key")?;
        Ok((place.parse()?, number.parse()?))
    };
    line.split(' ').map(number).collect::<Result<_>>().map(Some)
}
