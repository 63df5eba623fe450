//! What packets and events of a binary log are by their first bytes.
//!
//! Format: MariaDB documentation, "0 - Packet", "2-Binlog Event Header" and "Replication Protocol".

use crate::message::Op;
use crate::values::Input;

pub const HEADER: usize = 19;
const PACKET_MAX: usize = 0xFF_FFFF;

pub const QUERY: u8 = 2;
pub const XID: u8 = 16;
pub const TABLE_MAP: u8 = 19;
pub const GTID: u8 = 162;
pub const GTID_OF_MYSQL: u8 = 33;
pub const GTID_ANONYMOUS: u8 = 34;
pub const GTID_TAGGED: u8 = 42;

pub struct Head {
    pub at_s: u32,
    pub kind: u8,
    pub server: u32,
    pub end: u32,
}

/// The next packet, if it is whole: its size, and its event if it is nothing but one.
pub fn packet(rest: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let [a, b, c, _] = *rest.first_chunk::<4>()?;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    let payload = rest.get(4..4 + length)?;
    let event = match payload.split_first() {
        Some((0, event)) if length < PACKET_MAX => Some(event),
        _ => None,
    };
    Some((4 + length, event))
}

pub fn head(event: &[u8]) -> Option<Head> {
    let mut input = Input::new(event.get(..HEADER)?);
    let (at_s, kind, server) = (input.little(4)? as u32, input.little(1)? as u8, input.little(4)? as u32);
    let (size, end) = (input.little(4)?, input.little(4)? as u32);
    (size == event.len() as u64).then_some(Head { at_s, kind, server, end })
}

/// What happened, the version, and whether it is compressed.
pub fn row_event(kind: u8) -> Option<(Op, u32, bool)> {
    Some(match kind {
        23 => (Op::Insert, 1, false),
        24 => (Op::Update, 1, false),
        25 => (Op::Delete, 1, false),
        30 => (Op::Insert, 2, false),
        31 => (Op::Update, 2, false),
        32 => (Op::Delete, 2, false),
        166 => (Op::Insert, 1, true),
        167 => (Op::Update, 1, true),
        168 => (Op::Delete, 1, true),
        169 => (Op::Insert, 2, true),
        170 => (Op::Update, 2, true),
        171 => (Op::Delete, 2, true),
        _ => return None,
    })
}

/// Nothing a row depends on.
pub fn says_nothing(kind: u8) -> bool {
    matches!(kind, 28 | 29 | 36 | 37 | 160 | 161)
}

/// Whether a transaction begins with it.
pub fn begins(kind: u8) -> bool {
    matches!(kind, GTID | GTID_OF_MYSQL | GTID_ANONYMOUS | GTID_TAGGED)
}

/// The text of a query event.
pub fn statement(body: &[u8]) -> Option<&[u8]> {
    let mut input = Input::new(body);
    input.take(8)?;
    let (schema, _) = (input.little(1)?, input.little(2)?);
    let status = input.little(2)?;
    input.take(status as usize)?;
    std::str::from_utf8(input.take(schema as usize)?).ok()?;
    input.take(1)?;
    Some(input.rest())
}

pub fn all_set(bits: &[u8], count: usize) -> bool {
    (0..count).all(|at| bit(bits, at))
}

pub fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}
