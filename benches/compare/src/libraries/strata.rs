//! Strata embedded: memory, and SQLite as the tier of truth. `Collection::get`, `invalidate`, `set`, `invalidate_all`.

use anyhow::{Context, Result};
use rusqlite::Connection;
use store_testkit::{FaultTier, Faults, Operation};
use strata::mem::MemTier;
use strata::sqlite::SqliteTier;
use strata::{Collection, Schema, Store};
use tempfile::TempDir;

use crate::library::{CAPACITY, Calls, Hold, KEY, Library, NEW, OLD};

#[derive(Debug, Schema)]
struct Note {
    #[schema(primary_key)]
    id: String,
    text: String,
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.to_owned(), text: text.to_owned() }
}

pub(crate) struct Strata {
    notes: Collection<Note>,
    faults: Faults,
    directory: TempDir,
}

/// A read of SQLite that has its rows and waits with them.
pub(crate) struct HeldRead(store_testkit::Hold);

impl Hold for HeldRead {
    async fn arrived(&mut self) -> Result<()> {
        self.0.arrived().await;
        Ok(())
    }
}

impl Library for Strata {
    const CALLS: Calls = Calls {
        library: "strata",
        read: "get",
        invalidate: "invalidate",
        write: "set",
        invalidate_all: "invalidate_all",
        set_up: "memory and SQLite; SQL typed past it changes the source where the case is no write",
    };

    type Hold = HeldRead;

    async fn open() -> Result<Self> {
        let directory = TempDir::new()?;
        let sqlite = FaultTier::new(SqliteTier::open(directory.path().join("notes.db")).await?);
        let faults = sqlite.faults();
        let builder = Store::builder().near(MemTier::new()).tier(sqlite);
        let builder = builder.schema_with::<Note>(|options| options.policies.near.max_entries = Some(CAPACITY as u64));
        let notes = builder.build().await?.collection()?;
        let strata = Strata { notes, faults, directory };
        strata.run("INSERT INTO note (id, text) VALUES (?1, ?2)", &[KEY, OLD])?;
        Ok(strata)
    }

    fn hold(&self) -> HeldRead {
        HeldRead(self.faults.hold_after(Operation::GetMany))
    }

    async fn read(&self) -> Result<String> {
        let note = self.notes.get(KEY).await?.context("the note is gone")?;
        Ok(note.text.clone())
    }

    async fn change_source(&self) -> Result<()> {
        self.run("UPDATE note SET text = ?2 WHERE id = ?1", &[KEY, NEW])
    }

    async fn invalidate(&self) -> Result<()> {
        Ok(self.notes.invalidate(KEY).await?)
    }

    async fn write(&self) -> Result<()> {
        self.notes.set(note(KEY, NEW)).await?;
        Ok(())
    }

    async fn invalidate_all(&self) -> Result<()> {
        self.notes.invalidate_all().await?;
        Ok(())
    }

    async fn holds_key(&self) -> bool {
        self.notes.peek(KEY).is_some()
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        self.notes.get(key).await?;
        self.notes.set(note(key, "other")).await?;
        Ok(())
    }
}

impl Strata {
    /// Runs SQL as another program would.
    fn run(&self, sql: &str, parameters: &[&str; 2]) -> Result<()> {
        let connection = Connection::open(self.directory.path().join("notes.db"))?;
        connection.execute(sql, parameters)?;
        Ok(())
    }
}
