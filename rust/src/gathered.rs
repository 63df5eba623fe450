//! What is gathered of all relations, until it is taken.

use crate::arrow::Group;
use crate::gather::Limits;
use crate::relation::Relations;

#[derive(Default)]
pub struct Gathered {
    pub relations: Relations,
    held: Vec<u32>,
    pub changes: u64,
    pub bytes: u64,
}

impl Gathered {
    /// So many changes of a relation, and bytes of theirs, were added.
    pub fn count(&mut self, oid: u32, changes: u64, bytes: u64) {
        let Some(relation) = self.relations.find(oid) else { return };
        if relation.changes == 0 && changes > 0 {
            self.held.push(oid);
        }
        relation.changes += changes;
        relation.bytes += bytes;
        self.changes += changes;
        self.bytes += bytes;
    }

    pub fn is_full(&self, limits: &Limits) -> bool {
        self.changes > 0 && (self.changes >= limits.changes || self.bytes >= limits.bytes)
    }

    /// Nothing for a relation that is not gathered.
    pub fn take(&mut self, oid: u32) -> Vec<Group> {
        let Some(relation) = self.relations.find(oid) else { return vec![] };
        self.changes -= relation.changes;
        self.bytes -= relation.bytes;
        self.held.retain(|held| *held != oid);
        relation.take()
    }

    /// Forgets what is gathered; shapes and the place in the log stay.
    pub fn clear(&mut self) {
        for oid in self.held.drain(..) {
            if let Some(relation) = self.relations.find(oid) {
                relation.clear();
            }
        }
        (self.changes, self.bytes) = (0, 0);
    }

    /// The relations with something to take, in the order of their first change.
    pub fn held(&self) -> &[u32] {
        &self.held
    }
}
