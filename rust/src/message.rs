//! One `pgoutput` message: bytes in, what it says out.
//!
//! Format: PostgreSQL documentation, "Logical Replication Message Formats", protocol versions 1 to 4 without streaming,
//! values as text. Whatever the bytes are, the answer is a `Message` or a `Fault`, never a panic. The twin is
//! `decode/pgoutput.py`: the same checks in the same order, so that both find the same fault.

/// The length of a cell that is NULL, and of one whose large value the log left out.
pub const NULL: u32 = u32::MAX;
pub const UNCHANGED: u32 = u32::MAX - 1;

/// A value's place in a message's body, or in the bytes that are kept of it.
#[derive(Clone, Copy)]
pub struct Cell {
    pub at: u32,
    pub length: u32,
}

impl Cell {
    pub fn is_text(self) -> bool {
        self.length < UNCHANGED
    }

    /// The value; nothing for a cell that has none.
    pub fn text(self, bytes: &[u8]) -> &[u8] {
        let rest = bytes.get(self.at as usize..).unwrap_or(&[]);
        rest.get(..self.length as usize).unwrap_or(&[])
    }
}

/// What is wrong: a code of `pgoutput.Fault`, and what its text names. Never a value (I8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    pub code: u32,
    pub a: u64,
    pub b: u64,
}

pub const SHORT: Fault = Fault::of(1, 0);
const TEXT: u32 = 2;
const BEYOND: u32 = 3;
const CELL: u32 = 4;
const NEW: u32 = 5;
const OLD: u32 = 6;
const COUNTS: u32 = 7;
const TRAILING: u32 = 8;
const KIND: u32 = 9;
const NAME: u32 = 10;
const TABLES: u32 = 11;
pub const LONG: u32 = 12;

impl Fault {
    pub const fn of(code: u32, a: u64) -> Fault {
        Fault { code, a, b: 0 }
    }

    /// `at` counts in the body, which begins at the message's second byte.
    fn at(code: u32, at: usize) -> Fault {
        Fault::of(code, at as u64 + 1)
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Op {
    Insert,
    Update,
    Delete,
}

/// Of a row's change its cells are in `Images`.
pub enum Message {
    Begin { commit_lsn: u64, at_us: i64, xid: u32 },
    Commit { end_lsn: u64 },
    Row { oid: u32, op: Op, has_old: bool },
    Relation { oid: u32 },
    Truncate { tables: u32 },
    Nothing,
}

/// The cells of the row that was and of the row that is now; places in the message's body. Used again and again.
#[derive(Default)]
pub struct Images {
    pub old: Vec<Cell>,
    pub new: Vec<Cell>,
}

/// A message of `kind` with what follows its first byte.
pub fn parse(kind: u8, body: &[u8], images: &mut Images) -> Result<Message, Fault> {
    let mut reader = Reader { body, at: 0 };
    images.old.clear();
    images.new.clear();
    let message = match kind {
        b'I' => insert(&mut reader, images)?,
        b'U' => update(&mut reader, images)?,
        b'D' => delete(&mut reader, images)?,
        b'B' => Message::Begin { commit_lsn: reader.u64()?, at_us: reader.u64()? as i64, xid: reader.u32()? },
        b'C' => {
            reader.u8()?;
            reader.u64()?;
            let end_lsn = reader.u64()?;
            reader.u64()?;
            Message::Commit { end_lsn }
        }
        b'R' => relation(&mut reader)?,
        b'T' => return truncate(&mut reader),
        b'Y' | b'O' | b'M' => return Ok(Message::Nothing),
        _ => return Err(Fault::of(KIND, 0)),
    };
    match reader.left() {
        0 => Ok(message),
        left => Err(Fault::of(TRAILING, left as u64)),
    }
}

fn insert(reader: &mut Reader, images: &mut Images) -> Result<Message, Fault> {
    let plain = reader.is_plain();
    reader.at = 4;
    reader.marked(b"N", NEW)?;
    reader.row(plain, &mut images.new)?;
    Ok(Message::Row { oid: reader.oid()?, op: Op::Insert, has_old: false })
}

fn delete(reader: &mut Reader, images: &mut Images) -> Result<Message, Fault> {
    let plain = reader.is_plain();
    reader.at = 4;
    reader.marked(b"KO", OLD)?;
    reader.row(plain, &mut images.old)?;
    Ok(Message::Row { oid: reader.oid()?, op: Op::Delete, has_old: true })
}

fn update(reader: &mut Reader, images: &mut Images) -> Result<Message, Fault> {
    let plain = reader.is_plain();
    reader.at = 4;
    let before = reader.body.get(4).copied();
    let has_old = matches!(before, Some(b'K' | b'O'));
    if has_old {
        reader.at = 5;
        reader.row(plain, &mut images.old)?;
    }
    reader.marked(b"N", NEW)?;
    reader.row(plain, &mut images.new)?;
    if has_old {
        if images.old.len() != images.new.len() {
            return Err(Fault { code: COUNTS, a: images.old.len() as u64, b: images.new.len() as u64 });
        }
        // The value the update left out stands in the old row where that is whole, or has the column as part of the
        // key: a key is never NULL, and the columns that are not part of it are.
        for (old, new) in images.old.iter().zip(images.new.iter_mut()) {
            if new.length == UNCHANGED && (before == Some(b'O') || old.length != NULL) {
                *new = *old;
            }
        }
    }
    Ok(Message::Row { oid: reader.oid()?, op: Op::Update, has_old })
}

fn relation(reader: &mut Reader) -> Result<Message, Fault> {
    let oid = reader.u32()?;
    reader.name()?;
    reader.name()?;
    reader.u8()?;
    for _ in 0..reader.u16()? {
        reader.u8()?;
        reader.name()?;
        reader.u64()?;
    }
    Ok(Message::Relation { oid })
}

fn truncate(reader: &mut Reader) -> Result<Message, Fault> {
    let tables = reader.u32()?;
    reader.u8()?;
    if reader.left() as u64 != 4 * u64::from(tables) {
        return Err(Fault::of(TABLES, u64::from(tables)));
    }
    Ok(Message::Truncate { tables })
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.body.len().saturating_sub(self.at)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let found = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(SHORT)?;
        self.at += N;
        Ok(*found)
    }

    fn u8(&mut self) -> Result<u8, Fault> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        self.take().map(u64::from_be_bytes)
    }

