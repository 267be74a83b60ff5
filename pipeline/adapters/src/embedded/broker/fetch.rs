//! Reading, for those who wait for records.

use std::time::Duration;

use rama::{Context, Service};
use tansu_broker::Error;
use tansu_sans_io::fetch_request::{FetchPartition, FetchTopic};
use tansu_sans_io::fetch_response::{FetchableTopicResponse, PartitionData};
use tansu_sans_io::record::deflated::Frame as Batches;
use tansu_sans_io::{ErrorCode, FetchRequest, FetchResponse};
use tokio::time::Instant;

use super::log::{Log, Result};

/// A fetch waits no longer than this, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetch;

impl Service<Log, FetchRequest> for Fetch {
    type Response = FetchResponse;
    type Error = Error;

    /// Answers at once when there is something to say, else as soon as there is, or when the client's patience ends.
    async fn serve(&self, context: Context<Log>, request: FetchRequest) -> Result<FetchResponse> {
        let log = context.state();
        let patience = Duration::from_millis(request.max_wait_ms.max(0) as u64).min(LONGEST_WAIT);
        let deadline = Instant::now() + patience;
        let budget = request.max_bytes.unwrap_or(i32::MAX).max(0) as usize;
        let mut appends = log.appends();
        loop {
            appends.borrow_and_update();
            let mut left = budget;
            let mut news = false;
            let mut responses = Vec::new();
            for topic in request.topics.iter().flatten() {
                responses.push(fetch_topic(log, topic, &mut left, &mut news).await?);
            }
            let changed = tokio::time::timeout_at(deadline, appends.changed());
            if news || changed.await.is_err() {
                return Ok(FetchResponse::default()
                    .throttle_time_ms(Some(0))
                    .error_code(Some(ErrorCode::None.into()))
                    .session_id(Some(0))
                    .node_endpoints(Some(Vec::new()))
                    .responses(Some(responses)));
            }
        }
    }
}

async fn fetch_topic(
    log: &Log,
    topic: &FetchTopic,
    left: &mut usize,
    news: &mut bool,
) -> Result<FetchableTopicResponse> {
    let name = match (&topic.topic, topic.topic_id) {
        (Some(name), _) if !name.is_empty() => Some(name.clone()),
        (_, Some(id)) => log.name(id).await?,
        _ => None,
    };
    let mut partitions = Vec::new();
    for partition in topic.partitions.iter().flatten() {
        partitions.push(fetch_partition(log, name.as_deref(), partition, left, news).await?);
    }
    Ok(FetchableTopicResponse::default()
        .topic(topic.topic.clone())
        .topic_id(topic.topic_id)
        .partitions(Some(partitions)))
}

async fn fetch_partition(
    log: &Log,
    topic: Option<&str>,
    asked: &FetchPartition,
    left: &mut usize,
    news: &mut bool,
) -> Result<PartitionData> {
    let answer = PartitionData::default()
        .partition_index(asked.partition)
        .aborted_transactions(Some(Vec::new()))
        .preferred_read_replica(Some(-1));
    let standing = match topic {
        Some(topic) => log.standing(topic, asked.partition).await?,
        None => None,
    };
    let Some(standing) = standing else {
        *news = true;
        return Ok(answer
            .error_code(ErrorCode::UnknownTopicOrPartition.into())
            .high_watermark(-1)
            .last_stable_offset(Some(-1))
            .log_start_offset(Some(-1)));
    };
    let answer = answer
        .high_watermark(standing.high)
        .last_stable_offset(Some(standing.high))
        .log_start_offset(Some(standing.first));
    let offset = asked.fetch_offset;
    if offset < standing.first || offset > standing.high {
        *news = true;
        return Ok(answer.error_code(ErrorCode::OffsetOutOfRange.into()));
    }
    let answer = answer.error_code(ErrorCode::None.into());
    if offset == standing.high || *left == 0 {
        return Ok(answer);
    }
    let budget = (asked.partition_max_bytes.max(0) as usize).min(*left);
    // The first records of an answer come whatever their size, or a large one would block its partition for ever.
    let batches = log.read(standing.id, offset, budget, !*news).await?;
    if batches.is_empty() {
        return Ok(answer);
    }
    *news = true;
    let size: usize = batches.iter().map(|batch| batch.record_data.len()).sum();
    *left = left.saturating_sub(size);
    Ok(answer.records(Some(Batches { batches })))
}
