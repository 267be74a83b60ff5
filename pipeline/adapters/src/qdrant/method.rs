//! The calls we make. A request is encoded once, before it is sent: sent to another node it is the same bytes.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use qdrant_client::qdrant::{
    CountPoints, CountResponse, DeletePoints, GetCollectionInfoRequest, GetCollectionInfoResponse,
    GetPoints, GetResponse, HealthCheckReply, HealthCheckRequest, PointsOperationResponse,
    QueryBatchPoints, QueryBatchResponse, ScrollPoints, ScrollResponse, SetPayloadPoints,
    UpsertPoints,
};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

pub(super) const HEALTH: Method<HealthCheckRequest, HealthCheckReply> =
    Method::new("/qdrant.Qdrant/HealthCheck");
pub(super) const INFO: Method<GetCollectionInfoRequest, GetCollectionInfoResponse> =
    Method::new("/qdrant.Collections/Get");
pub(super) const UPSERT: Method<UpsertPoints, PointsOperationResponse> =
    Method::new("/qdrant.Points/Upsert");
pub(super) const DELETE: Method<DeletePoints, PointsOperationResponse> =
    Method::new("/qdrant.Points/Delete");
pub(super) const SET_PAYLOAD: Method<SetPayloadPoints, PointsOperationResponse> =
    Method::new("/qdrant.Points/SetPayload");
pub(super) const GET: Method<GetPoints, GetResponse> = Method::new("/qdrant.Points/Get");
pub(super) const SCROLL: Method<ScrollPoints, ScrollResponse> =
    Method::new("/qdrant.Points/Scroll");
pub(super) const COUNT: Method<CountPoints, CountResponse> = Method::new("/qdrant.Points/Count");
pub(super) const QUERY: Method<QueryBatchPoints, QueryBatchResponse> =
    Method::new("/qdrant.Points/QueryBatch");

/// A call that takes a `Q` and answers with an `A`.
pub(super) struct Method<Q, A> {
    pub path: &'static str,
    types: PhantomData<fn(Q) -> A>,
}

impl<Q, A> Method<Q, A> {
    pub const fn new(path: &'static str) -> Self {
        Self {
            path,
            types: PhantomData,
        }
    }

    /// `Points/Upsert`
    pub fn name(self) -> &'static str {
        self.path.trim_start_matches("/qdrant.")
    }
}

impl<Q, A> Clone for Method<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Method<Q, A> {}

/// Requests that are encoded already, and answers that are not.
pub(super) struct Ready<A>(PhantomData<fn() -> A>);

impl<A> Default for Ready<A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<A: Message + Default + 'static> Codec for Ready<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<A> Encoder for Ready<A> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, request: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(request);
        Ok(())
    }
}

impl<A: Message + Default> Decoder for Ready<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        A::decode(from)
            .map(Some)
            .map_err(|error| Status::data_loss(format!("the answer cannot be read: {error}")))
    }
}