    /// The relation a row's message begins with, wherever the reader stands.
    fn oid(&self) -> Result<u32, Fault> {
        Reader { body: self.body, at: 0 }.u32()
    }

    /// Nothing behind the oid is outside of ASCII, so every value is UTF-8. A length byte may say no too often.
    fn is_plain(&self) -> bool {
        let body = self.body.get(4..).unwrap_or(&[]);
        match body.last_chunk() {
            Some(last) => body.chunks_exact(BLOCK).all(plain) && plain(last as &[u8; BLOCK]),
            None => body.is_ascii(),
        }
    }

    fn marked(&mut self, allowed: &[u8], fault: u32) -> Result<(), Fault> {
        let at = self.at;
        if allowed.contains(&self.u8()?) {
            Ok(())
        } else {
            Err(Fault::at(fault, at))
        }
    }

    fn name(&mut self) -> Result<(), Fault> {
        let rest = self.body.get(self.at..).unwrap_or(&[]);
        let length = rest.iter().position(|byte| *byte == 0).ok_or(Fault::at(NAME, self.at))?;
        if std::str::from_utf8(rest.get(..length).unwrap_or(&[])).is_err() {
            return Err(Fault::at(TEXT, self.at));
        }
        self.at += length + 1;
        Ok(())
    }

    fn row(&mut self, plain: bool, cells: &mut Vec<Cell>) -> Result<(), Fault> {
        let count = self.u16()?;
        for _ in 0..count {
            match self.u8()? {
                b't' => {
                    let start = self.at + 4;
                    let cell = self.u32().ok().map(|length| Cell { at: start as u32, length });
                    let value = cell.and_then(|cell| self.body.get(start..)?.get(..cell.length as usize));
                    let (Some(cell), Some(value)) = (cell, value) else {
                        return Err(Fault::at(BEYOND, start));
                    };
                    if !plain && std::str::from_utf8(value).is_err() {
                        return Err(Fault::at(TEXT, start));
                    }
                    cells.push(cell);
                    self.at = start + value.len();
                }
                b'n' => cells.push(Cell { at: 0, length: NULL }),
                b'u' => cells.push(Cell { at: 0, length: UNCHANGED }),
                _ => return Err(Fault::at(CELL, self.at - 1)),
            }
        }
        Ok(())
    }
}

const BLOCK: usize = 32;

fn plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) < 0x80
}
