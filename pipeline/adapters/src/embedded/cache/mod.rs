//! Vectors of texts seen before, in one SQLite file.

use std::path::Path;

use async_trait::async_trait;
use libsql::params;
use penstock_runtime::Failure;
use penstock_stages::embed::VectorCache;
use uuid::Uuid;

use super::sql::{Db, DbThread};

const LAYOUT: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
    CREATE TABLE IF NOT EXISTS vectors (document BLOB NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL, \
    hash TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (document, tenant, model, hash)) WITHOUT ROWID;";

/// The cache. Losing it costs time, never a result.
pub struct SqlVectorCache {
    db: DbThread,
}

impl SqlVectorCache {
    /// Opens the cache in `file`, and makes it if there is none.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let db = Db::open(file)?;
        db.batch(LAYOUT)?;
        Ok(Self {
            db: DbThread::start("vector cache", db)?,
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
        let (group, model, hashes) = (group.to_owned(), model.to_owned(), hashes.to_vec());
        let get = move |db: &Db| {
            let query = "SELECT vector FROM vectors WHERE document = ? AND tenant = ? AND model = ? AND hash = ?";
            let query = db.prepare(query)?;
            let of = |hash: &String| {
                let key = params![
                    document.as_bytes().to_vec(),
                    group.clone(),
                    model.clone(),
                    hash.clone()
                ];
                query.first(key, |row| row.bytes(0).map(|bytes| unpack(&bytes)))
            };
            hashes.iter().map(of).collect()
        };
        self.db.call(get).await
    }

    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        let (group, model, vectors) = (group.to_owned(), model.to_owned(), vectors.to_vec());
        let put = move |db: &Db| {
            let insert = db.prepare("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?, ?)")?;
            for (hash, vector) in vectors {
                insert.run(params![
                    document.as_bytes().to_vec(),
                    group.clone(),
                    model.clone(),
                    hash,
                    pack(&vector)
                ])?;
            }
            Ok(())
        };
        self.db.call(put).await
    }

    async fn count(&self, group: &str, document: Uuid) -> Result<u64, Failure> {
        let group = group.to_owned();
        let count = move |db: &Db| {
            let key = params![document.as_bytes().to_vec(), group];
            let query = "SELECT count(*) FROM vectors WHERE document = ? AND tenant = ?";
            let found = db.rows(query, key, |row| row.integer(0))?;
            Ok(u64::try_from(found.into_iter().sum::<i64>()).unwrap_or(0))
        };
        self.db.call(count).await
    }

    async fn forget(&self, group: &str, document: Uuid) -> Result<(), Failure> {
        let group = group.to_owned();
        let forget = move |db: &Db| {
            let key = params![document.as_bytes().to_vec(), group];
            db.run("DELETE FROM vectors WHERE document = ? AND tenant = ?", key)
                .map(drop)
        };
        self.db.call(forget).await
    }
}

/// Four bytes a number, little-endian.
fn pack(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|it| f32::from_le_bytes(*it))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_by_document_and_model_and_forgets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vectors.db");
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let hashes = ["x".to_owned(), "y".to_owned()];
        {
            let cache = SqlVectorCache::open(&file).unwrap();
            let vectors = [("x".to_owned(), vec![0.5, -1.0])];
            cache.put("g", a, "m", &vectors).await.unwrap();
            cache.put("g", b, "m", &vectors).await.unwrap();
        }
        let cache = SqlVectorCache::open(&file).unwrap();
        let check = async |group: &str, document, model: &str, expected: Option<Vec<f32>>| {
            let found = cache.get(group, document, model, &hashes).await.unwrap();
            assert_eq!(found, [expected, None], "{group} {document} {model}");
        };
        check("g", a, "m", Some(vec![0.5, -1.0])).await;
        check("other", a, "m", None).await;
        check("g", a, "n", None).await;
        assert_eq!(cache.count("g", a).await.unwrap(), 1);
        cache.forget("g", a).await.unwrap();
        assert_eq!(cache.count("g", a).await.unwrap(), 0);
        check("g", a, "m", None).await;
        check("g", b, "m", Some(vec![0.5, -1.0])).await;
    }
}
