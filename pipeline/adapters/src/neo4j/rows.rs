//! Parameters: rows for one UNWIND, bounded.

use neo4rs::{BoltList, BoltType};
use penstock_runtime::Failure;
use serde::Serialize;
use uuid::Uuid;

/// Rows of one statement.
const MOST_ROWS: usize = 1_000;
/// Bytes of one statement's rows, about.
const MOST_BYTES: usize = 1 << 20;

/// Rows, cut where a statement has enough.
#[derive(Default)]
pub(super) struct Rows {
    batches: Vec<Vec<BoltType>>,
    bytes: usize,
    count: usize,
}

impl Rows {
    /// `bytes`: of the row, about.
    pub fn push(&mut self, row: Vec<BoltType>, bytes: usize) {
        self.push_value(list(row), bytes);
    }

    pub fn push_value(&mut self, row: BoltType, bytes: usize) {
        self.bytes += bytes;
        self.count += 1;
        match self.batches.last_mut() {
            Some(batch) if batch.len() < MOST_ROWS && self.bytes <= MOST_BYTES => batch.push(row),
            _ => {
                self.bytes = bytes;
                self.batches.push(vec![row]);
            }
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// A parameter for each statement.
    pub fn batches(self) -> impl Iterator<Item = BoltType> {
        self.batches.into_iter().map(list)
    }
}

/// Ids, each a row of its own, for statements one after the other.
pub(super) fn id_rows<'a>(all: impl IntoIterator<Item = &'a Uuid>) -> Rows {
    let mut rows = Rows::default();
    for id in all {
        rows.push_value(id.to_string().into(), 40);
    }
    rows
}

/// Ids, as one parameter.
pub(super) fn ids<'a>(all: impl IntoIterator<Item = &'a Uuid>) -> BoltType {
    list(all.into_iter().map(|id| id.to_string().into()).collect())
}

pub(super) fn list(values: Vec<BoltType>) -> BoltType {
    BoltType::List(BoltList { value: values })
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::fatal(format!("write a value for the graph: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_bounded_by_rows_and_bytes() {
        let check = |rows: usize, bytes: usize, expect: &[usize]| {
            let mut all = Rows::default();
            for row in 0..rows {
                all.push(vec![(row as i64).into()], bytes);
            }
            assert_eq!(all.count(), rows);
            let sizes: Vec<usize> = all
                .batches()
                .map(|batch| match batch {
                    BoltType::List(batch) => batch.len(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(sizes, expect);
        };
        check(0, 1, &[]);
        check(1, MOST_BYTES * 3, &[1]);
        check(2, MOST_BYTES * 3, &[1, 1]);
        check(5, MOST_BYTES / 2, &[2, 2, 1]);
        check(2_500, 10, &[1_000, 1_000, 500]);
    }
}
