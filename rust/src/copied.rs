//! Rows of PostgreSQL's binary COPY as typed Arrow columns, and so without a text for each value.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format"; of the values, the server's `…_send` functions. A value that
//! its column cannot hold as it is, a number that is none or has too many digits, is refused and never bent. No twin is
//! needed, since without this rows come as texts.

use crate::addresses;
use crate::arrow::{self, ArrowArray};
use crate::copy::{BOOL, BYTEA, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, JSONB, NUMERIC, TEXT, TIME, TIMESTAMP};
use crate::copy::{TIMESTAMPTZ, UUID};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// From 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_US: i64 = 946_684_800_000_000;
const NEGATIVE: u16 = 0x4000;

/// A column that is wanted; precision and scale are a number's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Wanted {
    form: u32,
    precision: u32,
    scale: u32,
}

#[derive(Debug, PartialEq)]
pub enum Fault {
    /// These are no rows of such columns.
    Broken,
    /// This column cannot hold a value.
    Value(usize),
}

enum Values {
    Bits(Vec<u8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int128(Vec<i128>),
    Bytes(Vec<i32>, Vec<u8>),
}

struct Column {
    wanted: Wanted,
    values: Values,
    /// A bit per row; empty while no row is NULL.
    valid: Vec<u8>,
    nulls: usize,
}

enum Refused {
    Broken,
    Value,
}

pub struct Rows {
    columns: Vec<Column>,
    rows: usize,
    begun: bool,
    ended: bool,
}

impl Rows {
    /// Nothing if a form is unknown.
    pub fn of(wanted: &[Wanted]) -> Option<Rows> {
        let columns = wanted.iter().map(|wanted| Column::of(*wanted)).collect::<Option<Vec<_>>>()?;
        Some(Rows { columns, rows: 0, begun: false, ended: false })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes whole rows and says how many bytes those were. After a fault nothing is to be had any more.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        if !self.begun {
            let Some(length) = header(bytes)? else { return Ok(0) };
            self.begun = true;
            at = length;
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.ended {
                return Err(Fault::Broken);
            }
            let Some(length) = self.row(rest)? else { break };
            at += length;
        }
        Ok(at)
    }

    /// How long the first row is, which is taken; nothing if it is not whole.
    fn row(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(width) = bytes.first_chunk().map(|width| i16::from_be_bytes(*width)) else { return Ok(None) };
        if width == -1 {
            self.ended = true;
            return Ok(Some(2));
        }
        if usize::try_from(width) != Ok(self.columns.len()) {
            return Err(Fault::Broken);
        }
        if !whole(bytes, self.columns.len())? {
            return Ok(None);
        }
        let (mut at, row) = (2, self.rows);
        for (number, column) in self.columns.iter_mut().enumerate() {
            let length = length_at(bytes, at).ok_or(Fault::Broken)?;
            at += 4;
            let Ok(length) = usize::try_from(length) else {
                column.null(row);
                continue;
            };
            let raw = bytes.get(at..at + length).ok_or(Fault::Broken)?;
            column.push(row, raw).map_err(|refused| match refused {
                Refused::Broken => Fault::Broken,
                Refused::Value => Fault::Value(number),
            })?;
            at += length;
        }
        self.rows += 1;
        Ok(Some(at))
    }

    /// The rows taken so far, which are let go of.
    pub fn take(&mut self) -> ArrowArray {
        let rows = std::mem::take(&mut self.rows);
        arrow::batch(rows, self.columns.iter_mut().map(|column| column.take(rows)).collect())
    }
}

/// How long the header is; nothing if it is not whole.
fn header(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let (Some(signature), Some(flags), Some(more)) = (bytes.get(..11), bytes.get(11..15), length_at(bytes, 15)) else {
        return Ok(None);
    };
    let more = usize::try_from(more).map_err(|_| Fault::Broken)?;
    if signature != SIGNATURE || flags != [0; 4] {
        return Err(Fault::Broken);
    }
    Ok(bytes.get(..19 + more).map(<[u8]>::len))
}

fn length_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|length| i32::from_be_bytes(*length))
}

/// Whether all fields of the first row are there.
fn whole(bytes: &[u8], width: usize) -> Result<bool, Fault> {
    let mut at = 2;
    for _ in 0..width {
        let Some(length) = length_at(bytes, at) else { return Ok(false) };
        at += 4 + usize::try_from(length.max(0)).map_err(|_| Fault::Broken)?;
        if length < -1 {
            return Err(Fault::Broken);
        }
    }
    Ok(at <= bytes.len())
}

