//! Frames in, rows kept by relation: the flow of transactions, what stops it, and how much is gathered at once.
//!
//! The twin is `decode/plain.py`; both stop at the same places for the same reasons.

use crate::gathered::Gathered;
use crate::log::Place;
use crate::message::{parse, Fault, Images, Message, Op, LONG, SHORT};
use crate::relation::Rows;
use crate::rows::BYTES_MAX;

const OUT_OF_PLACE: Fault = Fault::of(20, 0);
const FEWER: Fault = Fault::of(21, 0);
const COLUMNS: u32 = 22;

/// When to stop: behind a commit at the first two, and in front of a row that would exceed the others.
#[repr(C)]
pub struct Limits {
    pub changes: u64,
    pub bytes: u64,
    pub split_changes: u64,
    pub split_bytes: u64,
}

/// The numbers are those of `decode.gatherer.EventKind`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Event {
    kind: u32,
    xid: u32,
    transaction: u64,
    commit_lsn: u64,
    end_lsn: u64,
    at_us: i64,
    changes: u64,
}

const BEGIN: u32 = 1;
const COMMIT: u32 = 2;

/// Why feeding ended, if not for the buffer's end, which is 0. The numbers are those of `decode.gatherer.Stop`.
const FULL: u32 = 1;
const RELATION: u32 = 2;
const TRUNCATE: u32 = 3;
const UNSHAPED: u32 = 4;
const BROKEN: u32 = 5;

/// What `feed` says besides its events.
#[repr(C)]
#[derive(Default)]
pub struct Fed {
    pub consumed: u64,
    pub stop: u32,
    /// Of `UNSHAPED`: the relation.
    pub oid: u32,
    /// Of `BROKEN`: the message's kind (256: it has none), its length and the fault.
    pub kind: u32,
    pub fault: u32,
    pub length: u64,
    pub a: u64,
    pub b: u64,
    /// Of `RELATION` and `TRUNCATE`: where the message stands.
    pub message_at: u64,
    pub message_length: u64,
}

/// Where to go on in a log read before: see `decode.gatherer.Gatherer.resume`.
#[derive(Default)]
struct Resume {
    lsn: u64,
    inside: u64,
    changes: u64,
}

#[derive(Default)]
pub struct Gatherer {
    resume: Resume,
    pub gathered: Gathered,
    events: Vec<Event>,
    images: Images,
    inside: bool,
    open: Event,
    skip: u64,
    transactions: u64,
}

enum Step {
    On,
    Behind(u32),
    Before(u32, u32),
}

impl Gatherer {
    pub fn resume(&mut self, lsn: u64, inside: u64, changes: u64) {
        self.resume = Resume { lsn, inside, changes };
    }

    /// False if rows of another shape are gathered. The key's columns must be columns.
    pub fn shape(&mut self, oid: u32, columns: usize, key: &[u32], mode: u32) -> bool {
        self.gathered.relations.shape(oid, columns, key, mode)
    }

