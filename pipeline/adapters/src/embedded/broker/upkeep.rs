//! What keeps the log from growing for ever: retention and compaction.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use libsql::{Connection, TransactionBehavior, params};
use tansu_sans_io::record::{deflated, inflated};
use tansu_sans_io::{ConfigResource, ErrorCode};
use tansu_storage::Storage;

use super::log::{Log, Result};
use super::standing::Standing;

const EVERY: Duration = Duration::from_secs(600);
/// Records, or bytes, that a compacted partition must have gained before it is compacted again.
const WORTHWHILE: Gain = Gain {
    records: 1000,
    bytes: 64 << 20,
};
/// The same where all is at rest, and compacting is in nobody's way.
const WORTHWHILE_AT_REST: Gain = Gain {
    records: 1000,
    bytes: 1 << 20,
};
/// Free pages given back to the file system in one go.
const VACUUM: &str = "pragma incremental_vacuum(4096)";

struct Gain {
    records: i64,
    bytes: i64,
}

/// How a topic is kept, by its settings.
struct Policy {
    compact: bool,
    /// Milliseconds.
    retention: Option<i64>,
}

/// Now and then, for ever.
pub(super) async fn upkeep(log: Log) {
    loop {
        if let Err(error) = tidy(&log, now()).await {
            tracing::warn!(%error, "the embedded log cannot be tidied up");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Applies every topic's policy as of `now` (milliseconds since the epoch).
pub(super) async fn tidy(log: &Log, now: i64) -> Result<()> {
    for (topic, standings) in all(log) {
        let policy = policy(log, &topic).await?;
        for standing in standings {
            if let Some(retention) = policy.retention {
                expire(log, &topic, &standing, now - retention).await?;
            }
            if policy.compact && has_gained(log, &standing, &WORTHWHILE).await? {
                compact(log, &topic, &standing).await?;
            }
        }
    }
    query(log, VACUUM).await
}

fn all(log: &Log) -> Vec<(String, Vec<Standing>)> {
    log.topics()
        .iter()
        .map(|(topic, standings)| (topic.clone(), standings.clone()))
        .collect()
}

/// Whether compacting would be worth while. A few large records may weigh more than many small ones.
async fn has_gained(log: &Log, standing: &Standing, worthwhile: &Gain) -> Result<bool> {
    if standing.high - standing.compacted >= worthwhile.records {
        return Ok(true);
    }
    let writer = log.writer().lock().await;
    let mut rows = writer
        .query(
            "select coalesce(sum(length(data)), 0) from batch where partition = ?1 and last >= ?2",
            params![standing.id, standing.compacted],
        )
        .await?;
    match rows.next().await? {
        Some(row) => Ok(row.get::<i64>(0)? >= worthwhile.bytes),
        None => Ok(false),
    }
}

/// Runs a pragma to its end.
async fn query(log: &Log, pragma: &str) -> Result<()> {
    let writer = log.writer().lock().await;
    let mut rows = writer.query(pragma, ()).await?;
    while rows.next().await?.is_some() {}
    Ok(())
}

async fn policy(log: &Log, topic: &str) -> Result<Policy> {
    let found = log
        .meta()
        .describe_config(topic, ConfigResource::Topic, None)
        .await?;
    let configs = found.configs.unwrap_or_default();
    let value = |name: &str| {
        configs
            .iter()
            .find(|it| it.name == name)
            .and_then(|it| it.value.clone())
    };
    let cleanup = value("cleanup.policy").unwrap_or_default();
    let retention = value("retention.ms").and_then(|it| it.parse().ok());
    Ok(Policy {
        compact: cleanup.contains("compact"),
        retention: retention.filter(|limit| cleanup.contains("delete") && *limit >= 0),
    })
}

/// Drops batches whose newest record is older than `limit`.
async fn expire(log: &Log, topic: &str, standing: &Standing, limit: i64) -> Result<()> {
    let writer = log.writer().lock().await;
    let tx = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .await?;
    let gone = tx
        .execute(
            "delete from batch where partition = ?1 and at < ?2",
            params![standing.id, limit],
        )
        .await?;
    if gone == 0 {
        return Ok(());
    }
    let mut rows = tx
        .query(
            "select data from batch where partition = ?1 order by last limit 1",
            params![standing.id],
        )
        .await?;
    let left = match rows.next().await? {
        Some(row) => Some(batch(row.get(0)?)?.base_offset),
        None => None,
    };
    drop(rows);
    tx.execute(
        "update partition set first = coalesce(?2, high) where id = ?1",
        params![standing.id, left],
    )
    .await?;
    tx.commit().await?;
    log.stands(topic, standing.number, |standing| {
        standing.first = left.unwrap_or(standing.high)
    });
    Ok(())
}

/// Drops whole batches before each position, compacts what is worth it, and gives the space back to the file system.
pub(super) async fn trim(log: &Log, positions: &[(String, i32, i64)]) -> Result<()> {
    for (topic, number, offset) in positions {
        let Some(standing) = log.standing(topic, *number).await? else {
            continue;
        };
        let first = (*offset).clamp(standing.first, standing.high);
        if first == standing.first {
            continue;
        }
        let writer = log.writer().lock().await;
        let tx = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .await?;
        tx.execute(
            "delete from batch where partition = ?1 and last < ?2",
            params![standing.id, first],
        )
        .await?;
        tx.execute(
            "update partition set first = ?2 where id = ?1",
            params![standing.id, first],
        )
        .await?;
        tx.commit().await?;
        log.stands(topic, *number, |standing| standing.first = first);
    }
    for (topic, standings) in all(log) {
        for standing in standings {
            let gained = has_gained(log, &standing, &WORTHWHILE_AT_REST).await?;
            if gained && policy(log, &topic).await?.compact {
                compact(log, &topic, &standing).await?;
            }
        }
    }
    give_back(log).await
}

/// Gives free space back to the file system.
pub(super) async fn give_back(log: &Log) -> Result<()> {
    query(log, "pragma incremental_vacuum").await?;
    query(log, "pragma wal_checkpoint(truncate)").await
}

/// Drops every record before `offset` (-1: all that are there), also out of the batch that it stands in. Returns the first
/// offset then.
pub(super) async fn purge(
    log: &Log,
    topic: &str,
    number: i32,
    offset: i64,
) -> Result<Result<i64, ErrorCode>> {
    let Some(standing) = log.standing(topic, number).await? else {
        return Ok(Err(ErrorCode::UnknownTopicOrPartition));
    };
    if offset < -1 || offset > standing.high {
        return Ok(Err(ErrorCode::OffsetOutOfRange));
    }
    let first = match offset {
        -1 => standing.high,
        _ => offset.max(standing.first),
    };
    let writer = log.writer().lock().await;
    let tx = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .await?;
    tx.execute(
        "delete from batch where partition = ?1 and last < ?2",
        params![standing.id, first],
    )
    .await?;
    let mut rows = tx
        .query(
            "select last, data from batch where partition = ?1 order by last limit 1",
            params![standing.id],
        )
        .await?;
    if let Some(row) = rows.next().await? {
        let last: i64 = row.get(0)?;
        let mut found = inflated::Batch::try_from(batch(row.get(1)?)?)?;
        drop(rows);
        if found.base_offset < first {
            let base = found.base_offset;
            found
                .records
                .retain(|record| base + i64::from(record.offset_delta) >= first);
            let data = Bytes::from(deflated::Batch::try_from(found)?);
            tx.execute(
                "update batch set data = ?3 where partition = ?1 and last = ?2",
                params![standing.id, last, data.as_ref()],
            )
            .await?;
        }
    }
    tx.execute(
        "update partition set first = ?2 where id = ?1",
        params![standing.id, first],
    )
    .await?;
    tx.commit().await?;
    log.stands(topic, number, |standing| standing.first = first);
    Ok(Ok(first))
}

/// Keeps the newest record of each key; records without one stay. Offsets stay too, so gaps appear.
async fn compact(log: &Log, topic: &str, standing: &Standing) -> Result<()> {
    let writer = log.writer().lock().await;
    let mut seen = HashSet::new();
    let tx = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .await?;
    for last in ends(&tx, standing.id).await? {
        let mut rows = tx
            .query(
                "select data from batch where partition = ?1 and last = ?2",
                params![standing.id, last],
            )
            .await?;
        let Some(row) = rows.next().await? else {
            continue;
        };
        let mut found = inflated::Batch::try_from(batch(row.get(0)?)?)?;
        drop(rows);
        let before = found.records.len();
        found.records.reverse();
        found
            .records
            .retain(|record| record.key.clone().is_none_or(|key| seen.insert(key)));
        found.records.reverse();
        if found.records.is_empty() {
            tx.execute(
                "delete from batch where partition = ?1 and last = ?2",
                params![standing.id, last],
            )
            .await?;
        } else if found.records.len() < before {
            let data = Bytes::from(deflated::Batch::try_from(found)?);
            tx.execute(
                "update batch set data = ?3 where partition = ?1 and last = ?2",
                params![standing.id, last, data.as_ref()],
            )
            .await?;
        }
    }
    tx.execute(
        "update partition set compacted = high where id = ?1",
        params![standing.id],
    )
    .await?;
    tx.commit().await?;
    log.stands(topic, standing.number, |standing| {
        standing.compacted = standing.high
    });
    Ok(())
}

/// The last offsets of a partition's batches, newest first.
async fn ends(connection: &Connection, partition: i64) -> Result<Vec<i64>> {
    let mut rows = connection
        .query(
            "select last from batch where partition = ?1 order by last desc",
            params![partition],
        )
        .await?;
    let mut ends = Vec::new();
    while let Some(row) = rows.next().await? {
        ends.push(row.get(0)?);
    }
    Ok(ends)
}

fn batch(data: Vec<u8>) -> Result<deflated::Batch> {
    Ok(deflated::Batch::try_from(Bytes::from(data))?)
}

pub(super) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