impl Column {
    fn of(wanted: Wanted) -> Option<Column> {
        let values = match wanted.form {
            BOOL => Values::Bits(vec![]),
            INT2 => Values::Int16(vec![]),
            INT4 | FLOAT4 | DATE => Values::Int32(vec![]),
            INT8 | FLOAT8 | TIME | TIMESTAMP | TIMESTAMPTZ => Values::Int64(vec![]),
            NUMERIC => Values::Int128(vec![]),
            TEXT | BYTEA | UUID | JSONB => Values::Bytes(vec![0], vec![]),
            _ => return None,
        };
        Some(Column { wanted, values, valid: vec![], nulls: 0 })
    }

    fn push(&mut self, row: usize, raw: &[u8]) -> Result<(), Refused> {
        if self.nulls > 0 {
            bit(&mut self.valid, row, true);
        }
        let form = self.wanted.form;
        match &mut self.values {
            Values::Bits(bits) => bit(bits, row, sized::<1>(raw)? != [0]),
            Values::Int16(values) => values.push(i16::from_be_bytes(sized(raw)?)),
            Values::Int32(values) => {
                let value = i32::from_be_bytes(sized(raw)?);
                values.push(if form == DATE { unix_days(value).ok_or(Refused::Value)? } else { value });
            }
            Values::Int64(values) => {
                let value = i64::from_be_bytes(sized(raw)?);
                let moment = matches!(form, TIMESTAMP | TIMESTAMPTZ);
                values.push(if moment { unix_us(value).ok_or(Refused::Value)? } else { value });
            }
            Values::Int128(values) => values.push(decimal(raw, self.wanted.precision, self.wanted.scale)?),
            Values::Bytes(offsets, values) => {
                match form {
                    BYTEA => values.extend_from_slice(raw),
                    UUID => addresses::uuid(&sized(raw)?, values),
                    JSONB => values.extend_from_slice(text(raw.strip_prefix(&[1]).ok_or(Refused::Broken)?)?),
                    _ => values.extend_from_slice(text(raw)?),
                }
                offsets.push(i32::try_from(values.len()).map_err(|_| Refused::Broken)?);
            }
        }
        Ok(())
    }

    fn null(&mut self, row: usize) {
        if self.nulls == 0 {
            self.valid = vec![0xff; row.div_ceil(8)];
        }
        self.nulls += 1;
        bit(&mut self.valid, row, false);
        match &mut self.values {
            Values::Bits(bits) => bit(bits, row, false),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::Int128(values) => values.push(0),
            Values::Bytes(offsets, values) => offsets.push(values.len() as i32), // no more than was checked before
        }
    }

    fn take(&mut self, rows: usize) -> ArrowArray {
        let fresh = Column::of(self.wanted).map(|column| column.values).unwrap_or(Values::Bits(vec![]));
        let valid = std::mem::take(&mut self.valid);
        let nulls = std::mem::take(&mut self.nulls);
        match std::mem::replace(&mut self.values, fresh) {
            Values::Bits(values) => arrow::fixed(rows, nulls, valid, values),
            Values::Int16(values) => arrow::fixed(rows, nulls, valid, values),
            Values::Int32(values) => arrow::fixed(rows, nulls, valid, values),
            Values::Int64(values) => arrow::fixed(rows, nulls, valid, values),
            Values::Int128(values) => arrow::fixed(rows, nulls, valid, values),
            Values::Bytes(offsets, values) => arrow::varying(rows, nulls, valid, offsets, values),
        }
    }
}

/// The bit of a row that is the last so far; those before it are there, and what is behind it in its byte does not count.
fn bit(bits: &mut Vec<u8>, row: usize, set: bool) {
    if bits.len() <= row / 8 {
        bits.push(0);
    }
    if let Some(byte) = bits.get_mut(row / 8) {
        *byte = *byte & !(1 << (row % 8)) | u8::from(set) << (row % 8);
    }
}

fn sized<const N: usize>(raw: &[u8]) -> Result<[u8; N], Refused> {
    raw.try_into().map_err(|_| Refused::Broken)
}

fn text(raw: &[u8]) -> Result<&[u8], Refused> {
    std::str::from_utf8(raw).map(str::as_bytes).map_err(|_| Refused::Broken)
}

/// The ends of both counts are infinity here and there.
fn unix_days(days: i32) -> Option<i32> {
    match days {
        i32::MAX => Some(i32::MAX),
        i32::MIN => Some(-i32::MAX),
        _ => days.checked_add(EPOCH_DAYS).filter(|days| days.abs() < i32::MAX),
    }
}

fn unix_us(us: i64) -> Option<i64> {
    match us {
        i64::MAX => Some(i64::MAX),
        i64::MIN => Some(-i64::MAX),
        _ => us.checked_add(EPOCH_US).filter(|us| us.abs() < i64::MAX),
    }
}