    pub fn feed(&mut self, buffer: &[u8], limits: &Limits) -> Fed {
        self.events.clear();
        let mut fed = Fed::default();
        let mut rest = buffer;
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head);
            if u64::from(length) > BYTES_MAX {
                return broken(fed, 256, u64::from(length), Fault::of(LONG, 0));
            }
            let Some((message, behind)) = behind.split_at_checked(length as usize) else { break };
            let Some((kind, body)) = message.split_first() else { return broken(fed, 256, 0, SHORT) };
            match self.message(*kind, body, limits) {
                Err(fault) => return broken(fed, u32::from(*kind), body.len() as u64 + 1, fault),
                Ok(Step::Before(stop, oid)) => return Fed { stop, oid, ..fed },
                Ok(Step::On) => fed.consumed += 4 + u64::from(length),
                Ok(Step::Behind(stop)) => {
                    fed.message_at = fed.consumed + 4;
                    fed.message_length = u64::from(length);
                    fed.consumed += 4 + u64::from(length);
                    return Fed { stop, ..fed };
                }
            }
            rest = behind;
        }
        fed
    }

    fn message(&mut self, kind: u8, body: &[u8], limits: &Limits) -> Result<Step, Fault> {
        match parse(kind, body, &mut self.images)? {
            Message::Row { oid, op, has_old } => return self.row(oid, op, has_old, body, limits),
            Message::Begin { commit_lsn, at_us, xid } => {
                self.enter(Event { kind: BEGIN, xid, commit_lsn, at_us, ..Event::default() })?;
                self.skip = if commit_lsn == self.resume.inside { self.resume.changes } else { 0 };
                if commit_lsn < self.resume.lsn {
                    self.skip = u64::MAX;
                }
            }
            Message::Commit { end_lsn } => {
                self.inside()?;
                if self.skip != u64::MAX && self.open.changes < self.skip {
                    return Err(FEWER);
                }
                self.events.push(Event { kind: COMMIT, end_lsn, ..self.open });
                self.leave();
                return Ok(self.room(limits));
            }
            Message::Relation { oid } => {
                if let Some(relation) = self.gathered.relations.find(oid) {
                    relation.described = false;
                }
                return Ok(Step::Behind(RELATION));
            }
            Message::Truncate { tables } => {
                self.inside()?;
                self.open.changes += u64::from(tables);
                return Ok(Step::Behind(TRUNCATE));
            }
            Message::Nothing => {}
        }
        Ok(Step::On)
    }

    fn row(&mut self, oid: u32, op: Op, has_old: bool, body: &[u8], limits: &Limits) -> Result<Step, Fault> {
        self.inside()?;
        let gathered = &mut self.gathered;
        let Some(relation) = gathered.relations.find(oid).filter(|relation| relation.described) else {
            return Ok(Step::Before(UNSHAPED, oid));
        };
        let place = Place { transaction: self.open.transaction, index: self.open.changes };
        if !matches!(relation.rows, Rows::Skip) {
            let images = [(has_old, &self.images.old), (op != Op::Delete, &self.images.new)];
            for (there, image) in images {
                if there && image.len() != relation.columns {
                    return Err(Fault { code: COLUMNS, a: u64::from(oid), b: image.len() as u64 });
                }
            }
            if place.index >= self.skip {
                let size = body.len() as u64 + 1;
                let bytes = gathered.bytes.saturating_add(size);
                let full = gathered.changes >= limits.split_changes || bytes > limits.split_bytes.min(BYTES_MAX);
                if gathered.changes > 0 && full {
                    return Ok(Step::Before(FULL, oid));
                }
                relation.add(op, has_old, body, &self.images, place)?;
                gathered.count(oid, 1, size);
            }
        }
        self.open.changes += 1;
        Ok(Step::On)
    }

    fn room(&self, limits: &Limits) -> Step {
        if self.gathered.is_full(limits) {
            return Step::Behind(FULL);
        }
        Step::On
    }

    fn enter(&mut self, open: Event) -> Result<(), Fault> {
        if self.inside {
            return Err(OUT_OF_PLACE);
        }
        self.inside = true;
        self.open = Event { transaction: self.transactions, ..open };
        self.transactions += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.inside = false;
        self.skip = 0;
        self.open = Event::default();
    }

    fn inside(&self) -> Result<(), Fault> {
        if self.inside {
            return Ok(());
        }
        Err(OUT_OF_PLACE)
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn totals(&self) -> Totals {
        let inside = u32::from(self.inside);
        let Gathered { changes, bytes, .. } = self.gathered;
        Totals { changes, bytes, skip: self.skip, inside, _unused: 0, open: self.open }
    }
}

/// What is gathered, and the transaction that is open.
#[repr(C)]
#[derive(Default)]
pub struct Totals {
    changes: u64,
    bytes: u64,
    skip: u64,
    inside: u32,
    _unused: u32,
    open: Event,
}

fn broken(fed: Fed, kind: u32, length: u64, fault: Fault) -> Fed {
    Fed { stop: BROKEN, kind, length, fault: fault.code, a: fault.a, b: fault.b, ..fed }
}
