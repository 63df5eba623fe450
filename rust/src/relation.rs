//! The relations whose shape was said, each with the rows that are gathered of it.

use std::collections::HashMap;

use crate::arrow::Group;
use crate::log::{Log, Place};
use crate::message::{Fault, Images, Op};
use crate::net::Net;

/// The numbers are those of `decode.gatherer.Mode`; any other is `SKIP`.
const NET: u32 = 0;
const LOG: u32 = 1;

pub enum Rows {
    Net(Net),
    Log(Log),
    Skip,
}

pub struct Relation {
    oid: u32,
    pub columns: usize,
    pub key: Vec<usize>,
    mode: u32,
    /// Cleared by a relation's message, until its shape is said again.
    pub described: bool,
    pub rows: Rows,
    pub changes: u64,
    pub bytes: u64,
}

impl Relation {
    /// Nothing is changed if there is a fault.
    pub fn add(&mut self, op: Op, has_old: bool, body: &[u8], images: &Images, place: Place) -> Result<(), Fault> {
        match &mut self.rows {
            Rows::Net(net) => net.add(self.oid, op, has_old, body, images),
            Rows::Log(log) => log.add(self.oid, op, has_old, body, images, place),
            Rows::Skip => Ok(()),
        }
    }

    pub fn take(&mut self) -> Vec<Group> {
        (self.changes, self.bytes) = (0, 0);
        match &mut self.rows {
            Rows::Net(net) => net.take(),
            Rows::Log(log) => log.take(),
            Rows::Skip => vec![],
        }
    }

    pub fn clear(&mut self) {
        (self.changes, self.bytes) = (0, 0);
        match &mut self.rows {
            Rows::Net(net) => net.clear(),
            Rows::Log(log) => log.clear(),
            Rows::Skip => {}
        }
    }
}

#[derive(Default)]
pub struct Relations {
    all: Vec<Relation>,
    places: HashMap<u32, usize>,
    /// The place of the one asked for last: neighbours are mostly of one relation.
    last: usize,
}

impl Relations {
    pub fn find(&mut self, oid: u32) -> Option<&mut Relation> {
        if self.all.get(self.last).is_none_or(|last| last.oid != oid) {
            self.last = *self.places.get(&oid)?;
        }
        self.all.get_mut(self.last)
    }

    /// False if rows of another shape are gathered.
    pub fn shape(&mut self, oid: u32, columns: usize, key: &[u32], mode: u32) -> bool {
        let key: Vec<usize> = key.iter().map(|column| *column as usize).collect();
        if let Some(held) = self.find(oid) {
            if (held.columns, &held.key, held.mode) == (columns, &key, mode) {
                held.described = true;
                return true;
            }
            if held.changes > 0 {
                return false;
            }
        }
        let rows = match mode {
            NET => Rows::Net(Net::new(columns, key.clone())),
            LOG => Rows::Log(Log::new(columns, key.clone())),
            _ => Rows::Skip,
        };
        let relation = Relation { oid, columns, key, mode, described: true, rows, changes: 0, bytes: 0 };
        match self.find(oid) {
            Some(held) => *held = relation,
            None => {
                self.places.insert(oid, self.all.len());
                self.all.push(relation);
            }
        }
        true
    }
}
