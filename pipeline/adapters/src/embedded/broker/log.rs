//! Where the broker keeps records: a row per produced batch, as the producer encoded it, so that neither writing nor
//! reading takes a batch apart.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use libsql::{Connection, TransactionBehavior, params};
use tansu_sans_io::ErrorCode;
use tansu_sans_io::record::Record;
use tansu_sans_io::record::deflated::Batch;
use tansu_storage::{Storage, StorageContainer, TopicId};
use tokio::sync::{Mutex as AsyncMutex, watch};
use uuid::Uuid;

use super::standing::{Placed, Standing};

pub(super) type Result<T, E = tansu_broker::Error> = std::result::Result<T, E>;

const SCHEMA: &str = "
create table if not exists partition (
    id integer primary key,
    topic text not null,
    number integer not null,
    -- the first offset that is there, and one past the last
    first integer not null,
    high integer not null,
    -- where compaction last ended
    compacted integer not null,
    unique (topic, number)
);
create table if not exists batch (
    partition integer not null,
    last integer not null,
    -- the newest timestamp of its records
    at integer not null,
    data blob not null,
    primary key (partition, last)
);
";

/// The log. Cheap to clone.
#[derive(Clone)]
pub(super) struct Log(Arc<Inner>);

struct Inner {
    /// Topics, groups and positions are Tansu's.
    meta: StorageContainer,
    writer: AsyncMutex<Connection>,
    reader: AsyncMutex<Connection>,
    topics: Mutex<HashMap<String, Vec<Standing>>>,
    names: Mutex<HashMap<[u8; 16], String>>,
    /// Counts appends, to wake whoever waits for records.
    appended: watch::Sender<u64>,
}

impl Log {
    pub(super) async fn open(file: &Path, meta: StorageContainer) -> Result<Self> {
        let database = libsql::Builder::new_local(file).build().await?;
        let writer = connect(&database).await?;
        writer.execute_batch(SCHEMA).await?;
        let reader = connect(&database).await?;
        let topics = load(&reader).await?;
        Ok(Self(Arc::new(Inner {
            meta,
            writer: AsyncMutex::new(writer),
            reader: AsyncMutex::new(reader),
            topics: Mutex::new(topics),
            names: Mutex::default(),
            appended: watch::Sender::new(0),
        })))
    }

    pub(super) fn meta(&self) -> &StorageContainer {
        &self.0.meta
    }

    /// Changes whenever something was appended.
    pub(super) fn appends(&self) -> watch::Receiver<u64> {
        self.0.appended.subscribe()
    }

    pub(super) fn writer(&self) -> &AsyncMutex<Connection> {
        &self.0.writer
    }

    pub(super) fn topics(&self) -> MutexGuard<'_, HashMap<String, Vec<Standing>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets where a partition begins and was compacted to.
    pub(super) fn stands(&self, topic: &str, number: i32, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.topics().get_mut(topic).and_then(|standings| {
            standings
                .iter_mut()
                .find(|standing| standing.number == number)
        }) {
            change(standing);
        }
    }

    /// A partition's standing; none where there is no such partition.
    pub(super) async fn standing(&self, topic: &str, number: i32) -> Result<Option<Standing>> {
        let find =
            |standings: &Vec<Standing>| standings.iter().find(|it| it.number == number).cloned();
        let known = self.topics().get(topic).map(find);
        match known {
            Some(known) => Ok(known),
            None => {
                self.discover(topic).await?;
                Ok(self.topics().get(topic).and_then(find))
            }
        }
    }

