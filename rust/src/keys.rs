//! Keys to the numbers of their entries, in the order in which they came first.
//!
//! Open addressing over 32 bits of a hash with two secrets per process: who writes rows at the source cannot choose keys
//! that collide. A slot holds the hash and the entry's number, so that a lookup seldom touches a key that is another.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::message::{Cell, Fault};
use crate::rows::{emptied, shifted, Rows};

const KEYLESS: u32 = 23;

pub struct Keys {
    columns: Vec<usize>,
    cells: Vec<Cell>,
    count: u32,
    slots: Vec<u64>,
    secrets: [u64; 2],
}

/// A key as it stands in a message, looked up.
pub struct Found {
    pub entry: Option<u32>,
    hash: u32,
}

impl Keys {
    pub fn new(columns: Vec<usize>) -> Keys {
        let random = RandomState::new();
        let secrets = [1, 2].map(|number: u64| {
            let mut hasher = random.build_hasher();
            hasher.write_u64(number);
            hasher.finish()
        });
        Keys { columns, cells: vec![], count: 0, slots: vec![], secrets }
    }

    /// The entry of a row's key. `KEYLESS` if a key's column has no value, which never is.
    pub fn find(&self, kept: &Rows, oid: u32, body: &[u8], row: &[Cell]) -> Result<Found, Fault> {
        let hash = self.hash(body, row).ok_or(Fault::of(KEYLESS, u64::from(oid)))?;
        let entry = self.probe(hash, |entry| {
            self.columns
                .iter()
                .zip(self.cells_of(entry))
                .all(|(column, known)| row.get(*column).is_some_and(|cell| cell.text(body) == known.text(&kept.bytes)))
        });
        Ok(Found { entry, hash })
    }

    /// Whether two rows of one message have the same key.
    pub fn same(&self, body: &[u8], one: &[Cell], other: &[Cell]) -> bool {
        self.columns.iter().all(|column| match (one.get(*column), other.get(*column)) {
            (Some(one), Some(other)) => one.text(body) == other.text(body),
            _ => false,
        })
    }

    /// A new entry for a key that was not found; the body it stands in is kept at `moved`.
    pub fn add(&mut self, found: &Found, row: &[Cell], moved: u32) -> u32 {
        if self.slots.len() < 2 * (self.count as usize + 1) {
            self.grow();
        }
        for column in &self.columns {
            if let Some(cell) = row.get(*column) {
                self.cells.push(shifted(*cell, moved));
            }
        }
        let entry = self.count;
        self.count += 1;
        place(&mut self.slots, u64::from(found.hash) << 32 | u64::from(entry + 1));
        entry
    }

    pub fn cells_of(&self, entry: u32) -> &[Cell] {
        let width = self.columns.len();
        let rest = self.cells.get(entry as usize * width..).unwrap_or(&[]);
        rest.get(..width).unwrap_or(&[])
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn clear(&mut self) {
        let wanted = 8 * (self.count as usize).max(1024);
        if self.slots.len() > wanted {
            self.slots = vec![];
        } else {
            self.slots.fill(0);
        }
        emptied(&mut self.cells);
        self.count = 0;
    }

    fn probe(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get(at) {
            let (held, number) = ((slot >> 32) as u32, *slot as u32);
            if number == 0 {
                return None;
            }
            if held == hash && is_it(number - 1) {
                return Some(number - 1);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn grow(&mut self) {
        let mut slots = vec![0; (self.slots.len() * 2).max(64)];
        for slot in &self.slots {
            if *slot != 0 {
                place(&mut slots, *slot);
            }
        }
        self.slots = slots;
    }

    fn hash(&self, body: &[u8], row: &[Cell]) -> Option<u32> {
        let [mut hash, factor] = self.secrets;
        for column in &self.columns {
            let cell = row.get(*column).filter(|cell| cell.is_text())?;
            hash = mixed(hash ^ u64::from(cell.length), factor);
            let mut words = cell.text(body).chunks_exact(8);
            for word in &mut words {
                let word = word.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                hash = mixed(hash ^ word, factor);
            }
            let rest = words.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            hash = mixed(hash ^ rest, factor);
        }
        Some((hash ^ hash >> 32) as u32)
    }
}

/// Both halves of the product of 128 bits.
fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b | 1);
    product as u64 ^ (product >> 64) as u64
}

/// Into the first free slot; at least half of them are.
fn place(slots: &mut [u64], slot: u64) {
    let Some(mask) = slots.len().checked_sub(1) else { return };
    let mut at = (slot >> 32) as usize & mask;
    while let Some(held) = slots.get_mut(at) {
        if *held == 0 {
            *held = slot;
            return;
        }
        at = (at + 1) & mask;
    }
}
