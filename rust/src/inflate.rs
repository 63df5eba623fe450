//! What zlib compressed, inflated.
//!
//! Formats: RFC 1950 (zlib) and RFC 1951 (deflate); what stands in front of them in a row event, `decode/binlog_rows.py`.

use crate::values::Input;

const INFLATED_BYTES_MAX: u64 = 1 << 30;
/// Codes up to so many bits are looked up at once.
const FAST: u32 = 10;
const LONGEST: usize = 15;

/// The rest, which MariaDB compressed, in `out`; exactly as long as it says.
pub fn inflated(input: &mut Input, out: &mut Vec<u8>) -> Option<()> {
    let head = input.little(1)?;
    if head & 0xF8 != 0x80 || !(1..=4).contains(&(head & 7)) {
        return None;
    }
    let length = input.big(head as usize & 7)?;
    let (method, flags) = (input.little(1)?, input.little(1)?);
    if method & 15 != 8 || method >> 4 > 7 || (method << 8 | flags) % 31 != 0 || flags & 32 != 0 {
        return None;
    }
    if length > INFLATED_BYTES_MAX {
        return None;
    }
    out.clear();
    let mut bits = Bits { bytes: input.rest(), at: 0, held: 0, count: 0 };
    loop {
        let last = bits.take(1)?;
        match bits.take(2)? {
            0 => stored(&mut bits, out, length as usize)?,
            1 => {
                let (literals, distances) = fixed()?;
                block(&mut bits, out, length as usize, &literals, &distances)?;
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits)?;
                block(&mut bits, out, length as usize, &literals, &distances)?;
            }
            _ => return None,
        }
        if last == 1 {
            break;
        }
    }
    let sum = bits.whole_bytes().split_first_chunk::<4>();
    let whole = sum.is_some_and(|(sum, behind)| u32::from_be_bytes(*sum) == adler32(out) && behind.is_empty());
    (whole && out.len() as u64 == length).then_some(())
}

/// Bits from the least significant on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.bytes.get(self.at) else { return };
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.at += 1;
        }
    }

    fn take(&mut self, count: u32) -> Option<u64> {
        if self.count < count {
            self.fill();
            if self.count < count {
                return None;
            }
        }
        let found = self.held & ((1 << count) - 1);
        self.drop(count);
        Some(found)
    }

    fn drop(&mut self, count: u32) {
        self.held >>= count;
        self.count -= count;
    }

    /// What is behind the byte that was begun last.
    fn whole_bytes(&mut self) -> &'a [u8] {
        self.at -= self.count as usize / 8;
        (self.held, self.count) = (0, 0);
        self.bytes.get(self.at..).unwrap_or(&[])
    }
}

