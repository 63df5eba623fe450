//! Events of MariaDB's or MySQL's binary log in, rows kept by table: the flow of transactions, and what is left to the twin.
//!
//! The twin is `decode/binlog_plain.py`; what an event says is written down in `decode/binlog*.py`. Whatever is not as
//! it is mostly (statements, XA, unknown tables, values of rare types, anything garbled) is not judged here: feeding
//! stops in front of it.

use std::collections::HashMap;

use crate::checksum::crc32;
use crate::decoded::Decoded;
use crate::event::{
    all_set, begins, head, packet, row_event, says_nothing, statement, Head, GTID, HEADER, QUERY, TABLE_MAP, XID,
};
use crate::gather::Limits;
use crate::gathered::Gathered;
use crate::gtid::{gtid, Gtid, MARIADB};
use crate::inflate::inflated;
use crate::log::Place;
use crate::message::{parse, Fault, Images, Message, Op, LONG};
use crate::relation::Rows;
use crate::rows::BYTES_MAX;
use crate::values::{Input, Reader};

/// Why feeding ended, if not for the buffer's end, which is 0. The numbers are those of `decode.binlog_gatherer.Stop`.
const FULL: u32 = 1;
const OTHER: u32 = 2;

/// What becomes of a table, beyond the numbers of `decode.gatherer.Mode`: its rows are not even counted.
const PASSED_OVER: u32 = 3;

const NO_TABLE: u64 = 0xFF_FFFF;
const IDS_MAX: usize = 4096;

/// Where a transaction ends, or begins; places are offsets in the log's file.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Event {
    transaction: u64,
    start: u64,
    end: u64,
    changes: u64,
    at_s: u32,
    _unused: u32,
    gtid: Gtid,
}

#[repr(C)]
#[derive(Default)]
pub struct Fed {
    pub consumed: u64,
    pub stop: u32,
    pub fault: u32,
    pub a: u64,
}

/// What is gathered, and the transaction that is open.
#[repr(C)]
pub struct Totals {
    changes: u64,
    bytes: u64,
    at: u64,
    inside: u32,
    _unused: u32,
    open: Event,
}

/// A table id with its table's number.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Active {
    id: u64,
    number: u32,
    _unused: u32,
}

struct Table {
    map: Vec<u8>,
    readers: Vec<Reader>,
    /// Whether some column is the twin's to read.
    lacks: bool,
    mode: u32,
}

#[derive(Default)]
pub struct Gatherer {
    pub gathered: Gathered,
    checksums: bool,
    at: u64,
    tables: HashMap<u32, Table>,
    known: HashMap<Vec<u8>, u32>,
    ids: HashMap<u64, u32>,
    /// Whose maps stand in front of the present statement's rows.
    active: Vec<Active>,
    events: Vec<Event>,
    inside: bool,
    open: Event,
    transactions: u64,
    images: Images,
    decoded: Decoded,
    plain: Vec<u8>,
}

enum Step {
    On,
    Behind(u32),
    Before(u32),
}

enum Scan {
    Ordinary,
    Wait,
    Odd,
}

impl Gatherer {
    /// From here on, events stand in another file, at this offset; tables are forgotten.
    pub fn begin(&mut self, at: u64, checksums: bool) {
        (self.at, self.checksums) = (at, checksums);
        self.known.clear();
        self.ids.clear();
        self.active.clear();
    }

    /// A table as its map (behind the id) has it. False if rows of another shape are gathered.
    pub fn table(&mut self, number: u32, map: &[u8], readers: Vec<Reader>, key: &[u32], mode: u32) -> bool {
        if !self.gathered.relations.shape(number, readers.len(), key, mode) {
            return false;
        }
        let lacks = readers.iter().any(|reader| reader.way == 0);
        if let Some(before) = self.tables.insert(number, Table { map: map.to_vec(), readers, lacks, mode }) {
            self.known.remove(&before.map);
        }
        self.known.insert(map.to_vec(), number);
        true
    }

    pub fn feed(&mut self, buffer: &[u8], limits: &Limits) -> Fed {
        self.events.clear();
        let mut fed = Fed::default();
        let mut rest = buffer;
        while let Some((size, event)) = packet(rest) {
            let step = match event {
                Some(event) if !self.inside && event.get(4).is_some_and(|kind| begins(*kind)) => {
                    match self.scan(rest, limits) {
                        Scan::Ordinary => self.event(event, limits),
                        Scan::Wait => return fed,
                        Scan::Odd => None,
                    }
                }
                Some(event) => self.event(event, limits),
                None => None,
            };
            match step {
                None => return Fed { stop: OTHER, ..fed },
                Some(Step::Before(stop)) => return Fed { stop, ..fed },
                Some(Step::On) => fed.consumed += size as u64,
                Some(Step::Behind(stop)) => {
                    fed.consumed += size as u64;
                    return Fed { stop, ..fed };
                }
            }
            rest = rest.get(size..).unwrap_or(&[]);
        }
        fed
    }

