//! The requests that touch records, and who is in a group: ours, where everything else is Tansu's.

use rama::layer::{MapErrLayer, MapStateLayer};
use rama::{Context, Layer as _, Service};
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::{Error, service};
use tansu_sans_io::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use tansu_sans_io::delete_topics_response::DeletableTopicResult;
use tansu_sans_io::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use tansu_sans_io::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use tansu_sans_io::{
    ApiKey as _, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeGroupsRequest, ErrorCode, FetchRequest, ListOffsetsRequest,
    ListOffsetsResponse, ProduceRequest, ProduceResponse,
};
use tansu_service::{
    BytesFrameLayer, FrameRequestLayer, FrameRouteBuilder, FrameRouteService, TcpBytesLayer,
    TcpContext, TcpContextLayer,
};
use tansu_storage::{Storage, StorageContainer, TopicId};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fetch::Fetch;
use super::groups::{DescribeGroups, Members};
use super::log::{Log, Result};
use super::upkeep;

/// ListOffsets' names for the ends of a partition.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

type Routes = FrameRouteBuilder<(), Error>;

/// Accepts connections for ever. Dropping it ends them all.
pub(super) async fn serve(
    listener: TcpListener,
    cluster: &'static str,
    log: Log,
    members: Members,
) -> Result<()> {
    let groups = Controller::with_storage(log.meta().clone())?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let (groups, log, members) = (groups.clone(), log.clone(), members.clone());
                connections.spawn(async move {
                    // A client that hangs up is nothing to speak of.
                    if let Err(error) = converse(stream, cluster, groups, log, members).await {
                        tracing::debug!(%error, "a connection to the broker ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(
    stream: TcpStream,
    cluster: &'static str,
    groups: Controller<StorageContainer>,
    log: Log,
    members: Members,
) -> Result<()> {
    let routes = ours(FrameRouteService::<(), Error>::builder(), &log, &members)?;
    let routes = topics(routes, log.meta())?;
    let routes = service::coordinator::services(routes, groups)?;
    let service = (
        TcpContextLayer::new(TcpContext::default().cluster_id(Some(cluster.to_owned()))),
        TcpBytesLayer::default(),
        BytesFrameLayer::default(),
    )
        .into_layer(routes.build()?);
    service.serve(Context::default(), stream).await
}

/// Topics, producers' ids and what tools ask for, from Tansu.
fn topics(routes: Routes, meta: &StorageContainer) -> Result<Routes> {
    use service::storage as tansu;
    [
        tansu::consumer_group_describe,
        tansu::create_topics,
        tansu::delete_groups,
        tansu::describe_cluster,
        tansu::describe_configs,
        tansu::describe_topic_partitions,
        tansu::find_coordinator,
        tansu::incremental_alter_configs,
        tansu::init_producer_id,
        tansu::list_groups,
        tansu::metadata,
    ]
    .iter()
    .try_fold(routes, |routes, route| route(routes, meta.clone()))
}

fn ours(routes: Routes, log: &Log, members: &Members) -> Result<Routes> {
    macro_rules! route {
        ($routes:expr, $state:expr, $request:ty, $service:expr) => {{
            let state = $state.clone();
            $routes.with_route(
                <$request>::KEY,
                (
                    MapErrLayer::new(Error::from),
                    MapStateLayer::new(|()| state),
                    FrameRequestLayer::<$request>::new(),
                )
                    .into_layer($service)
                    .boxed(),
            )?
        }};
    }
    let routes = route!(routes, log, ProduceRequest, Produce);
    let routes = route!(routes, log, FetchRequest, Fetch);
    let routes = route!(routes, log, ListOffsetsRequest, ListOffsets);
    let routes = route!(routes, log, DeleteTopicsRequest, DeleteTopics);
    let routes = route!(routes, log, DeleteRecordsRequest, DeleteRecords);
    Ok(route!(
        routes,
        members,
        DescribeGroupsRequest,
        DescribeGroups
    ))
}

#[derive(Debug, Clone, Copy)]
struct Produce;

impl Service<Log, ProduceRequest> for Produce {
    type Response = ProduceResponse;
    type Error = Error;

    async fn serve(
        &self,
        context: Context<Log>,
        request: ProduceRequest,
    ) -> Result<ProduceResponse> {
        let mut batches = Vec::new();
        let mut asked = Vec::new();
        for topic in request.topic_data.unwrap_or_default() {
            let mut partitions = Vec::new();
            for partition in topic.partition_data.unwrap_or_default() {
                let mut count = 0;
                for batch in partition
                    .records
                    .map(|frame| frame.batches)
                    .unwrap_or_default()
                {
                    batches.push((topic.name.clone(), partition.index, batch));
                    count += 1;
                }
                partitions.push((partition.index, count));
            }
            asked.push((topic.name, partitions));
        }
        let sum = batches.len();
        let mut results = match context.state().append(batches).await {
            Ok(results) => results.into_iter(),
            Err(error) => {
                // A full disk, most likely. The producer tries again until its own time is up.
                tracing::warn!(%error, "the embedded log cannot be written");
                vec![Err(ErrorCode::KafkaStorageError); sum].into_iter()
            }
        };
        let responses = asked
            .into_iter()
            .map(|(name, partitions)| {
                let partitions = partitions
                    .into_iter()
                    .map(|(index, count)| {
                        // Of several batches for a partition, the first's offset or the first error.
                        let mine: Vec<_> = results.by_ref().take(count).collect();
                        let result = mine.iter().find(|result| result.is_err()).or(mine.first());
                        let (offset, code) = match result {
                            Some(Ok(offset)) => (*offset, ErrorCode::None),
                            Some(Err(code)) => (-1, *code),
                            None => (-1, ErrorCode::InvalidRecord),
                        };
                        PartitionProduceResponse::default()
                            .index(index)
                            .error_code(code.into())
                            .base_offset(offset)
                            .log_append_time_ms(Some(-1))
                            .log_start_offset(Some(0))
                            .record_errors(Some(Vec::new()))
                    })
                    .collect();
                TopicProduceResponse::default()
                    .name(name)
                    .partition_responses(Some(partitions))
            })
            .collect();
        Ok(ProduceResponse::default()
            .responses(Some(responses))
            .throttle_time_ms(Some(0)))
    }
}

#[derive(Debug, Clone, Copy)]
struct ListOffsets;

impl Service<Log, ListOffsetsRequest> for ListOffsets {
    type Response = ListOffsetsResponse;
    type Error = Error;

    async fn serve(
        &self,
        context: Context<Log>,
        request: ListOffsetsRequest,
    ) -> Result<ListOffsetsResponse> {
        let log = context.state();
        let mut topics = Vec::new();
        for topic in request.topics.unwrap_or_default() {
            let mut partitions = Vec::new();
            for partition in topic.partitions.unwrap_or_default() {
                let standing = log.standing(&topic.name, partition.partition_index).await?;
                let (code, offset, timestamp) = match (standing, partition.timestamp) {
                    (None, _) => (ErrorCode::UnknownTopicOrPartition, -1, -1),
                    (Some(standing), EARLIEST) => (ErrorCode::None, standing.first, -1),
                    (Some(standing), ..=LATEST) => (ErrorCode::None, standing.high, -1),
                    (Some(standing), timestamp) => {
                        let (offset, timestamp) =
                            log.at(standing.id, timestamp).await?.unwrap_or((-1, -1));
                        (ErrorCode::None, offset, timestamp)
                    }
                };
                partitions.push(
                    ListOffsetsPartitionResponse::default()
                        .partition_index(partition.partition_index)
                        .error_code(code.into())
                        .timestamp(Some(timestamp))
                        .offset(Some(offset))
                        .leader_epoch(Some(0)),
                );
            }
            topics.push(
                ListOffsetsTopicResponse::default()
                    .name(topic.name)
                    .partitions(Some(partitions)),
            );
        }
        Ok(ListOffsetsResponse::default()
            .throttle_time_ms(Some(0))
            .topics(Some(topics)))
    }
}

#[derive(Debug, Clone, Copy)]
struct DeleteTopics;

impl Service<Log, DeleteTopicsRequest> for DeleteTopics {
    type Response = DeleteTopicsResponse;
    type Error = Error;

    async fn serve(
        &self,
        context: Context<Log>,
        request: DeleteTopicsRequest,
    ) -> Result<DeleteTopicsResponse> {
        let log = context.state();
        let mut names: Vec<(Option<String>, [u8; 16])> = request
            .topic_names
            .into_iter()
            .flatten()
            .map(|name| (Some(name), [0; 16]))
            .collect();
        names.extend(
            request
                .topics
                .into_iter()
                .flatten()
                .map(|topic| (topic.name, topic.topic_id)),
        );
        let mut responses = Vec::new();
        for (name, id) in names {
            let name = match name {
                Some(name) => Some(name),
                None => log.name(id).await?,
            };
            let code = match &name {
                // Records first: a crash between the two leaves an empty topic, never records without one.
                Some(name) => {
                    log.forget(name).await?;
                    let code = log
                        .meta()
                        .delete_topic(&TopicId::Name(name.clone()))
                        .await?;
                    // Somebody may have asked for it in between, and found it still there.
                    log.forget(name).await?;
                    code
                }
                None => ErrorCode::UnknownTopicId,
            };
            responses.push(
                DeletableTopicResult::default()
                    .name(name)
                    .topic_id(Some(id))
                    .error_code(code.into()),
            );
        }
        Ok(DeleteTopicsResponse::default()
            .throttle_time_ms(Some(0))
            .responses(Some(responses)))
    }
}

#[derive(Debug, Clone, Copy)]
struct DeleteRecords;

impl Service<Log, DeleteRecordsRequest> for DeleteRecords {
    type Response = DeleteRecordsResponse;
    type Error = Error;

    async fn serve(
        &self,
        context: Context<Log>,
        request: DeleteRecordsRequest,
    ) -> Result<DeleteRecordsResponse> {
        let log = context.state();
        let mut topics = Vec::new();
        for topic in request.topics.unwrap_or_default() {
            let mut partitions = Vec::new();
            for partition in topic.partitions.unwrap_or_default() {
                let number = partition.partition_index;
                let (code, first) =
                    match upkeep::purge(log, &topic.name, number, partition.offset).await? {
                        Ok(first) => (ErrorCode::None, first),
                        Err(code) => (code, -1),
                    };
                partitions.push(
                    DeleteRecordsPartitionResult::default()
                        .partition_index(number)
                        .low_watermark(first)
                        .error_code(code.into()),
                );
            }
            topics.push(
                DeleteRecordsTopicResult::default()
                    .name(topic.name)
                    .partitions(Some(partitions)),
            );
        }
        upkeep::give_back(log).await?;
        Ok(DeleteRecordsResponse::default()
            .throttle_time_ms(0)
            .topics(Some(topics)))
    }
}
