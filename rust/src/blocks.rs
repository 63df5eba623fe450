//! Blocks of transactions that are sent before they commit: where they begin and end, and their messages as those of
//! committed ones are.
//!
//! Format: PostgreSQL documentation, "Logical Replication Message Formats", protocol version 2. The twin is
//! `decode/blocks.py`.

use crate::message::{Fault, LONG, SHORT};
use crate::rows::BYTES_MAX;

const OUT_OF_PLACE: Fault = Fault::of(20, 0);
/// Stream Start, Stop, Commit and Abort.
const MARKS: &[u8] = b"SEcA";
/// In a block the number of a transaction stands in front of what these say.
const NUMBERED: &[u8] = b"RYIUDTM";

/// Why walking ended. The numbers are known to `decode/nativeblocks.py`.
const END: u32 = 0;
const MARK: u32 = 1;
const BROKEN: u32 = 2;

#[repr(C)]
#[derive(Debug, Default, PartialEq)]
pub struct Walked {
    pub consumed: u64,
    /// By `strip`: how many bytes are left of those.
    pub written: u64,
    /// Of `BROKEN`: the message's length, kind (256: it has none) and fault.
    pub length: u64,
    pub stop: u32,
    pub kind: u32,
    pub fault: u32,
    pub unused: u32,
}

impl Walked {
    fn ended(self, stop: u32) -> Walked {
        Walked { stop, ..self }
    }

    fn broken(self, kind: Option<u8>, length: usize, fault: Fault) -> Walked {
        let kind = kind.map_or(256, u32::from);
        Walked { stop: BROKEN, kind, length: length as u64, fault: fault.code, ..self }
    }
}

/// A frame's message: none if it is not whole.
fn first(rest: &[u8]) -> Result<Option<&[u8]>, (usize, Fault)> {
    let Some((head, behind)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head);
    if u64::from(length) > BYTES_MAX {
        return Err((length as usize, Fault::of(LONG, 0)));
    }
    Ok(behind.get(..length as usize))
}

/// Of a message inside a block: the number in front of what it says, if it has one.
fn number(message: &[u8]) -> Result<Option<u32>, Fault> {
    let (kind, body) = message.split_first().ok_or(SHORT)?;
    if NUMBERED.contains(kind) {
        return body.first_chunk().map(|word| Some(u32::from_be_bytes(*word))).ok_or(SHORT);
    }
    if *kind == b'O' {
        return Ok(None);
    }
    Err(OUT_OF_PLACE)
}

/// On to the next mark. Outside of a block all else is passed over, whatever it is.
pub fn walk(buffer: &[u8], inside: bool) -> Walked {
    let mut walked = Walked::default();
    let mut rest = buffer;
    loop {
        let message = match first(rest) {
            Ok(Some(message)) => message,
            Ok(None) if inside => return walked.ended(END),
            Err((length, fault)) if inside => return walked.broken(None, length, fault),
            _ => {
                walked.consumed = buffer.len() as u64;
                return walked.ended(END);
            }
        };
        if message.first().is_some_and(|kind| MARKS.contains(kind)) {
            return walked.ended(MARK);
        }
        if inside {
            if let Err(fault) = number(message) {
                return walked.broken(message.first().copied(), message.len(), fault);
            }
        }
        walked.consumed += 4 + message.len() as u64;
        rest = rest.get(4 + message.len()..).unwrap_or(&[]);
    }
}

/// Takes the numbers out of a block's messages, and those whose number is among `aborted` (in order) out of the block.
pub fn strip(buffer: &mut [u8], aborted: &[u32]) -> Walked {
    let mut walked = Walked::default();
    let (mut at, mut to) = (0, 0);
    loop {
        let message = match first(buffer.get(at..).unwrap_or(&[])) {
            Ok(Some(message)) => message,
            Ok(None) => return walked.ended(END),
            Err((length, fault)) => return walked.broken(None, length, fault),
        };
        let end = at + 4 + message.len();
        match number(message) {
            Err(fault) => return walked.broken(message.first().copied(), message.len(), fault),
            Ok(None) => {
                buffer.copy_within(at..end, to);
                to += end - at;
            }
            Ok(Some(xid)) if aborted.binary_search(&xid).is_ok() => {}
            Ok(Some(_)) => {
                let head = (message.len() as u32 - 4).to_be_bytes();
                buffer.copy_within(at + 4..at + 5, to + 4);
                buffer.copy_within(at + 9..end, to + 5);
                if let Some(place) = buffer.get_mut(to..to + 4) {
                    place.copy_from_slice(&head);
                }
                to += end - at - 4;
            }
        }
        at = end;
        (walked.consumed, walked.written) = (at as u64, to as u64);
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let whole = |message: &&[u8]| [&(message.len() as u32).to_be_bytes()[..], message].concat();
        messages.iter().flat_map(whole).collect()
    }

    #[test]
    fn it_walks_to_the_next_mark_and_over_what_is_none() {
        let frames = framed(&[b"B...", b"?", b"", b"S\0\0\0\x07\x01"]);
        assert_eq!((walk(&frames, false).consumed, walk(&frames, false).stop), (17, MARK));
        assert_eq!(walk(&frames[..20], false), Walked { consumed: 20, ..Walked::default() });
    }

    #[test]
    fn in_a_block_only_what_belongs_there_is_passed_over() {
        let sound = framed(&[b"I\0\0\0\x07..", b"O", b"R\0\0\0\x08"]);
        assert_eq!(walk(&sound, true), Walked { consumed: 25, ..Walked::default() });
        for (message, fault) in [(&b"B"[..], 20), (b"I\0\0\0", 1), (b"", 1)] {
            let found = walk(&framed(&[b"O", message]), true);
            assert_eq!((found.consumed, found.stop, found.fault), (5, BROKEN, fault));
        }
        assert_eq!(walk(&[0xff; 4], true).fault, 12);
    }

    #[test]
    fn numbers_go_and_so_does_what_was_rolled_back() {
        let mut frames = framed(&[b"I\0\0\0\x07ab", b"D\0\0\0\x08cd", b"Oxy", b"T\0\0\0\x09"]);
        frames.extend(b"\0\0\0\x09I\0");
        let found = strip(&mut frames, &[2, 8]);
        assert_eq!((found.consumed, found.stop), (38, END));
        assert_eq!(frames[..found.written as usize], framed(&[b"Iab", b"Oxy", b"T"]));
    }
}
