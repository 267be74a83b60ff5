//! SQLite through libsql, synchronously: a local database answers at once, so its futures never wait.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use libsql::params::IntoParams;
use libsql::{Builder, Connection, Error, Row, Rows, Statement, Value};
use penstock_runtime::Failure;
use tokio::sync::oneshot;
use uuid::Uuid;

/// How long to wait for another connection to the same file, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// One connection to a database file.
pub(super) struct Db {
    connection: Connection,
    file: PathBuf,
}

impl Db {
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let path = file.to_string_lossy();
        if path.contains('\0') || file.to_str().is_none() {
            return Err(Failure::fatal(format!(
                "the file name {path:?} is not plain text: choose another data folder"
            )));
        }
        let connection = at_once(Builder::new_local(file).build())
            .and_then(|database| database.connect())
            .map_err(|error| classify(&error, file))?;
        let db = Self {
            connection,
            file: file.to_owned(),
        };
        db.connection
            .busy_timeout(BUSY)
            .map_err(|error| db.failure(&error))?;
        Ok(db)
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Runs statements that take no parameters.
    pub fn batch(&self, sql: &str) -> Result<(), Failure> {
        at_once(self.connection.execute_batch(sql))
            .map(drop)
            .map_err(|error| self.failure(&error))
    }

    /// A statement to run many times.
    pub fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Failure> {
        let statement =
            at_once(self.connection.prepare(sql)).map_err(|error| self.failure(&error))?;
        Ok(Prepared {
            statement,
            db: self,
        })
    }

    /// Runs one statement; returns how many rows it changed.
    pub fn run(&self, sql: &str, params: impl IntoParams) -> Result<usize, Failure> {
        self.prepare(sql)?.run(params)
    }

    /// Reads all rows of one query.
    pub fn rows<T>(
        &self,
        sql: &str,
        params: impl IntoParams,
        read: impl FnMut(&Columns) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        self.prepare(sql)?.rows(params, read)
    }

    /// All of `work` or nothing.
    pub fn transaction<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Taking the write lock at once: a read that turns into a write may fail where waiting would have helped.
        self.batch("BEGIN IMMEDIATE")?;
        let result = work(self).and_then(|value| self.batch("COMMIT").map(|()| value));
        if result.is_err() && !self.connection.is_autocommit() {
            // What went wrong is what the caller must hear of, not that undoing it failed too.
            let _ = self.batch("ROLLBACK");
        }
        result
    }

    fn failure(&self, error: &Error) -> Failure {
        classify(error, &self.file)
    }
}

type Job = Box<dyn FnOnce(&Db) + Send>;

/// A database on a thread of its own, which answers in order; each call is one transaction.
pub(super) struct DbThread {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl DbThread {
    pub fn start(name: &'static str, db: Db) -> Result<Self, Failure> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                for job in inbox {
                    job(&db);
                }
            })
            .map_err(|error| Failure::fatal(format!("cannot start the {name} thread: {error}")))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            // Nobody listens where the caller has gone; the work is done all the same.
            let _ = answer.send(db.transaction(work));
        });
        let sent = match &self.jobs {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        let ended = || Failure::fatal("a database's thread has ended: restart");
        if !sent {
            return Err(ended());
        }
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for DbThread {
    fn drop(&mut self) {
        // Closing the channel ends the thread; waiting for it leaves the file closed.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A prepared statement.
pub(super) struct Prepared<'a> {
    statement: Statement,
    db: &'a Db,
}

impl Prepared<'_> {
    /// How many rows it changed.
    pub fn run(&self, params: impl IntoParams) -> Result<usize, Failure> {
        let changed = at_once(self.statement.execute(params));
        self.statement.reset();
        changed.map_err(|error| self.db.failure(&error))
    }

    pub fn rows<T>(
        &self,
        params: impl IntoParams,
        mut read: impl FnMut(&Columns) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut found = Vec::new();
        let result = (|| {
            let mut rows =
                at_once(self.statement.query(params)).map_err(|error| self.db.failure(&error))?;
            while let Some(row) = next(&mut rows).map_err(|error| self.db.failure(&error))? {
                found.push(read(&Columns { row, db: self.db })?);
            }
            Ok(())
        })();
        self.statement.reset();
        result.map(|()| found)
    }

    /// The first row, where there is one.
    pub fn first<T>(
        &self,
        params: impl IntoParams,
        read: impl FnMut(&Columns) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        Ok(self.rows(params, read)?.into_iter().next())
    }
}

/// The columns of one row. libsql's own typed getters panic on a value of another type; these say what is wrong.
pub(super) struct Columns<'a> {
    row: Row,
    db: &'a Db,
}

