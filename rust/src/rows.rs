//! Rows that are kept: the bytes of their messages, one behind the other, and where in them each cell stands.

use crate::message::{Cell, UNCHANGED};

/// The most that is gathered at once. A value may come out twice, and a column's offsets end at 2^31.
pub const BYTES_MAX: u64 = (1 << 30) - 1;

pub struct Rows {
    pub columns: usize,
    pub bytes: Vec<u8>,
    cells: Vec<Cell>,
    count: u32,
}

impl Rows {
    pub fn new(columns: usize) -> Rows {
        Rows { columns, bytes: vec![], cells: vec![], count: 0 }
    }

    /// Keeps a message's body; what its cells' places move by.
    pub fn keep(&mut self, body: &[u8]) -> u32 {
        let moved = self.bytes.len() as u32;
        self.bytes.extend_from_slice(body);
        moved
    }

    /// Adds a row of cells that stand in a body kept at `moved`; its number.
    pub fn add(&mut self, cells: &[Cell], moved: u32) -> u32 {
        self.cells.extend(cells.iter().map(|cell| shifted(*cell, moved)));
        self.count += 1;
        self.count - 1
    }

    /// The same, with the cells left out taken from an earlier row; whether some are still left out.
    pub fn add_merged(&mut self, cells: &[Cell], moved: u32, before: u32) -> (u32, bool) {
        let first = self.cells.len();
        let row = self.add(cells, moved);
        let (earlier, merged) = self.cells.split_at_mut(first);
        let earlier = slice(earlier, before, self.columns);
        let mut left_out = false;
        for (cell, known) in merged.iter_mut().zip(earlier) {
            if cell.length == UNCHANGED {
                *cell = *known;
                left_out |= known.length == UNCHANGED;
            }
        }
        (row, left_out)
    }

    pub fn row(&self, number: u32) -> &[Cell] {
        slice(&self.cells, number, self.columns)
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn clear(&mut self) {
        emptied(&mut self.bytes);
        emptied(&mut self.cells);
        self.count = 0;
    }
}

pub fn shifted(cell: Cell, moved: u32) -> Cell {
    Cell { at: cell.at.wrapping_add(moved), length: cell.length }
}

fn slice(cells: &[Cell], number: u32, columns: usize) -> &[Cell] {
    let rest = cells.get(number as usize * columns..).unwrap_or(&[]);
    rest.get(..columns).unwrap_or(&[])
}

/// Empty, ready for about as much again; what one huge batch needed is given back.
pub fn emptied<T>(values: &mut Vec<T>) {
    let used = values.len().max(1024);
    values.clear();
    if values.capacity() / 4 > used {
        values.shrink_to(2 * used);
    }
}
