//! Points cut into requests of bounded size, made one at a time.

use std::vec::IntoIter;

use penstock_runtime::Failure;
use penstock_stages::index::Point;
use prost::Message;
use qdrant_client::qdrant::PointStruct;

use super::fields::sent;

/// Bytes of a request, unless one point alone is larger. Proxies often let 4 MiB through.
const BYTES: usize = 3 * 1024 * 1024;
/// Points of a request: at least, where there are so many, and at most.
const POINTS: (usize, usize) = (64, 512);

pub(super) struct Batches {
    points: IntoIter<Point>,
    /// The first of the next batch, and its bytes.
    next: Option<(PointStruct, usize)>,
    most: usize,
}

impl Batches {
    /// Shared out over `streams` requests at once.
    pub fn new(points: Vec<Point>, streams: usize) -> Self {
        let share = points.len().div_ceil(streams.max(1));
        Self {
            most: share.clamp(POINTS.0, POINTS.1),
            points: points.into_iter(),
            next: None,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Vec<PointStruct>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::with_capacity(self.most.min(self.points.len() + 1));
        let mut bytes = 0;
        if let Some((point, size)) = self.next.take() {
            bytes = size;
            batch.push(point);
        }
        while batch.len() < self.most {
            let Some(point) = self.points.next() else {
                break;
            };
            let point = match sent(point) {
                Ok(point) => point,
                Err(failure) => return Some(Err(failure)),
            };
            let size = point.encoded_len();
            if !batch.is_empty() && bytes + size > BYTES {
                self.next = Some((point, size));
                break;
            }
            bytes += size;
            batch.push(point);
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }
}