/// A canonical Huffman code: a table for the short ones, and for all of them how many there are of each length.
struct Code {
    fast: Vec<u16>,
    counts: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// None if the lengths promise more codes than there are; fewer only for a single one of one bit.
    fn new(lengths: &[u8], may_lack: bool) -> Option<Code> {
        let mut counts = [0_u16; LONGEST + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        let mut left = 1_i32;
        for count in counts.iter().skip(1) {
            left = (left << 1) - i32::from(*count);
            if left < 0 {
                return None;
            }
        }
        let [none, single, ..] = counts;
        if left > 0 && !(may_lack && usize::from(none + single) == lengths.len()) {
            return None;
        }
        let (mut first, mut next) = ([0_u16; LONGEST + 2], [0_u32; LONGEST + 2]);
        for length in 1..=LONGEST {
            let count = *counts.get(length)?;
            *first.get_mut(length + 1)? = first.get(length)? + count;
            *next.get_mut(length + 1)? = (next.get(length)? + u32::from(count)) << 1;
        }
        let mut symbols = vec![0; lengths.len()];
        let mut fast = vec![0; 1 << FAST];
        for (symbol, length) in (0..).zip(lengths) {
            let length = usize::from(*length);
            if length == 0 {
                continue;
            }
            let place = first.get_mut(length)?;
            *symbols.get_mut(usize::from(*place))? = symbol;
            *place += 1;
            let code = next.get_mut(length)?;
            if length as u32 <= FAST {
                let mut at = (code.reverse_bits() >> (32 - length)) as usize;
                while let Some(entry) = fast.get_mut(at) {
                    *entry = symbol << 4 | length as u16;
                    at += 1 << length;
                }
            }
            *code += 1;
        }
        Some(Code { fast, counts, symbols })
    }

    #[inline]
    fn next(&self, bits: &mut Bits) -> Option<u16> {
        if bits.count < LONGEST as u32 {
            bits.fill();
        }
        let entry = *self.fast.get(bits.held as usize & ((1 << FAST) - 1))?;
        let length = u32::from(entry & 15);
        if length > 0 {
            if length > bits.count {
                return None;
            }
            bits.drop(length);
            return Some(entry >> 4);
        }
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for (length, count) in (1_u32..).zip(self.counts.iter().skip(1)) {
            if length > bits.count {
                return None;
            }
            code |= (bits.held >> (length - 1) & 1) as i32;
            let count = i32::from(*count);
            if code - count < first {
                bits.drop(length);
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn stored(bits: &mut Bits, out: &mut Vec<u8>, length_max: usize) -> Option<()> {
    let (head, behind) = bits.whole_bytes().split_first_chunk::<4>()?;
    let [a, b, c, d] = *head;
    let length = u16::from_le_bytes([a, b]);
    if length != !u16::from_le_bytes([c, d]) || out.len() + usize::from(length) > length_max {
        return None;
    }
    out.extend_from_slice(behind.get(..usize::from(length))?);
    bits.at += 4 + usize::from(length);
    Some(())
}

fn fixed() -> Option<(Code, Code)> {
    let mut lengths = [8; 288];
    lengths.get_mut(144..256)?.fill(9);
    lengths.get_mut(256..280)?.fill(7);
    Some((Code::new(&lengths, false)?, Code::new(&[5; 32], false)?))
}

fn dynamic(bits: &mut Bits) -> Option<(Code, Code)> {
    const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances) = (bits.take(5)? as usize + 257, bits.take(5)? as usize + 1);
    let given = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return None;
    }
    let mut of_lengths = [0; 19];
    for place in ORDER.iter().take(given) {
        *of_lengths.get_mut(usize::from(*place))? = bits.take(3)? as u8;
    }
    let code = Code::new(&of_lengths, false)?;
    let mut lengths: Vec<u8> = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, times) = match code.next(bits)? {
            16 => (*lengths.last()?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times as usize));
    }
    if lengths.len() > literals + distances || *lengths.get(256)? == 0 {
        return None;
    }
    let (literals, distances) = lengths.split_at_checked(literals)?;
    Some((Code::new(literals, true)?, Code::new(distances, true)?))
}

const LENGTHS: [(u16, u8); 29] = spread(3, 2, 8);
const DISTANCES: [(u16, u8); 30] = spread(1, 1, 4);

/// Bases and how many bits are added: `each` codes of a number of bits, the first `plain` of none.
#[allow(clippy::indexing_slicing)]
const fn spread<const N: usize>(first: u16, log: u32, plain: usize) -> [(u16, u8); N] {
    let mut found = [(0, 0); N];
    let (mut at, mut base) = (0, first);
    while at < N {
        let extra = if at < plain { 0 } else { (at >> log) as u8 - 1 };
        found[at] = (base, extra);
        base = base.wrapping_add(1 << extra);
        at += 1;
    }
    if N == 29 {
        found[28] = (258, 0);
    }
    found
}

fn block(bits: &mut Bits, out: &mut Vec<u8>, length_max: usize, literals: &Code, distances: &Code) -> Option<()> {
    loop {
        let symbol = literals.next(bits)?;
        if symbol < 256 {
            if out.len() >= length_max {
                return None;
            }
            out.push(symbol as u8);
            continue;
        }
        if symbol == 256 {
            return Some(());
        }
        let (base, extra) = *LENGTHS.get(usize::from(symbol) - 257)?;
        let length = usize::from(base) + bits.take(u32::from(extra))? as usize;
        let (base, extra) = *DISTANCES.get(usize::from(distances.next(bits)?))?;
        let distance = usize::from(base) + bits.take(u32::from(extra))? as usize;
        let from = out.len().checked_sub(distance)?;
        if out.len() + length > length_max {
            return None;
        }
        if distance >= length {
            out.extend_from_within(from..from + length);
        } else {
            for at in from..from + length {
                out.push(*out.get(at)?);
            }
        }
    }
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for some in bytes.chunks(5552) {
        for byte in some {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}
