//! The vector cache as a table of SQLite.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use libsql::{Connection, Error, TransactionBehavior, params};
use penstock_runtime::Failure;
use penstock_stages::embed::VectorCache;
use tokio::sync::Mutex;
use uuid::Uuid;

const SCHEMA: &str = "
pragma journal_mode = wal;
pragma synchronous = normal;
create table if not exists vector (
    grp text not null,
    document blob not null,
    model text not null,
    hash text not null,
    -- f32, little-endian
    data blob not null,
    primary key (grp, document, model, hash)
) without rowid;
";

/// Vectors in `vectors.db`. A vector lost with the machine is computed again, so it is not synced.
pub struct SqlVectorCache {
    connection: Mutex<Connection>,
}

impl SqlVectorCache {
    /// Opens the cache in `dir`, which is made if missing.
    pub async fn open(dir: &Path) -> Result<Self, Failure> {
        let file = dir.join("vectors.db");
        let doing = format!("open the vector cache {}", file.display());
        std::fs::create_dir_all(dir)
            .map_err(|error| Failure::fatal(format!("{doing}: {error}")))?;
        let open = async {
            let connection = libsql::Builder::new_local(&file).build().await?.connect()?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.execute_batch(SCHEMA).await?;
            Ok::<_, Error>(connection)
        };
        let connection = open
            .await
            .map_err(|error| Failure::fatal(format!("{doing}: {error}")))?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }
}

#[async_trait]
impl VectorCache for SqlVectorCache {
    async fn get(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        let connection = self.connection.lock().await;
        let read = async {
            let sql = "select data from vector where grp = ?1 and document = ?2 and model = ?3 and hash = ?4";
            let statement = connection.prepare(sql).await?;
            let mut vectors = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let key = params![group, document.as_bytes().as_slice(), model, hash.as_str()];
                let row = statement.query(key).await?.next().await?;
                vectors.push(match row {
                    Some(row) => decode(row.get(0)?),
                    None => None,
                });
                statement.reset();
            }
            Ok::<_, Error>(vectors)
        };
        read.await
            .map_err(|error| classify(&error, "read the vector cache"))
    }

    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        let connection = self.connection.lock().await;
        let write = async {
            let tx = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .await?;
            for (hash, vector) in vectors {
                tx.execute(
                    "insert or replace into vector (grp, document, model, hash, data) values (?1, ?2, ?3, ?4, ?5)",
                    params![group, document.as_bytes().as_slice(), model, hash.as_str(), encode(vector)],
                )
                .await?;
            }
            tx.commit().await
        };
        write
            .await
            .map_err(|error| classify(&error, "write the vector cache"))
    }

    async fn forget(&self, group: &str, document: Uuid) -> Result<(), Failure> {
        let connection = self.connection.lock().await;
        connection
            .execute(
                "delete from vector where grp = ?1 and document = ?2",
                params![group, document.as_bytes().as_slice()],
            )
            .await
            .map(|_| ())
            .map_err(|error| classify(&error, "forget vectors"))
    }
}

fn encode(vector: &[f32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * vector.len());
    for value in vector {
        out.put_f32_le(*value);
    }
    out
}

/// None for what cannot be a vector: it is computed again.
fn decode(data: Vec<u8>) -> Option<Vec<f32>> {
    if !data.len().is_multiple_of(4) {
        return None;
    }
    let mut data = Bytes::from(data);
    Some((0..data.len() / 4).map(|_| data.get_f32_le()).collect())
}

/// SQLite's result codes.
const FULL: i32 = 13;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const IOERR: i32 = 10;

fn classify(error: &Error, doing: &str) -> Failure {
    match error {
        // The low byte is the code, the rest says more.
        Error::SqliteFailure(code, _) => match code & 0xff {
            FULL => Failure::transient(format!("{doing}: the disk is full ({error}); make room")),
            BUSY | LOCKED | IOERR => Failure::transient(format!("{doing}: {error}")),
            _ => Failure::fatal(format!("{doing}: {error}")),
        },
        _ => Failure::fatal(format!("{doing}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_what_every_cache_keeps_and_outlives_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SqlVectorCache::open(dir.path()).await.unwrap();
        crate::objects::tests::keeps_vectors(&cache).await;
        drop(cache);
        let cache = SqlVectorCache::open(dir.path()).await.unwrap();
        let hashes = ["a".to_owned()];
        let found = cache
            .get("g", Uuid::from_u128(2), "m", &hashes)
            .await
            .unwrap();
        assert_eq!(found, [Some(vec![2.0, -2.0, f32::MIN_POSITIVE])]);
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_fatal_and_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("vectors.db"),
            "not a database, and long enough to be looked at".repeat(100),
        )
        .unwrap();
        let failure = SqlVectorCache::open(dir.path()).await.err().unwrap();
        assert_eq!(failure.class(), "fatal");
        assert!(failure.reason().contains("vectors.db"), "{failure}");
    }

    #[test]
    fn blame() {
        let check = |code: i32, expect: &str| {
            let error = Error::SqliteFailure(code, "says sqlite".to_owned());
            assert_eq!(classify(&error, "write").class(), expect, "{code}");
        };
        check(13, "transient");
        check(5, "transient");
        check(10 | (3 << 8), "transient");
        check(11, "fatal");
    }
}