/// As a whole number of the scale's units.
fn decimal(raw: &[u8], precision: u32, scale: u32) -> Result<i128, Refused> {
    let mut words = raw.chunks(2).map(|word| word.try_into().map(u16::from_be_bytes));
    let mut word = || words.next().and_then(Result::ok).ok_or(Refused::Broken);
    let (count, weight, sign, _shown) = (word()?, word()? as i16, word()?, word()?);
    if raw.len() != 8 + 2 * usize::from(count) {
        return Err(Refused::Broken);
    }
    if !matches!(sign, 0 | NEGATIVE) {
        return Err(Refused::Value); // none, or infinite
    }
    let (mut value, mut place) = (0i128, 0);
    for number in 0..i32::from(count) {
        let digit = i128::from(word()?);
        place = 4 * (i32::from(weight) - number) + scale as i32;
        let (kept, cut) = (power((4 + place.clamp(-4, 0)) as u32), power(-place.clamp(-4, 0) as u32));
        if digit % cut != 0 {
            return Err(Refused::Value);
        }
        value = value.checked_mul(kept).and_then(|value| value.checked_add(digit / cut)).ok_or(Refused::Value)?;
    }
    if value != 0 && place > 0 {
        let behind = 10i128.checked_pow(place as u32).ok_or(Refused::Value)?;
        value = value.checked_mul(behind).ok_or(Refused::Value)?;
    }
    if value >= 10i128.checked_pow(precision).ok_or(Refused::Broken)? {
        return Err(Refused::Value);
    }
    Ok(if sign == NEGATIVE { -value } else { value })
}

fn power(exponent: u32) -> i128 {
    10i128.pow(exponent)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight as u16, sign, 0];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    fn read(raw: &[u8], precision: u32, scale: u32) -> Option<i128> {
        decimal(raw, precision, scale).ok()
    }

    #[test]
    fn a_number_is_read_in_units_of_its_scale() {
        assert_eq!(read(&numeric(0, 0, &[12, 3400]), 12, 2), Some(1234));
        assert_eq!(read(&numeric(0, NEGATIVE, &[12, 3400]), 12, 2), Some(-1234));
        assert_eq!(read(&numeric(2, 0, &[1]), 12, 2), Some(100_000_000 * 100));
        assert_eq!(read(&numeric(-1, 0, &[5600]), 12, 2), Some(56));
        assert_eq!(read(&numeric(-2, 0, &[5600]), 12, 6), Some(56));
        assert_eq!(read(&numeric(0, 0, &[]), 12, 2), Some(0));
        let most = [99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999];
        assert_eq!(read(&numeric(9, 0, &most), 38, 0), Some(10i128.pow(38) - 1));
        let behind = [9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9000];
        assert_eq!(read(&numeric(9, 0, &behind), 38, 1), Some(10i128.pow(38) - 1));
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        assert_eq!(read(&numeric(0, 0, &[12, 3450]), 12, 2), None);
        assert_eq!(read(&numeric(-2, 0, &[5600]), 12, 2), None);
        assert_eq!(read(&numeric(0, 0, &[1000]), 3, 0), None);
        assert_eq!(read(&numeric(100, 0, &[1]), 38, 0), None);
        assert_eq!(read(&numeric(0, 0xc000, &[]), 38, 0), None);
        assert_eq!(read(&numeric(0, 0, &[1])[..9], 38, 0), None);
    }

    #[test]
    fn rows_are_taken_whole_wherever_the_bytes_are_cut() {
        let wanted = |form| Wanted { form, precision: 0, scale: 0 };
        let mut bytes = [SIGNATURE, &[0u8; 8][..]].concat();
        for number in 0..20i32 {
            bytes.extend([0, 2, 0, 0, 0, 4]);
            bytes.extend(number.to_be_bytes());
            bytes.extend(if number % 3 == 0 { vec![0xff; 4] } else { vec![0, 0, 0, 2, b'a', b'b'] });
        }
        bytes.extend([0xff; 2]);
        for step in 1..bytes.len() {
            let mut rows = Rows::of(&[wanted(INT4), wanted(TEXT)]).unwrap();
            let mut held = vec![];
            for piece in bytes.chunks(step) {
                held.extend_from_slice(piece);
                let taken = rows.feed(&held).unwrap();
                held.drain(..taken);
            }
            assert!(held.is_empty() && rows.ended());
            assert_eq!(rows.rows(), 20);
            drop(rows.take());
            assert_eq!(rows.rows(), 0);
        }
    }

    #[test]
    fn garbled_rows_are_broken_and_nothing_worse() {
        let wanted = [INT4, TEXT, UUID, NUMERIC, BOOL].map(|form| Wanted { form, precision: 12, scale: 2 });
        let good = [SIGNATURE, &[0u8; 8], &[0, 5, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'x'], &[0xff; 14]].concat();
        for at in 0..good.len() {
            for value in [0u8, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let mut rows = Rows::of(&wanted).unwrap();
                if let Ok(taken) = rows.feed(&bytes) {
                    assert!(taken <= bytes.len());
                    drop(rows.take());
                }
            }
        }
    }
}
