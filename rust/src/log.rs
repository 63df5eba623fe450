//! Every change of one relation as a row, in order: what an append target writes.
//!
//! The rules are those of the engine's batcher; the twin is `decode/plain.py`.

use crate::arrow::{batch, bytes, integers, texts, Group, Holds};
use crate::message::{Cell, Fault, Images, Op};
use crate::patterns::{left_out, Patterns};
use crate::rows::{emptied, Rows};

const KEYLESS: u32 = 23;
const NEVER: u32 = 25;

/// Where a change stands in the log.
#[derive(Clone, Copy)]
pub struct Place {
    pub transaction: u64,
    pub index: u64,
}

pub struct Log {
    rows: Rows,
    key: Vec<usize>,
    ops: Vec<u8>,
    transactions: Vec<i64>,
    indexes: Vec<i64>,
    nths: Vec<u8>,
    lacking: Vec<u32>,
}

impl Log {
    pub fn new(columns: usize, key: Vec<usize>) -> Log {
        let rows = Rows::new(columns);
        Log { rows, key, ops: vec![], transactions: vec![], indexes: vec![], nths: vec![], lacking: vec![] }
    }

    /// Nothing is changed if there is a fault.
    pub fn add(
        &mut self,
        oid: u32,
        op: Op,
        has_old: bool,
        body: &[u8],
        images: &Images,
        place: Place,
    ) -> Result<(), Fault> {
        let Images { old, new } = images;
        if op == Op::Insert && left_out(new) {
            return Err(Fault::of(NEVER, u64::from(oid)));
        }
        let moves = op == Op::Update && has_old && self.moves(oid, body, images)?;
        let moved = self.rows.keep(body);
        if op == Op::Delete || moves {
            self.push(Op::Delete, old, moved, place, 0);
        }
        if op == Op::Insert || moves {
            self.push(Op::Insert, new, moved, place, 1);
        } else if op == Op::Update {
            self.push(Op::Update, new, moved, place, 0);
        }
        Ok(())
    }

    /// Whether the row that is now cannot be found by the key of the one that was. Without a key it never can.
    fn moves(&self, oid: u32, body: &[u8], images: &Images) -> Result<bool, Fault> {
        let mut moves = self.key.is_empty();
        for column in &self.key {
            let cells = (images.old.get(*column), images.new.get(*column));
            let (Some(old), Some(new)) = cells else { return Err(Fault::of(KEYLESS, u64::from(oid))) };
            if !old.is_text() || !new.is_text() {
                return Err(Fault::of(KEYLESS, u64::from(oid)));
            }
            moves |= old.text(body) != new.text(body);
        }
        Ok(moves)
    }

    fn push(&mut self, op: Op, row: &[Cell], moved: u32, place: Place, nth: u8) {
        let number = self.rows.add(row, moved);
        if left_out(row) {
            self.lacking.push(number);
        }
        self.ops.push(match op {
            Op::Insert => 0,
            Op::Update => 1,
            Op::Delete => 2,
        });
        self.transactions.push(place.transaction as i64);
        self.indexes.push(place.index as i64);
        self.nths.push(nth);
    }

    /// The batches of `decode.gatherer.Log`; nothing is left.
    pub fn take(&mut self) -> Vec<Group> {
        let count = self.rows.count();
        let rows = (0..count).map(|number| self.rows.row(number));
        let mut patterns = Patterns::default();
        for number in &self.lacking {
            patterns.add(self.rows.row(*number), *number);
        }
        // Copied rather than given away: the next batch is gathered into the same memory.
        let stamps = vec![
            bytes(self.ops.clone()),
            integers(self.transactions.clone()),
            integers(self.indexes.clone()),
            bytes(self.nths.clone()),
        ];
        let rows = texts(self.rows.columns, &self.rows.bytes, rows);
        let mut groups = vec![
            Group { holds: Holds::Rows, columns: vec![], batch: rows },
            Group { holds: Holds::Stamps, columns: vec![], batch: batch(count as usize, stamps) },
        ];
        for (known, numbers) in patterns.found {
            let columns = (0..self.rows.columns as u32).filter(|column| !known.contains(column)).collect();
            let numbers: Vec<i64> = numbers.into_iter().map(i64::from).collect();
            let batch = batch(numbers.len(), vec![integers(numbers)]);
            groups.push(Group { holds: Holds::Unchanged, columns, batch });
        }
        self.clear();
        groups
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        emptied(&mut self.ops);
        emptied(&mut self.transactions);
        emptied(&mut self.indexes);
        emptied(&mut self.nths);
        emptied(&mut self.lacking);
    }
}
