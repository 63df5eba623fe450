//! The net change per key of one relation: one entry for each key, values merged and never picked (I6).
//!
//! The rules are those of the engine's batcher; the twin is `decode/plain.py`.

use crate::arrow::{texts, Group, Holds};
use crate::keys::{Found, Keys};
use crate::message::{Cell, Fault, Images, Op, UNCHANGED};
use crate::patterns::{left_out, Patterns};
use crate::rows::{emptied, Rows};

const GONE: Fault = Fault { code: 24, a: 0, b: 0 };
const NEVER: Fault = Fault { code: 25, a: 0, b: 0 };
/// The row of a key that was deleted, and the base of a row that is whole.
const NONE: u32 = u32::MAX;

/// Cells left out of `row` stand in the row that had the key of the entry `base` before this batch; `fresh`: no row had
/// this entry's key then.
#[derive(Clone, Copy)]
struct Entry {
    row: u32,
    base: u32,
    fresh: bool,
}

pub struct Net {
    rows: Rows,
    keys: Keys,
    entries: Vec<Entry>,
}

impl Net {
    pub fn new(columns: usize, key: Vec<usize>) -> Net {
        Net { rows: Rows::new(columns), keys: Keys::new(key), entries: vec![] }
    }

    /// Nothing is changed if there is a fault.
    pub fn add(&mut self, oid: u32, op: Op, has_old: bool, body: &[u8], images: &Images) -> Result<(), Fault> {
        let named = |fault: Fault| Fault { a: u64::from(oid), ..fault };
        if op == Op::Delete {
            let old = self.find(oid, body, &images.old)?;
            self.delete(&old, &images.old, body, None);
            return Ok(());
        }
        let left_out = left_out(&images.new);
        let hash = self.keys.hash(oid, body, &images.new)?;
        if op == Op::Insert && left_out {
            return Err(named(NEVER));
        }
        if !left_out && !has_old {
            let moved = self.rows.keep(body);
            let row = self.rows.add(&images.new, moved);
            let new = self.keys.find(&self.rows, hash, body, &images.new);
            self.put(&new, &images.new, moved, Entry { row, base: NONE, fresh: op == Op::Insert });
            return Ok(());
        }
        let new = self.keys.find(&self.rows, hash, body, &images.new);
        let old = if has_old { Some(self.find(oid, body, &images.old)?) } else { None };
        let old = old.filter(|_| !self.keys.same(body, &images.old, &images.new));
        let before = old.as_ref().unwrap_or(&new).entry.and_then(|entry| self.entries.get(entry as usize).copied());
        if left_out && before.is_some_and(|entry| entry.row == NONE) {
            return Err(named(GONE));
        }
        let moved = self.rows.keep(body);
        // The key a row moves away from gets its place in the order before the key it moves to.
        let from = old.map(|old| self.delete(&old, &images.old, body, Some(moved)));
        let fresh = from.is_some();
        let entry = match before {
            Some(before) if left_out => {
                let (row, still) = self.rows.add_merged(&images.new, moved, before.row);
                Entry { row, base: if still { before.base } else { NONE }, fresh }
            }
            _ => {
                let base = from.or(new.entry).unwrap_or(self.entries.len() as u32);
                Entry { row: self.rows.add(&images.new, moved), base: if left_out { base } else { NONE }, fresh }
            }
        };
        self.put(&new, &images.new, moved, entry);
        Ok(())
    }

    fn find(&self, oid: u32, body: &[u8], row: &[Cell]) -> Result<Found, Fault> {
        let hash = self.keys.hash(oid, body, row)?;
        Ok(self.keys.find(&self.rows, hash, body, row))
    }

    fn delete(&mut self, found: &Found, old: &[Cell], body: &[u8], kept: Option<u32>) -> u32 {
        let moved = match (found.entry, kept) {
            (None, None) => self.rows.keep(body),
            (_, kept) => kept.unwrap_or(0),
        };
        self.put(found, old, moved, Entry { row: NONE, base: NONE, fresh: false })
    }

    /// Whether a key is fresh its first entry decides.
    fn put(&mut self, found: &Found, row: &[Cell], moved: u32, entry: Entry) -> u32 {
        match found.entry {
            Some(number) => {
                if let Some(held) = self.entries.get_mut(number as usize) {
                    *held = Entry { fresh: held.fresh, ..entry };
                }
                number
            }
            None => {
                self.entries.push(entry);
                self.keys.add(found, row, moved)
            }
        }
    }

    /// The batches of `decode.gatherer.Net`; nothing is left.
    pub fn take(&mut self) -> Vec<Group> {
        let (mut deletes, mut inserts, mut puts) = (vec![], vec![], vec![]);
        let mut patches = Patterns::default();
        let mut moves = Patterns::default();
        for (number, entry) in (0..).zip(&self.entries) {
            if entry.row == NONE {
                deletes.push(number);
            } else if entry.base == NONE && entry.fresh {
                inserts.push(entry.row);
            } else if entry.base == NONE {
                puts.push(entry.row);
            } else if entry.base == number {
                patches.add(self.rows.row(entry.row), number);
            } else {
                moves.add(self.rows.row(entry.row), number);
            }
        }
        let mut groups = vec![];
        if !deletes.is_empty() {
            groups.push(self.keys_of(Holds::Deletes, &deletes));
        }
        for (holds, whole) in [(Holds::Inserts, inserts), (Holds::Puts, puts)] {
            if !whole.is_empty() {
                let rows = whole.iter().map(|row| self.rows.row(*row));
                groups.push(Group { holds, columns: vec![], batch: texts(self.rows.columns, &self.rows.bytes, rows) });
            }
        }
        for (columns, entries) in patches.found {
            groups.push(self.known(Holds::Patch, columns, &entries));
        }
        for (columns, entries) in moves.found {
            groups.push(self.known(Holds::Moved, columns, &entries));
            let bases: Vec<u32> = entries.iter().map(|number| self.entry(*number).base).collect();
            groups.push(self.keys_of(Holds::MovedFrom, &bases));
        }
        self.clear();
        groups
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        self.keys.clear();
        emptied(&mut self.entries);
    }

    fn entry(&self, number: u32) -> Entry {
        self.entries.get(number as usize).copied().unwrap_or(Entry { row: NONE, base: NONE, fresh: false })
    }

    fn keys_of(&self, holds: Holds, entries: &[u32]) -> Group {
        let rows = entries.iter().map(|number| self.keys.cells_of(*number));
        Group { holds, columns: vec![], batch: texts(self.keys.width(), &self.rows.bytes, rows) }
    }

    /// The columns that are known of these entries' rows.
    fn known(&self, holds: Holds, columns: Vec<u32>, entries: &[u32]) -> Group {
        let rows = entries.iter().flat_map(|number| self.rows.row(self.entry(*number).row));
        let cells: Vec<Cell> = rows.copied().filter(|cell| cell.length != UNCHANGED).collect();
        let batch = texts(columns.len(), &self.rows.bytes, cells.chunks(columns.len().max(1)));
        Group { holds, columns, batch }
    }
}
