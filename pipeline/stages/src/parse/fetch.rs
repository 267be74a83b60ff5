//! Source bytes, verified once for all parts of a document.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use penstock_runtime::Failure;
use penstock_schemas::Blob;

use crate::blobs::{self, Blobs};

/// Most that is kept, bytes. A larger blob is kept alone.
const MOST_KEPT_BYTES: usize = 64 << 20;
const MOST_KEPT: usize = 8;

/// Blobs that were read and verified; newest last.
#[derive(Default)]
pub struct Fetched(Mutex<Vec<(Blob, Bytes)>>);

impl Fetched {
    pub async fn load(&self, blobs: &dyn Blobs, blob: &Blob) -> Result<Bytes, Failure> {
        if let Some(bytes) = self.find(blob) {
            return Ok(bytes);
        }
        let bytes = blobs::load(blobs, blob).await?;
        self.keep(blob.clone(), bytes.clone());
        Ok(bytes)
    }

    fn find(&self, blob: &Blob) -> Option<Bytes> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(other, _)| other == blob)?;
        let found = kept.remove(at);
        let bytes = found.1.clone();
        kept.push(found);
        Some(bytes)
    }

    fn keep(&self, blob: Blob, bytes: Bytes) {
        let mut kept = self.kept();
        kept.retain(|(other, _)| *other != blob);
        kept.push((blob, bytes));
        let total =
            |kept: &[(Blob, Bytes)]| kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        while kept.len() > MOST_KEPT || kept.len() > 1 && total(&kept) > MOST_KEPT_BYTES {
            kept.remove(0);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<(Blob, Bytes)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
