//! What a transaction is called at its beginning: by MariaDB, and by MySQL with and without a tag.
//!
//! The twin is `decode/binlog_gtid.py`, which also names the formats. `None`: it is the twin's to read.

use crate::event::{GTID, GTID_ANONYMOUS, GTID_OF_MYSQL};
use crate::values::Input;

/// Of a transaction that has no more than rows: where it comes from, and its number there.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Gtid {
    pub sequence: u64,
    pub domain: u32,
    pub server: u32,
    /// Whose it is: `MARIADB`, `ANONYMOUS`, or `TAGGED` and above for MySQL's with a tag of so many bytes more.
    pub form: u32,
    _unused: u32,
    uuid: [u8; 16],
    tag: [u8; TAG_MAX],
}

pub const MARIADB: u32 = 0;
const ANONYMOUS: u32 = 1;
const TAGGED: u32 = 2;
const TAG_MAX: usize = 32;
const LAST_FIELD: u64 = 10;

pub fn gtid(kind: u8, server: u32, body: &[u8]) -> Option<Gtid> {
    match kind {
        GTID => of_mariadb(server, body),
        GTID_OF_MYSQL | GTID_ANONYMOUS => of_mysql(kind == GTID_ANONYMOUS, body),
        _ => tagged(body),
    }
}

/// `None` also for a statement by itself, one that makes a table, and XA.
fn of_mariadb(server: u32, body: &[u8]) -> Option<Gtid> {
    let mut input = Input::new(body);
    let (sequence, domain, flags) = (input.little(8)?, input.little(4)? as u32, input.little(1)?);
    if flags & 2 != 0 {
        input.take(8)?;
    }
    (flags & (1 | 32 | 64 | 128) == 0).then_some(Gtid { sequence, domain, server, form: MARIADB, ..Gtid::default() })
}

fn of_mysql(anonymous: bool, body: &[u8]) -> Option<Gtid> {
    let mut input = Input::new(body);
    input.take(1)?;
    let (uuid, sequence) = (*input.take(16)?.first_chunk()?, input.little(8)?);
    if input.left() >= 17 {
        input.take(17)?;
    }
    if input.left() >= 7 {
        if input.little(7)? >> 55 != 0 {
            input.take(7)?;
        }
        if input.left() > 0 {
            input.packed()?;
        }
    }
    if anonymous {
        return Some(Gtid { form: ANONYMOUS, ..Gtid::default() });
    }
    numbered(Gtid { sequence, uuid, form: TAGGED, ..Gtid::default() })
}

/// A message of MySQL's serialization library.
fn tagged(body: &[u8]) -> Option<Gtid> {
    let mut input = Input::new(body);
    if varlen(&mut input)? != 1 {
        return None;
    }
    let before = input.left() as u64 + 1;
    let (size, required) = (varlen(&mut input)?, varlen(&mut input)?);
    let inner = size.checked_sub(before - input.left() as u64)?;
    if required > LAST_FIELD {
        return None;
    }
    let mut fields = Input::new(input.take(usize::try_from(inner).ok()?)?);
    let (mut uuid, mut tag, mut sequence) = (None, [].as_slice(), None);
    while fields.left() > 0 {
        match varlen(&mut fields)? {
            1 => {
                let mut read = [0; 16];
                for byte in &mut read {
                    *byte = u8::try_from(varlen(&mut fields)?).ok()?;
                }
                uuid = Some(read);
            }
            2 => {
                let number = varlen(&mut fields)?;
                sequence = Some(if number & 1 == 0 { number >> 1 } else { 0 });
            }
            3 => {
                let length = varlen(&mut fields)?;
                tag = fields.take(usize::try_from(length).ok()?)?;
                std::str::from_utf8(tag).ok()?;
            }
            number if number <= LAST_FIELD => {
                varlen(&mut fields)?;
            }
            _ => break,
        }
    }
    let mut found = Gtid { sequence: sequence?, uuid: uuid?, form: TAGGED + tag.len() as u32, ..Gtid::default() };
    found.tag.get_mut(..tag.len())?.copy_from_slice(tag);
    numbered(found)
}

fn numbered(gtid: Gtid) -> Option<Gtid> {
    (1..i64::MAX as u64).contains(&gtid.sequence).then_some(gtid)
}

/// As many more bytes follow as the first has ones at its low end.
fn varlen(input: &mut Input) -> Option<u64> {
    let first = input.little(1)?;
    let more = first.trailing_ones() as usize;
    let rest = input.little(more)?;
    Some(first >> (more + 1) | rest << 7usize.saturating_sub(more))
}
