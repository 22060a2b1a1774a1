//! What the file tells of itself, for people who set it up.

use rusqlite::Connection;
use store_core::Finding;

use crate::error::{self, Origin};
use crate::tier::SqliteTier;

pub(crate) async fn diagnose(tier: &SqliteTier) -> Vec<Finding> {
    let version = Finding::fine(format!("SQLite {}", rusqlite::version()));
    if tier.is_unmade() {
        return vec![version, Finding::notice("the database is not made yet", "the first migration makes it")];
    }
    let looked = tier.readers().run(|worker| look(&worker.connection).map_err(|error| error::from_sqlite(error, Origin::Own))).await;
    let mut findings = vec![version];
    match looked {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::problem(error.to_string(), "check the file's path, owner and mode, and the disk")),
    }
    let is_read_only = std::fs::metadata(tier.path()).is_ok_and(|file| file.permissions().readonly());
    if is_read_only {
        findings.push(Finding::problem("the file is read-only", "give the program's user the right to write it, and its directory"));
    }
    findings
}

fn look(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let (pages, free, size): (i64, i64, i64) = connection.query_row(
        "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut findings = vec![Finding::fine(format!("{} bytes in journal mode {mode}", pages * size))];
    if free > pages / 2 {
        findings.push(Finding::notice(format!("{} bytes of it are free", free * size), "VACUUM, while nobody has it open"));
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    findings.push(match check.as_str() {
        "ok" => Finding::fine("its structure is whole"),
        _ => Finding::problem("its structure is damaged", "put a backup back; what can be read: sqlite3 FILE .recover"),
    });
    Ok(findings)
}