    /// The name of a topic given by id, as newer fetch requests do.
    pub(super) async fn name(&self, id: [u8; 16]) -> Result<Option<String>> {
        let known = self.names().get(&id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let found = self
            .meta()
            .metadata(Some(&[TopicId::Id(Uuid::from_bytes(id))]))
            .await?;
        let name = found.topics().first().and_then(|topic| topic.name.clone());
        if let Some(name) = &name {
            self.names().insert(id, name.clone());
        }
        Ok(name)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<[u8; 16], String>> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a topic that was created since.
    async fn discover(&self, topic: &str) -> Result<()> {
        let found = self
            .meta()
            .metadata(Some(&[TopicId::Name(topic.to_owned())]))
            .await?;
        let partitions = found
            .topics()
            .first()
            .filter(|topic| topic.error_code == i16::from(ErrorCode::None))
            .and_then(|topic| topic.partitions.as_ref())
            .map_or(0, Vec::len);
        if partitions == 0 {
            return Ok(());
        }
        let writer = self.0.writer.lock().await;
        for number in 0..partitions as i64 {
            writer
                .execute(
                    "insert or ignore into partition (topic, number, first, high, compacted) values (?1, ?2, 0, 0, 0)",
                    params![topic, number],
                )
                .await?;
        }
        let mut all = load(&writer).await?;
        if let Some(standings) = all.remove(topic) {
            self.topics().entry(topic.to_owned()).or_insert(standings);
        }
        Ok(())
    }

    /// Forgets a topic's records. Its name may be used again.
    pub(super) async fn forget(&self, topic: &str) -> Result<()> {
        let writer = self.0.writer.lock().await;
        let tx = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .await?;
        tx.execute(
            "delete from batch where partition in (select id from partition where topic = ?1)",
            params![topic],
        )
        .await?;
        tx.execute("delete from partition where topic = ?1", params![topic])
            .await?;
        tx.commit().await?;
        self.topics().remove(topic);
        self.names().retain(|_, name| name != topic);
        Ok(())
    }

    /// Appends batches to partitions, all in one transaction; for each its first offset, or what is wrong with it.
    pub(super) async fn append(
        &self,
        batches: Vec<(String, i32, Batch)>,
    ) -> Result<Vec<Result<i64, ErrorCode>>> {
        for (topic, number, _) in &batches {
            self.standing(topic, *number).await?;
        }
        let writer = self.0.writer.lock().await;
        let tx = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .await?;
        // Standings change only under the writer's lock, and only once the transaction has committed.
        let mut changed: HashMap<(String, i32), Standing> = HashMap::new();
        let mut results = Vec::with_capacity(batches.len());
        for (topic, number, mut batch) in batches {
            let key = (topic, number);
            let standing = changed.remove(&key).or_else(|| {
                let topics = self.topics();
                topics
                    .get(&key.0)?
                    .iter()
                    .find(|it| it.number == number)
                    .cloned()
            });
            let Some(mut standing) = standing else {
                results.push(Err(ErrorCode::UnknownTopicOrPartition));
                continue;
            };
            let placed = standing.place(&batch);
            if let Ok(Placed {
                base,
                repeated: false,
            }) = placed
            {
                batch.base_offset = base;
                let (last, at) = (batch.max_offset(), batch.max_timestamp);
                let data = Bytes::from(batch);
                tx.execute(
                    "insert into batch (partition, last, at, data) values (?1, ?2, ?3, ?4)",
                    params![standing.id, last, at, data.as_ref()],
                )
                .await?;
                tx.execute(
                    "update partition set high = ?2 where id = ?1",
                    params![standing.id, standing.high],
                )
                .await?;
            }
            results.push(placed.map(|placed| placed.base));
            changed.insert(key, standing);
        }
        tx.commit().await?;
        let mut topics = self.topics();
        for ((topic, number), new) in changed {
            let standings = topics.get_mut(&topic);
            if let Some(old) =
                standings.and_then(|all| all.iter_mut().find(|it| it.number == number))
            {
                *old = new;
            }
        }
        drop(topics);
        self.0.appended.send_modify(|count| *count += 1);
        Ok(results)
    }

    /// Batches from the one that holds `offset` on, up to `budget` bytes; the first whatever its size if `least`.
    pub(super) async fn read(
        &self,
        partition: i64,
        offset: i64,
        budget: usize,
        least: bool,
    ) -> Result<Vec<Batch>> {
        let reader = self.0.reader.lock().await;
        let mut rows = reader
            .query(
                "select data from batch where partition = ?1 and last >= ?2 order by last",
                params![partition, offset],
            )
            .await?;
        let mut batches = Vec::new();
        let mut size = 0;
        while let Some(row) = rows.next().await? {
            let data = row.get::<Vec<u8>>(0)?;
            size += data.len();
            if size > budget && !(least && batches.is_empty()) {
                break;
            }
            batches.push(Batch::try_from(Bytes::from(data))?);
        }
        Ok(batches)
    }

    /// The first record not older than `timestamp` (milliseconds): its offset and its own timestamp.
    pub(super) async fn at(&self, partition: i64, timestamp: i64) -> Result<Option<(i64, i64)>> {
        let reader = self.0.reader.lock().await;
        let mut rows = reader
            .query(
                "select data from batch where partition = ?1 and at >= ?2 order by last limit 1",
                params![partition, timestamp],
            )
            .await?;
        let Some(row) = rows.next().await? else {
            return Ok(None);
        };
        let batch = Batch::try_from(Bytes::from(row.get::<Vec<u8>>(0)?))?;
        let (offset, begin) = (batch.base_offset, batch.base_timestamp);
        let found = Vec::<Record>::try_from(batch)?
            .into_iter()
            .map(|record| {
                (
                    offset + i64::from(record.offset_delta),
                    begin + record.timestamp_delta,
                )
            })
            .find(|(_, at)| *at >= timestamp);
        Ok(found)
    }
}

/// Durable against the end of the process at any moment; not against that of the machine.
async fn connect(database: &libsql::Database) -> Result<Connection> {
    let connection = database.connect()?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection
        .execute_batch("pragma auto_vacuum = incremental; pragma journal_mode = wal; pragma synchronous = normal;")
        .await?;
    Ok(connection)
}

async fn load(connection: &Connection) -> Result<HashMap<String, Vec<Standing>>> {
    let mut rows = connection
        .query(
            "select topic, id, number, first, high, compacted from partition order by topic, number",
            (),
        )
        .await?;
    let mut topics: HashMap<String, Vec<Standing>> = HashMap::new();
    while let Some(row) = rows.next().await? {
        let mut standing = Standing::new(row.get(1)?, row.get(2)?);
        standing.first = row.get(3)?;
        standing.high = row.get(4)?;
        standing.compacted = row.get(5)?;
        topics.entry(row.get(0)?).or_default().push(standing);
    }
    Ok(topics)
}