    /// Whether the transaction that begins here has nothing but rows; not before it is whole, or too large to wait for.
    fn scan(&self, rest: &[u8], limits: &Limits) -> Scan {
        let (mut at, mut mysql) = (0, false);
        loop {
            let Some((size, event)) = packet(rest.get(at..).unwrap_or(&[])) else {
                return if rest.len() as u64 >= limits.bytes { Scan::Ordinary } else { Scan::Wait };
            };
            let Some((head, event)) = event.and_then(|event| head(event).map(|head| (head, event))) else {
                return Scan::Ordinary; // as far as here; then it is another's
            };
            let ends = match head.kind {
                XID => true,
                QUERY if self.body(event).and_then(statement) == Some(b"COMMIT") => true,
                QUERY if mysql && self.body(event).and_then(statement) == Some(b"BEGIN") => false,
                kind if at == 0 && begins(kind) => {
                    mysql = kind != GTID;
                    false
                }
                kind if kind == TABLE_MAP || row_event(kind).is_some() || says_nothing(kind) => false,
                _ => return Scan::Odd,
            };
            if ends {
                return Scan::Ordinary;
            }
            at += size;
        }
    }

    /// What is behind the header, and in front of the checksum.
    fn body<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        event.get(HEADER..event.len().checked_sub(if self.checksums { 4 } else { 0 })?)
    }

    /// `None`: it is another's to read.
    fn event(&mut self, event: &[u8], limits: &Limits) -> Option<Step> {
        let head = head(event)?;
        let body = self.body(event)?;
        if self.checksums {
            let (held, said) = event.split_last_chunk::<4>()?;
            if crc32(held) != u32::from_le_bytes(*said) {
                return None;
            }
        }
        let mut step = Step::On;
        if says_nothing(head.kind) {
        } else if begins(head.kind) {
            self.enter(&head, body)?;
        } else if !self.inside {
            return None;
        } else if let Some((op, version, compressed)) = row_event(head.kind) {
            step = self.rows(op, version, compressed, body, event.len(), limits)?;
            if let Step::Before(_) = step {
                return Some(step);
            }
        } else if head.kind == TABLE_MAP {
            self.activate(body)?;
        } else if head.kind == QUERY && self.open.gtid.form != MARIADB && statement(body)? == b"BEGIN" {
        } else if (head.kind == XID && body.len() >= 8) || (head.kind == QUERY && statement(body)? == b"COMMIT") {
            self.moved(head.end);
            self.events.push(Event { end: self.at, ..self.open });
            self.inside = false;
            self.open = Event::default();
            return Some(if self.gathered.is_full(limits) { Step::Behind(FULL) } else { Step::On });
        } else {
            return None;
        }
        self.moved(head.end);
        Some(step)
    }

    /// Ends are told modulo 2^32.
    fn moved(&mut self, end: u32) {
        if end != 0 {
            self.at += u64::from(end.wrapping_sub(self.at as u32));
        }
    }

    fn enter(&mut self, head: &Head, body: &[u8]) -> Option<()> {
        if self.inside {
            return None;
        }
        let gtid = gtid(head.kind, head.server, body)?;
        self.inside = true;
        let (transaction, start) = (self.transactions, self.at);
        self.transactions += 1;
        self.open = Event { transaction, start, at_s: head.at_s, gtid, ..Event::default() };
        Some(())
    }

    fn activate(&mut self, body: &[u8]) -> Option<()> {
        let mut input = Input::new(body);
        let id = input.little(6)?;
        let map = input.rest();
        let held = self.ids.get(&id).copied();
        let number = match held.filter(|number| self.tables.get(number).is_some_and(|table| table.map == map)) {
            Some(number) => number,
            None => *self.known.get(map)?,
        };
        if self.ids.len() > IDS_MAX {
            self.ids.clear();
        }
        self.ids.insert(id, number);
        self.active.retain(|other| other.id != id);
        self.active.push(Active { id, number, _unused: 0 });
        Some(())
    }

    fn rows(
        &mut self,
        op: Op,
        version: u32,
        compressed: bool,
        body: &[u8],
        size: usize,
        limits: &Limits,
    ) -> Option<Step> {
        let mut input = Input::new(body);
        let (id, flags) = (input.little(6)?, input.little(2)?);
        if version > 1 {
            let extra = input.little(2)?;
            input.take(usize::try_from(extra.checked_sub(2)?).ok()?)?;
        }
        let count = usize::try_from(input.packed()?).ok()?;
        let first = input.take(count.div_ceil(8))?;
        let second = if op == Op::Update { input.take(count.div_ceil(8))? } else { first };
        let mut step = Step::On;
        match self.active.iter().find(|known| known.id == id).map(|known| known.number) {
            None if compressed || id != NO_TABLE || input.left() > 0 => return None,
            None => {}
            Some(number) => {
                let table = self.tables.get(&number)?;
                if table.readers.len() != count {
                    return None;
                }
                if compressed {
                    inflated(&mut input, &mut self.plain)?;
                }
                let passed_over = table.mode == PASSED_OVER;
                let plain = std::mem::take(&mut self.plain);
                let rows = if compressed { &plain } else { input.rest() };
                let whole = passed_over || (!table.lacks && all_set(first, count) && all_set(second, count));
                let done = match () {
                    () if rows.is_empty() || !whole => None,
                    () if passed_over => Some(Step::On),
                    () => self.gather(number, op, rows, size, limits),
                };
                self.plain = plain;
                step = done?;
            }
        }
        if flags & 1 != 0 && !matches!(step, Step::Before(_)) {
            self.active.clear();
        }
        Some(step)
    }

    fn gather(&mut self, number: u32, op: Op, rows: &[u8], size: usize, limits: &Limits) -> Option<Step> {
        let gathered = &mut self.gathered;
        let relation = gathered.relations.find(number)?;
        let kept = !matches!(relation.rows, Rows::Skip);
        let room = limits.split_bytes.min(BYTES_MAX);
        let full = gathered.changes >= limits.split_changes || gathered.bytes + size as u64 > room;
        if kept && gathered.changes > 0 && full {
            return Some(Step::Before(FULL));
        }
        let decoded = &mut self.decoded;
        decoded.read(&self.tables.get(&number)?.readers, &relation.key, op, rows)?;
        let bytes = decoded.rows.iter().map(|row| (row.to - row.from) as u64).sum();
        if kept && gathered.bytes + bytes > BYTES_MAX {
            return (gathered.changes > 0).then_some(Step::Before(FULL));
        }
        let mut place = Place { transaction: self.open.transaction, index: self.open.changes };
        for row in &decoded.rows {
            let body = decoded.images(*row, op, relation.columns, &mut self.images);
            relation.add(op, row.has_old, body, &self.images, place).ok()?; // what it refuses was not read
            place.index += 1;
        }
        let count = decoded.rows.len() as u64;
        if kept {
            gathered.count(number, count, bytes);
        }
        self.open.changes += count;
        decoded.clear();
        Some(Step::On)
    }

    /// Rows that the twin read, as messages of `pgoutput` in frames; nothing is taken in behind a fault.
    pub fn push(&mut self, number: u32, frames: &[u8]) -> Result<(), (u8, usize, Fault)> {
        let mut rest = frames;
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let Some((message, behind)) = behind.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
            if let Some((kind, body)) = message.split_first() {
                self.push_one(number, *kind, body).map_err(|fault| (*kind, message.len(), fault))?;
            }
            rest = behind;
        }
        Ok(())
    }

    fn push_one(&mut self, number: u32, kind: u8, body: &[u8]) -> Result<(), Fault> {
        let Message::Row { op, has_old, .. } = parse(kind, body, &mut self.images)? else { return Ok(()) };
        let Some(relation) = self.gathered.relations.find(number) else { return Ok(()) };
        if !matches!(relation.rows, Rows::Skip) {
            let size = body.len() as u64 + 1;
            if self.gathered.bytes + size > BYTES_MAX {
                return Err(Fault::of(LONG, 0));
            }
            let place = Place { transaction: self.open.transaction, index: self.open.changes };
            relation.add(op, has_old, body, &self.images, place)?;
            self.gathered.count(number, 1, size);
        }
        self.open.changes += 1;
        Ok(())
    }

    /// The event feeding stopped in front of was dealt with: what it says of the place, and whether it ends a statement.
    pub fn passed(&mut self, end: u32, ends_statement: bool) {
        self.moved(end);
        if ends_statement {
            self.active.clear();
        }
    }

    /// The transaction that is open is somebody else's from here on.
    pub fn leave(&mut self) {
        self.inside = false;
        self.open = Event::default();
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn active(&self) -> &[Active] {
        &self.active
    }

    pub fn totals(&self) -> Totals {
        let Gathered { changes, bytes, .. } = self.gathered;
        Totals { changes, bytes, at: self.at, inside: u32::from(self.inside), _unused: 0, open: self.open }
    }
}
