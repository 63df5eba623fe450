//! Columns of texts as PostgreSQL's COPY takes them in its binary form: the bytes that the types' receive functions read.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format"; of the values, the server's `…_recv` functions. A text that is
//! not in the plainest form of its type is refused and not guessed at: then the rows go as texts, and the server reads
//! them. No twin is needed, since without this everything goes as texts.

use crate::civil::{date_days, time_us, timestamp_us, timestamptz_us};

/// The numbers are those of `decode.copying.Form`.
pub const BOOL: u32 = 1;
pub const INT2: u32 = 2;
pub const INT4: u32 = 3;
pub const INT8: u32 = 4;
pub const FLOAT4: u32 = 5;
pub const FLOAT8: u32 = 6;
pub const NUMERIC: u32 = 7;
pub const TEXT: u32 = 8;
pub const BYTEA: u32 = 9;
pub const DATE: u32 = 10;
pub const TIME: u32 = 11;
pub const TIMESTAMP: u32 = 12;
pub const TIMESTAMPTZ: u32 = 13;
pub const UUID: u32 = 14;
pub const JSONB: u32 = 15;

const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// Of a number's digits on either side of its point; the server's own limits are wider.
const DIGITS_MAX: usize = 4000;

/// A column of an Arrow string array.
pub struct Column<'a> {
    pub form: u32,
    pub validity: Option<&'a [u8]>,
    pub offsets: &'a [i32],
    pub data: &'a [u8],
    /// Which element of the buffers is the array's first.
    pub first: usize,
}

impl<'a> Column<'a> {
    /// `Err` if there is no such row.
    fn text(&self, row: usize) -> Result<Option<&'a [u8]>, Refused> {
        let at = self.first + row;
        if let Some(bits) = self.validity {
            let byte = bits.get(at / 8).ok_or(Refused)?;
            if byte & (1 << (at % 8)) == 0 {
                return Ok(None);
            }
        }
        let (Some(from), Some(to)) = (self.offsets.get(at), self.offsets.get(at + 1)) else { return Err(Refused) };
        let (Ok(from), Ok(to)) = (usize::try_from(*from), usize::try_from(*to)) else { return Err(Refused) };
        self.data.get(from..to).map(Some).ok_or(Refused)
    }
}

pub struct Refused;

/// Add the rows `from..to`, without the header and the trailer of a COPY.
pub fn encode(columns: &[Column], from: usize, to: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    let width = i16::try_from(columns.len()).map_err(|_| Refused)?.to_be_bytes();
    for row in from..to {
        out.extend_from_slice(&width);
        for column in columns {
            match column.text(row)? {
                None => out.extend_from_slice(&NULL),
                Some(text) => value(column.form, text, out)?,
            }
        }
    }
    Ok(())
}

fn value(form: u32, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    match form {
        TEXT => {
            out.extend_from_slice(&i32::try_from(text.len()).map_err(|_| Refused)?.to_be_bytes());
            out.extend_from_slice(text);
        }
        INT8 => field(out, integer(text)?.to_be_bytes()),
        INT4 => field(out, i32::try_from(integer(text)?).map_err(|_| Refused)?.to_be_bytes()),
        INT2 => field(out, i16::try_from(integer(text)?).map_err(|_| Refused)?.to_be_bytes()),
        NUMERIC => numeric(text, out)?,
        TIMESTAMP => field(out, timestamp_us(text).ok_or(Refused)?.to_be_bytes()),
        TIMESTAMPTZ => field(out, timestamptz_us(text).ok_or(Refused)?.to_be_bytes()),
        DATE => field(out, date_days(text).ok_or(Refused)?.to_be_bytes()),
        TIME => field(out, time_us(text).ok_or(Refused)?.to_be_bytes()),
        BOOL => field(
            out,
            match text {
                b"t" => [1],
                b"f" => [0],
                _ => return Err(Refused),
            },
        ),
        FLOAT4 => field(out, fraction::<f32>(text)?.to_be_bytes()),
        FLOAT8 => field(out, fraction::<f64>(text)?.to_be_bytes()),
        UUID => field(out, uuid(text)?),
        BYTEA => bytea(text, out)?,
        JSONB => {
            out.extend_from_slice(&i32::try_from(text.len() + 1).map_err(|_| Refused)?.to_be_bytes());
            out.push(1);
            out.extend_from_slice(text);
        }
        _ => return Err(Refused),
    }
    Ok(())
}

fn field<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    }
}

