use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use penstock_runtime::Failure;
use penstock_stages::blobs::Blobs;
use penstock_stages::embed::VectorCache;
use tokio::sync::Mutex;
use uuid::Uuid;

const FORMAT: &[u8; 4] = b"PSV1";

/// Vectors in the object store: one object per document and model, `vectors/group/document/model`.
///
/// Layout: `PSV1`, then per entry the hash (u16 length, UTF-8) and the vector (u32 count, `f32`), little-endian. What
/// cannot be read is forgotten: the text is embedded again.
pub struct BlobVectorCache {
    blobs: Arc<dyn Blobs>,
    /// Adding is reading, adding and writing back. Of two processes that do so at once one addition may be lost, which
    /// costs an embedding and nothing else.
    adding: Mutex<()>,
}

impl BlobVectorCache {
    pub fn new(blobs: Arc<dyn Blobs>) -> Self {
        Self {
            blobs,
            adding: Mutex::default(),
        }
    }

    async fn load(&self, key: &str) -> Result<HashMap<String, Vec<f32>>, Failure> {
        let bytes = self.blobs.read(key).await?;
        Ok(bytes.and_then(decode).unwrap_or_default())
    }
}

#[async_trait]
impl VectorCache for BlobVectorCache {
    async fn get(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        let known = self.load(&key(group, document, model)).await?;
        Ok(hashes.iter().map(|hash| known.get(hash).cloned()).collect())
    }

    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        let key = key(group, document, model);
        let _adding = self.adding.lock().await;
        let mut known = self.load(&key).await?;
        let before = known.len();
        for (hash, vector) in vectors {
            known.entry(hash.clone()).or_insert_with(|| vector.clone());
        }
        if known.len() == before {
            return Ok(());
        }
        self.blobs.write(&key, encode(&known)).await
    }

    async fn count(&self, group: &str, document: Uuid) -> Result<u64, Failure> {
        let mut count = 0;
        for stored in self.blobs.list(&folder(group, document)).await? {
            // One that cannot be read still lies there.
            count += self.load(&stored.key).await?.len().max(1);
        }
        Ok(count as u64)
    }

    async fn forget(&self, group: &str, document: Uuid) -> Result<(), Failure> {
        for stored in self.blobs.list(&folder(group, document)).await? {
            self.blobs.delete(&stored.key).await?;
        }
        Ok(())
    }
}

fn folder(group: &str, document: Uuid) -> String {
    format!("vectors/{}/{document}", part(group))
}

fn key(group: &str, document: Uuid, model: &str) -> String {
    format!("{}/{}", folder(group, document), part(model))
}

/// One part of a key: a slash in it must not make two.
fn part(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

fn encode(vectors: &HashMap<String, Vec<f32>>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(FORMAT);
    let mut all: Vec<_> = vectors.iter().collect();
    all.sort_by_key(|(hash, _)| *hash);
    for (hash, vector) in all {
        // Ours are 64 bytes long; what does not fit is not kept.
        let (Ok(length), Ok(count)) = (u16::try_from(hash.len()), u32::try_from(vector.len()))
        else {
            continue;
        };
        out.put_u16_le(length);
        out.put_slice(hash.as_bytes());
        out.put_u32_le(count);
        for value in vector {
            out.put_f32_le(*value);
        }
    }
    out.freeze()
}

fn decode(mut bytes: Bytes) -> Option<HashMap<String, Vec<f32>>> {
    if bytes.len() < FORMAT.len() || bytes.split_to(FORMAT.len()) != FORMAT[..] {
        return None;
    }
    let mut vectors = HashMap::new();
    while bytes.has_remaining() {
        let length = usize::from(bytes.try_get_u16_le().ok()?);
        if bytes.len() < length {
            return None;
        }
        let hash = String::from_utf8(bytes.split_to(length).to_vec()).ok()?;
        let count = bytes.try_get_u32_le().ok()? as usize;
        if bytes.len() < count.checked_mul(4)? {
            return None;
        }
        let vector = (0..count).map(|_| bytes.get_f32_le()).collect();
        vectors.insert(hash, vector);
    }
    Some(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_foreign_is_nothing() {
        let vectors = HashMap::from([("a".to_owned(), vec![1.0, -0.5]), ("b".to_owned(), vec![])]);
        let whole = encode(&vectors);
        assert_eq!(decode(whole.clone()), Some(vectors));
        // Between two entries a cut cannot be told from an end.
        let first = FORMAT.len() + 2 + 1 + 4 + 8;
        for length in (0..whole.len()).filter(|it| *it != FORMAT.len() && *it != first) {
            assert_eq!(decode(whole.slice(..length)), None, "{length}");
        }
        assert_eq!(decode(Bytes::from_static(b"PSV2")), None);
        assert_eq!(
            decode(Bytes::from_static(b"PSV1\x00\x00\xff\xff\xff\xff")),
            None
        );
    }
}
