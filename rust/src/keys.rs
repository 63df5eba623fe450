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

/// The hash of a key as it stands in a message.
#[derive(Clone, Copy)]
pub struct Hash(u32);

/// A key that was looked up.
pub struct Found {
    pub entry: Option<u32>,
    hash: Hash,
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

    /// The hash of a row's key, whose slot is on its way from memory from here on. `KEYLESS` if a key's column has no
    /// value, which never is.
    pub fn hash(&self, oid: u32, body: &[u8], row: &[Cell]) -> Result<Hash, Fault> {
        let hash = self.hashed(body, row).ok_or(Fault::of(KEYLESS, u64::from(oid)))?;
        if let Some(slot) = self.slots.get(hash.0 as usize & self.slots.len().wrapping_sub(1)) {
            fetch(slot);
        }
        Ok(hash)
    }

    /// The entry of a row's key, of which this is the hash.
    pub fn find(&self, kept: &Rows, hash: Hash, body: &[u8], row: &[Cell]) -> Found {
        let entry = self.probe(hash, |entry| {
            self.columns
                .iter()
                .zip(self.cells_of(entry))
                .all(|(column, known)| row.get(*column).is_some_and(|cell| cell.text(body) == known.text(&kept.bytes)))
        });
        Found { entry, hash }
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
        if 3 * self.slots.len() < 4 * (self.count as usize + 1) {
            self.grow();
        }
        for column in &self.columns {
            if let Some(cell) = row.get(*column) {
                self.cells.push(shifted(*cell, moved));
            }
        }
        let entry = self.count;
        self.count += 1;
        place(&mut self.slots, u64::from(found.hash.0) << 32 | u64::from(entry + 1));
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

    fn probe(&self, Hash(hash): Hash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
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

    fn hashed(&self, body: &[u8], row: &[Cell]) -> Option<Hash> {
        let [mut hash, factor] = self.secrets;
        for column in &self.columns {
            let cell = row.get(*column).filter(|cell| cell.is_text())?;
            hash = mixed(hash ^ u64::from(cell.length), factor);
            let mut words = cell.text(body).chunks_exact(8);
            for word in &mut words {
                let word = word.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                hash = mixed(hash ^ word, factor);
            }
            hash = mixed(hash ^ remainder(body, *cell, words.remainder()), factor);
        }
        Some(Hash((hash ^ hash >> 32) as u32))
    }
}

/// The last bytes of a text, fewer than eight, as a number; read at once where the body goes on behind them.
fn remainder(body: &[u8], cell: Cell, rest: &[u8]) -> u64 {
    let start = (cell.at + cell.length) as usize - rest.len();
    let known = body.get(start..).and_then(|behind| behind.first_chunk());
    let bytes = known.copied().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        for (place, byte) in bytes.iter_mut().zip(rest) {
            *place = *byte;
        }
        bytes
    });
    u64::from_le_bytes(bytes) & !(u64::MAX << (8 * rest.len()))
}

/// Both halves of the product of 128 bits.
fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b | 1);
    product as u64 ^ (product >> 64) as u64
}

/// Into the first free slot; at least a quarter of them are.
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

#[cfg(target_arch = "x86_64")]
fn fetch<T>(place: &T) {
    use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn fetch<T>(_: &T) {}