fn integer(text: &[u8]) -> Result<i64, Refused> {
    let (negative, digits) = signed(text);
    if digits.is_empty() {
        return Err(Refused);
    }
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Refused);
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10).ok_or(Refused)?;
        value = if negative { value.checked_sub(digit) } else { value.checked_add(digit) }.ok_or(Refused)?;
    }
    Ok(value)
}

/// Only what is neither infinite nor vanishing: of those the server may have its own opinion.
fn fraction<T: std::str::FromStr + Into<f64> + Copy>(text: &[u8]) -> Result<T, Refused> {
    let plain = |byte: &u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
    if !text.iter().all(plain) {
        return Err(Refused);
    }
    let read: T = std::str::from_utf8(text).map_err(|_| Refused)?.parse().map_err(|_| Refused)?;
    let value: f64 = read.into();
    let zero = text.iter().take_while(|byte| !b"eE".contains(byte)).all(|byte| b"-+.0".contains(byte));
    if value.is_finite() && (value != 0.0 || zero) {
        Ok(read)
    } else {
        Err(Refused)
    }
}

/// Four decimal digits to one of the server's, from the point outwards; its scale is how many digits were behind it.
fn numeric(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    let (negative, digits) = signed(text);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, rest) = digits.split_at_checked(point.unwrap_or(digits.len())).ok_or(Refused)?;
    let behind = if point.is_some() { rest.get(1..).ok_or(Refused)? } else { rest };
    let decimal = |part: &[u8]| part.len() <= DIGITS_MAX && part.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || (point.is_some() && behind.is_empty()) || !decimal(whole) || !decimal(behind) {
        return Err(Refused);
    }
    let head = out.len();
    out.extend_from_slice(&[0; 12]);
    let mut weight = -1i16;
    let (mut count, mut zeros) = (0u16, 0u16);
    let short = whole.len() % 4;
    let (first, others) = whole.split_at_checked(short).ok_or(Refused)?;
    let before = std::iter::once(first).filter(|part| !part.is_empty()).chain(others.chunks(4));
    for (group, is_whole) in before.map(|group| (group, true)).chain(behind.chunks(4).map(|group| (group, false))) {
        let mut digit = group.iter().fold(0u16, |value, byte| value * 10 + u16::from(byte - b'0'));
        if !is_whole {
            (group.len()..4).for_each(|_| digit *= 10);
        }
        if count == 0 && digit == 0 {
            weight -= i16::from(!is_whole);
            continue;
        }
        if is_whole {
            weight += 1;
        }
        count += 1;
        zeros = if digit == 0 { zeros + 1 } else { 0 };
        out.extend_from_slice(&digit.to_be_bytes());
    }
    let sent = count - zeros;
    out.truncate(head + 12 + 2 * usize::from(sent));
    if sent == 0 {
        weight = 0;
    }
    let sign: u16 = if negative && sent > 0 { 0x4000 } else { 0 };
    let mut header = [0; 12];
    let fields = [sent, weight as u16, sign, behind.len() as u16];
    let (length, numbers) = header.split_at_mut(4);
    length.copy_from_slice(&(8 + 2 * i32::from(sent)).to_be_bytes());
    for (place, number) in numbers.chunks_mut(2).zip(fields) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    out.get_mut(head..head + 12).ok_or(Refused)?.copy_from_slice(&header);
    Ok(())
}

fn nibble(byte: u8) -> Result<u8, Refused> {
    char::from(byte).to_digit(16).map(|digit| digit as u8).ok_or(Refused)
}

fn byte_of(pair: &[u8]) -> Result<u8, Refused> {
    match pair {
        [high, low] => Ok(nibble(*high)? << 4 | nibble(*low)?),
        _ => Err(Refused),
    }
}

fn uuid(text: &[u8]) -> Result<[u8; 16], Refused> {
    let mut bytes = [0; 16];
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || !dashes.iter().all(|at| text.get(*at) == Some(&b'-')) {
        return Err(Refused);
    }
    let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 {
        return Err(Refused);
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = byte_of(pair)?;
    }
    Ok(bytes)
}

fn bytea(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    let digits = text.strip_prefix(b"\\x").filter(|digits| digits.len() % 2 == 0).ok_or(Refused)?;
    out.extend_from_slice(&i32::try_from(digits.len() / 2).map_err(|_| Refused)?.to_be_bytes());
    for pair in digits.chunks(2) {
        out.push(byte_of(pair)?);
    }
    Ok(())
}
