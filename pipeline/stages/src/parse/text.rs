//! Plain text: as it is.

use penstock_runtime::Failure;

use super::draft::{Draft, Extracted};
use super::encoding;
use super::limits::Budget;

/// `bytes` is a part of the document `whole`.
pub fn extract(bytes: &[u8], whole: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut draft = Draft::new(budget);
    draft.push(&encoding::decode_part(bytes, whole))?;
    Ok(draft.finish())
}
