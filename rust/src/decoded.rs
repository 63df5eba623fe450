//! The rows of one event of a binary log as texts: all of them, or none.

use crate::event::bit;
use crate::message::{Cell, Images, Op, NULL};
use crate::rows::{emptied, shifted, BYTES_MAX};
use crate::values::{Input, Reader};

/// The rows of one event, and where their cells stand in the texts.
#[derive(Default)]
pub struct Decoded {
    texts: Vec<u8>,
    cells: Vec<Cell>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy)]
pub struct Row {
    /// Where its texts begin and end, and its first cell.
    pub from: usize,
    pub to: usize,
    cell: usize,
    pub has_old: bool,
}

impl Decoded {
    /// Every row, or none. A key without a value is nobody's to find.
    pub fn read(&mut self, readers: &[Reader], key: &[usize], op: Op, rows: &[u8]) -> Option<()> {
        self.clear();
        let mut input = Input::new(rows);
        while input.left() > 0 {
            let (began, from, cell) = (input.at, self.texts.len(), self.cells.len());
            self.image(readers, key, &mut input)?;
            let mut row = Row { from, to: self.texts.len(), cell, has_old: op == Op::Delete };
            if op == Op::Update {
                self.image(readers, key, &mut input)?;
                let (from, next) = (row.to, cell + readers.len());
                row = match key.is_empty() || key.iter().any(|at| self.text(cell + at) != self.text(next + at)) {
                    true => Row { to: self.texts.len(), has_old: true, ..row },
                    false => Row { from, to: self.texts.len(), cell: next, has_old: false },
                };
            }
            if input.at == began {
                return None;
            }
            self.rows.push(row);
        }
        Some(())
    }

    fn image(&mut self, readers: &[Reader], key: &[usize], input: &mut Input) -> Option<()> {
        let nulls = input.take(readers.len().div_ceil(8))?;
        let first = self.cells.len();
        for (at, reader) in readers.iter().enumerate() {
            if bit(nulls, at) {
                self.cells.push(Cell { at: 0, length: NULL });
                continue;
            }
            let start = self.texts.len();
            reader.read(input, &mut self.texts)?;
            if self.texts.len() as u64 > BYTES_MAX {
                return None;
            }
            self.cells.push(Cell { at: start as u32, length: (self.texts.len() - start) as u32 });
        }
        key.iter().all(|at| self.cells.get(first + at).is_some_and(|cell| cell.is_text())).then_some(())
    }

    fn text(&self, cell: usize) -> &[u8] {
        self.cells.get(cell).map_or(&[], |cell| cell.text(&self.texts))
    }

    /// The row's texts, with its images as places in them.
    pub fn images(&self, row: Row, op: Op, columns: usize, images: &mut Images) -> &[u8] {
        let moved = (row.from as u32).wrapping_neg();
        let image = |first: usize| self.cells.get(first..first + columns).unwrap_or(&[]).iter();
        images.old.clear();
        images.new.clear();
        let mut first = row.cell;
        if row.has_old {
            images.old.extend(image(first).map(|cell| shifted(*cell, moved)));
            first += columns;
        }
        if op != Op::Delete {
            images.new.extend(image(first).map(|cell| shifted(*cell, moved)));
        }
        self.texts.get(row.from..row.to).unwrap_or(&[])
    }

    pub fn clear(&mut self) {
        emptied(&mut self.texts);
        emptied(&mut self.cells);
        emptied(&mut self.rows);
    }
}
