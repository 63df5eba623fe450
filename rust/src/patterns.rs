//! Rows told apart by which of their columns the log left out.

use std::collections::HashMap;

use crate::message::{Cell, UNCHANGED};

pub fn left_out(row: &[Cell]) -> bool {
    row.iter().any(|cell| cell.length == UNCHANGED)
}

/// For each pattern the columns that are known and the numbers of its rows; in the order in which they came first.
#[derive(Default)]
pub struct Patterns {
    pub found: Vec<(Vec<u32>, Vec<u32>)>,
    places: HashMap<Vec<u32>, usize>,
    last: usize,
}

impl Patterns {
    pub fn add(&mut self, row: &[Cell], number: u32) {
        // Neighbours are mostly alike: the last pattern is asked before one is made.
        if let Some((known, numbers)) = self.found.get_mut(self.last) {
            if known_of(row).eq(known.iter().copied()) {
                numbers.push(number);
                return;
            }
        }
        let known: Vec<u32> = known_of(row).collect();
        self.last = *self.places.entry(known.clone()).or_insert(self.found.len());
        match self.found.get_mut(self.last) {
            Some((_, numbers)) => numbers.push(number),
            None => self.found.push((known, vec![number])),
        }
    }
}

fn known_of(row: &[Cell]) -> impl Iterator<Item = u32> + '_ {
    (0..).zip(row).filter(|(_, cell)| cell.length != UNCHANGED).map(|(column, _)| column)
}
