//! One value of a binary log's row image as text, by how its column is read.
//!
//! The twin, and what says where the formats are from, is `decode/binlog_values.py` with `decode/binlog_column.py`.
//! Nothing is ever said about what is wrong with a value: `None` leaves it to the twin, which reads it again.

use crate::addresses::{inet4, inet6, uuid};
use crate::moments::{date, date_time, time, timestamp};

/// Bytes read in order, never past their end.
pub struct Input<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0 }
    }

    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let found = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(found)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let found = self.bytes.get(self.at..).unwrap_or(&[]);
        self.at = self.bytes.len();
        found
    }

    /// Of up to eight bytes, the least significant first.
    #[inline]
    pub fn little(&mut self, count: usize) -> Option<u64> {
        if let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.at += count;
            return Some(u64::from_le_bytes(*word) & low_bytes(count));
        }
        let found = self.take(count)?;
        Some(found.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    #[inline]
    pub fn big(&mut self, count: usize) -> Option<u64> {
        let found = self.take(count)?;
        Some(found.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length-encoded integer.
    pub fn packed(&mut self) -> Option<u64> {
        match self.little(1)? {
            252 => self.little(2),
            253 => self.little(3),
            254 => self.little(8),
            251 | 255 => None,
            number => Some(number),
        }
    }

    /// Bytes behind a length of so many bytes.
    #[inline]
    fn sized(&mut self, length_size: u32) -> Option<&'a [u8]> {
        let length = self.little(length_size as usize)?;
        self.take(usize::try_from(length).ok()?)
    }
}

#[inline]
pub fn low_bytes(count: usize) -> u64 {
    if count >= 8 {
        u64::MAX
    } else {
        (1 << (8 * count)) - 1
    }
}

/// How a column is read. The numbers are those of `decode.binlog_reading.Way`; any other is the twin's alone.
pub struct Reader {
    pub way: u32,
    /// How many bytes its number or its length has, or how many digits, bits or decimals it has.
    pub size: u32,
    /// A decimal's scale, or to how many bytes a binary text is padded.
    pub more: u32,
    /// Labels, or the 256 characters of a set.
    pub texts: Vec<Box<[u8]>>,
    /// Of a set's characters: the first half are those of ASCII.
    pub ascii: bool,
}

const SIGNED: u32 = 1;
const UNSIGNED: u32 = 2;
const DECIMAL: u32 = 3;
const SINGLE: u32 = 4;
const DOUBLE: u32 = 5;
const YEAR: u32 = 6;
const DATE: u32 = 7;
const TIME: u32 = 8;
const DATE_TIME: u32 = 9;
const TIMESTAMP: u32 = 10;
const BIT: u32 = 11;
const ENUM: u32 = 12;
const SET: u32 = 13;
const BYTES: u32 = 14;
const UTF8: u32 = 15;
const CHARACTERS: u32 = 16;
const UUID: u32 = 17;
const INET4: u32 = 18;
const INET6: u32 = 19;

impl Reader {
    /// Appends the value's text.
    #[inline]
    pub fn read(&self, input: &mut Input, out: &mut Vec<u8>) -> Option<()> {
        match self.way {
            SIGNED => {
                let number = input.little(self.size as usize)?;
                let unused = 64 - 8 * self.size.min(8);
                signed((number << unused) as i64 >> unused, out);
            }
            UNSIGNED => unsigned(input.little(self.size as usize)?, out),
            UTF8 => out.extend_from_slice(std::str::from_utf8(input.sized(self.size)?).ok()?.as_bytes()),
            CHARACTERS => self.characters(input.sized(self.size)?, out)?,
            BYTES => hexadecimal(input.sized(self.size)?, self.more as usize, out),
            DECIMAL => decimal(input, self.size, self.more, out)?,
            SINGLE => single(f32::from_bits(input.little(4)? as u32), out)?,
            DOUBLE => double(f64::from_bits(input.little(8)?), out)?,
            YEAR => match input.little(1)? {
                0 => out.push(b'0'),
                offset => unsigned(1900 + offset, out),
            },
            DATE => {
                let packed = input.little(3)?;
                date(packed >> 9, packed >> 5 & 15, packed & 31, out)?;
            }
            TIME => time(input, self.size, out)?,
            DATE_TIME => date_time(input, self.size, out)?,
            TIMESTAMP => timestamp(input, self.size, out)?,
            BIT => bits(input.big(self.size.div_ceil(8) as usize)?, self.size, out)?,
            ENUM => {
                let number = input.little(self.size as usize)?;
                if number > 0 {
                    out.extend_from_slice(self.texts.get(number as usize - 1)?);
                }
            }
            SET => self.labels(input.little(self.size as usize)?, out)?,
            UUID => uuid(&filled(input.sized(self.size)?)?, out),
            INET4 => inet4(&filled(input.sized(self.size)?)?, out),
            INET6 => inet6(&filled(input.sized(self.size)?)?, out),
            _ => return None,
        }
        Some(())
    }

    pub fn new(way: u32, size: u32, more: u32, texts: Vec<Box<[u8]>>) -> Reader {
        let ascii = (0..128_u8).all(|byte| texts.get(usize::from(byte)).is_some_and(|text| **text == [byte]));
        Reader { way, size, more, texts, ascii }
    }

    /// Of a set whose characters are one byte each; an empty one is none.
    fn characters(&self, raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
        if self.ascii && raw.is_ascii() {
            out.extend_from_slice(raw);
            return Some(());
        }
        for byte in raw {
            let character = self.texts.get(usize::from(*byte)).filter(|character| !character.is_empty())?;
            out.extend_from_slice(character);
        }
        Some(())
    }

    fn labels(&self, number: u64, out: &mut Vec<u8>) -> Option<()> {
        for (at, label) in self.texts.iter().enumerate().take(64) {
            if number >> at & 1 == 1 {
                if number & low_bits(at) != 0 {
                    out.push(b',');
                }
                out.extend_from_slice(label);
            }
        }
        (number & !low_bits(self.texts.len()) == 0).then_some(())
    }
}

fn low_bits(count: usize) -> u64 {
    if count >= 64 {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

pub fn unsigned(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or(&[]));
}

fn signed(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    unsigned(number.unsigned_abs(), out);
}

/// So many digits, with zeros in front; one with more has more.
pub fn digits(number: u64, count: u32, out: &mut Vec<u8>) {
    let mut place = 10_u64.saturating_pow(count.saturating_sub(1));
    while place > 1 && number < place {
        out.push(b'0');
        place /= 10;
    }
    unsigned(number, out);
}

fn hexadecimal(raw: &[u8], padded: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or(b'0');
    out.reserve(2 + 2 * raw.len().max(padded));
    out.extend_from_slice(b"\\x");
    out.extend(raw.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    out.resize(out.len() + 2 * padded.saturating_sub(raw.len()), b'0');
}

/// Groups of nine digits, the incomplete ones outermost.
fn decimal(input: &mut Input, precision: u32, scale: u32, out: &mut Vec<u8>) -> Option<()> {
    const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
    let whole = precision.checked_sub(scale)?;
    let groups = || {
        let full = |count: u32| std::iter::repeat_n(9, (count / 9) as usize);
        std::iter::once(whole % 9).chain(full(whole)).chain(full(scale)).chain(std::iter::once(scale % 9))
    };
    let size = groups().map(|count| BYTES.get(count as usize).copied().unwrap_or(0)).sum();
    let raw = input.take(size)?;
    let positive = raw.first()? & 0x80 != 0;
    let (mut at, mut done, first) = (0, 0, out.len());
    if !positive {
        out.push(b'-');
    }
    let (mut leading, mut zero) = (true, true);
    for count in groups() {
        if done == whole && leading {
            out.push(b'0');
            leading = false;
        }
        if done == whole && scale > 0 && count > 0 {
            out.push(b'.');
        }
        let bytes = raw.get(at..at + BYTES.get(count as usize)?)?;
        let mut number = 0;
        for (place, byte) in bytes.iter().enumerate() {
            let flipped = if at + place == 0 { byte ^ 0x80 } else { *byte };
            number = number << 8 | u64::from(if positive { flipped } else { !flipped });
        }
        at += bytes.len();
        if number >= 10_u64.pow(count) {
            return None;
        }
        zero &= number == 0;
        if count > 0 && !(leading && number == 0) {
            digits(number, if leading { 1 } else { count }, out);
            leading = false;
        }
        done += count;
    }
    if leading {
        out.push(b'0');
    }
    if zero && !positive {
        out.remove(first);
    }
    Some(())
}

fn bits(number: u64, length: u32, out: &mut Vec<u8>) -> Option<()> {
    if number & !low_bits(length as usize) != 0 {
        return None;
    }
    out.extend((0..length).rev().map(|bit| b'0' + (number >> bit & 1) as u8));
    Some(())
}

/// The fewest digits that read back as the same number, in PostgreSQL's form.
fn single(number: f32, out: &mut Vec<u8>) -> Option<()> {
    if let Some(word) = unreal(f64::from(number)) {
        out.extend_from_slice(word);
        return Some(());
    }
    let shown = format!("{number:e}");
    let even = even(&shown, |digits| format!("{number:.digits$e}")).filter(|even| even.parse() == Ok(number));
    floating(&even.unwrap_or(shown), 6, out)
}

fn double(number: f64, out: &mut Vec<u8>) -> Option<()> {
    if let Some(word) = unreal(number) {
        out.extend_from_slice(word);
        return Some(());
    }
    let shown = format!("{number:e}");
    let even = even(&shown, |digits| format!("{number:.digits$e}")).filter(|even| even.parse() == Ok(number));
    floating(&even.unwrap_or(shown), 15, out)
}

/// Of two texts that are as near to the number, the one that is even, if the other is shown; `exact` gives so many digits
/// behind the first.
fn even(shown: &str, exact: impl Fn(usize) -> String) -> Option<String> {
    const DIGITS_MAX: usize = 800;
    let (mantissa, exponent) = shown.split_once('e')?;
    let last = mantissa.bytes().last().filter(|digit| digit % 2 == 1)?;
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let even = format!("{}{}", mantissa.get(..mantissa.len() - 1)?, char::from(last - 1));
    let halfway = if digits == 1 { format!("{even}.5") } else { format!("{even}5") };
    let is_halfway = |digits: usize| {
        let exact = exact(digits);
        let rest = exact.strip_prefix(&halfway).and_then(|rest| rest.strip_suffix(exponent)?.strip_suffix('e'));
        rest.is_some_and(|rest| rest.bytes().all(|digit| digit == b'0'))
    };
    (is_halfway(digits) && is_halfway(DIGITS_MAX)).then(|| format!("{even}e{exponent}"))
}

fn unreal(number: f64) -> Option<&'static [u8]> {
    if number.is_nan() {
        return Some(b"NaN");
    }
    number.is_infinite().then_some(if number < 0.0 { b"-Infinity" } else { b"Infinity" })
}

/// From `-1.25e-7` with the exponent where it is under -4, or `plain_below` or more; else without.
fn floating(shown: &str, plain_below: i32, out: &mut Vec<u8>) -> Option<()> {
    let text = shown.as_bytes();
    let at = text.iter().position(|byte| *byte == b'e')?;
    let (mantissa, exponent) = (text.get(..at)?, text.get(at + 1..)?);
    let exponent: i32 = std::str::from_utf8(exponent).ok()?.parse().ok()?;
    let (sign, mantissa) = match mantissa.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, mantissa),
    };
    if sign {
        out.push(b'-');
    }
    if exponent < -4 || exponent >= plain_below {
        out.extend_from_slice(mantissa);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        digits(u64::from(exponent.unsigned_abs()), 2, out);
        return Some(());
    }
    let mut figures = mantissa.iter().copied().filter(|byte| *byte != b'.');
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend(figures);
        return Some(());
    }
    out.extend((0..=exponent).map(|_| figures.next().unwrap_or(b'0')));
    if let Some(first) = figures.next() {
        out.extend([b'.', first]);
        out.extend(figures);
    }
    Some(())
}

/// Bytes that are sent without the zeros at their end.
fn filled<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..raw.len())?.copy_from_slice(raw);
    Some(whole)
}