impl Columns<'_> {
    pub fn integer(&self, column: i32) -> Result<i64, Failure> {
        self.maybe_integer(column)?
            .ok_or_else(|| self.unexpected(column, "an integer"))
    }

    pub fn maybe_integer(&self, column: i32) -> Result<Option<i64>, Failure> {
        match self.value(column)? {
            Value::Integer(number) => Ok(Some(number)),
            Value::Null => Ok(None),
            _ => Err(self.unexpected(column, "an integer")),
        }
    }

    pub fn text(&self, column: i32) -> Result<String, Failure> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.unexpected(column, "text")),
        }
    }

    pub fn id(&self, column: i32) -> Result<Uuid, Failure> {
        self.maybe_id(column)?
            .ok_or_else(|| self.unexpected(column, "an id"))
    }

    pub fn maybe_id(&self, column: i32) -> Result<Option<Uuid>, Failure> {
        match self.value(column)? {
            Value::Blob(bytes) => Uuid::from_slice(&bytes)
                .map(Some)
                .map_err(|_| self.unexpected(column, "an id of 16 bytes")),
            Value::Null => Ok(None),
            _ => Err(self.unexpected(column, "an id")),
        }
    }

    /// JSON kept as text.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: i32) -> Result<T, Failure> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|error| self.unexpected(column, &format!("the JSON expected ({error})")))
    }

    pub fn maybe_json<T: serde::de::DeserializeOwned>(
        &self,
        column: i32,
    ) -> Result<Option<T>, Failure> {
        match self.value(column)? {
            Value::Null => Ok(None),
            _ => self.json(column).map(Some),
        }
    }

    pub fn bytes(&self, column: i32) -> Result<Vec<u8>, Failure> {
        match self.value(column)? {
            Value::Blob(bytes) => Ok(bytes),
            _ => Err(self.unexpected(column, "bytes")),
        }
    }

    fn value(&self, column: i32) -> Result<Value, Failure> {
        self.row
            .get_value(column)
            .map_err(|error| self.db.failure(&error))
    }

    fn unexpected(&self, column: i32, wanted: &str) -> Failure {
        damaged(&self.db.file, &format!("column {column} is not {wanted}"))
    }
}

/// An id as a parameter.
pub(super) fn id(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A value as a JSON parameter. An error is our bug.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::fatal(format!("cannot write a row as JSON: {error}")))
}

/// Whose fault an error of SQLite is, and what to do.
///
/// | code | class |
/// |---|---|
/// | BUSY, LOCKED, NOMEM, INTERRUPT | Transient |
/// | FULL, IOERR | Transient: room may be made, a disk may come back |
/// | TOOBIG | Poison: this row is beyond SQLite's limit |
/// | CANTOPEN, READONLY, PERM, AUTH | Fatal: permissions or path |
/// | CORRUPT, NOTADB | Fatal: rebuild it |
/// | all else | Fatal: our bug |
pub(super) fn classify(error: &Error, file: &Path) -> Failure {
    let shown = file.display();
    let code = match error {
        // The low byte is the code, the rest tells more.
        Error::SqliteFailure(code, _) => code & 0xff,
        Error::ConnectionFailed(_) => 14,
        _ => 1,
    };
    match code {
        5 | 6 => Failure::transient(format!(
            "database {shown} is busy: another program holds it; trying again"
        )),
        7 | 9 => Failure::transient(format!("database {shown} did not finish: {error}")),
        10 => Failure::transient(format!(
            "cannot read or write database {shown}: {error}; check the disk"
        )),
        13 => Failure::transient(format!(
            "no space left for database {shown}: free space on its disk"
        )),
        18 => Failure::poison(format!("a row is too large for database {shown}: {error}")),
        3 | 8 | 14 | 23 => Failure::fatal(format!(
            "cannot open database {shown} for writing: check that its folder exists and permissions"
        )),
        11 | 26 => damaged(file, &error.to_string()),
        _ => Failure::fatal(format!("database {shown}: {error}; please report this")),
    }
}

fn damaged(file: &Path, what: &str) -> Failure {
    Failure::fatal(format!(
        "database {} is damaged ({what}): move it away and ingest again to rebuild it",
        file.display()
    ))
}

fn next(rows: &mut Rows) -> Result<Option<Row>, Error> {
    at_once(rows.next())
}

fn at_once<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // A local database never waits on anything; if a later libsql does, this says so instead of hanging.
    future
        .now_or_never()
        .unwrap_or_else(|| Err(Error::Misuse("a local database waited".into())))
}
