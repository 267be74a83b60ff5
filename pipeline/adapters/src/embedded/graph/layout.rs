//! Tables, and which version of them a file has.

use penstock_runtime::Failure;

use super::super::sql::Db;

/// Version of `layout.sql`.
const VERSION: i64 = 1;

/// Sets the connection up, makes the tables where there are none, and refuses what this program cannot read.
pub(super) fn prepare(db: &Db) -> Result<(), Failure> {
    // Full: what a call has written survives a loss of power. The size limit gives the space of a large transaction back.
    db.batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;",
    )?;
    db.transaction(|db| {
        if tables(db)? == 0 {
            return db.batch(include_str!("layout.sql"));
        }
        let known = db.rows(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'layout'",
            (),
            |row| row.integer(0),
        )?;
        if known.is_empty() {
            return Err(Failure::fatal(format!(
                "{} is a database of something else: choose another file for the graph",
                db.file().display()
            )));
        }
        let found = db.rows("SELECT max(version) FROM layout", (), |row| row.integer(0))?;
        match found.first() {
            Some(&VERSION) => Ok(()),
            Some(&newer) if newer > VERSION => Err(Failure::fatal(format!(
                "graph {} has layout {newer}, this program knows {VERSION}: use a newer penstock",
                db.file().display()
            ))),
            _ => Err(Failure::fatal(format!(
                "graph {} has an unknown layout: move it away and ingest again to rebuild it",
                db.file().display()
            ))),
        }
    })
}

fn tables(db: &Db) -> Result<usize, Failure> {
    let names = db.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        (),
        |row| row.text(0),
    )?;
    Ok(names.len())
}
