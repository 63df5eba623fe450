//! Bytes by chance through the C interface: nothing panics, and every array that comes out is whole and given back.
//! Under valgrind it also shows that no memory is touched that should not be.

use crate::arrow::ArrowArray;
use crate::gather::{Fed, Limits, Totals};
use crate::inflate::inflated;
use crate::values::{Input, Reader};
use crate::*;

/// Xorshift: chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

fn cells(chance: &mut Chance, count: usize) -> Vec<u8> {
    let mut row = (count as u16).to_be_bytes().to_vec();
    for _ in 0..count {
        match chance.below(8) {
            0 => row.push(b'n'),
            1 => row.push(b'u'),
            _ => {
                let text = ["a", "b", "ä", "", "thirty-two bytes are the stride of one copy"][chance.below(5)];
                row.push(b't');
                row.extend((text.len() as u32).to_be_bytes());
                row.extend(text.bytes());
            }
        }
    }
    row
}

fn message(chance: &mut Chance) -> Vec<u8> {
    let oid = [0, 0, 0, 1 + chance.below(2) as u8];
    let columns = if chance.below(20) == 0 { 2 } else { 3 };
    let (old, new) = (cells(chance, columns), cells(chance, columns));
    let before: &[u8] = [b"K".as_slice(), b"O", b""][chance.below(3)];
    match chance.below(12) {
        0..4 => [b"I", oid.as_slice(), b"N", &new].concat(),
        4..8 if before.is_empty() => [b"U", oid.as_slice(), b"N", &new].concat(),
        4..8 => [b"U", oid.as_slice(), before, &old, b"N", &new].concat(),
        8..10 => [b"D", oid.as_slice(), b"K", &old].concat(),
        10 => [b"C".as_slice(), &[0; 25]].concat(),
        _ => [b"B".as_slice(), &[0; 20]].concat(),
    }
}

fn stream(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![];
    for number in 0..chance.below(60) {
        let message = if number == 0 { [b"B".as_slice(), &[0; 20]].concat() } else { message(chance) };
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
    }
    for _ in 0..chance.below(3) {
        let at = chance.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << chance.below(8);
        }
    }
    bytes
}

/// Reads every byte an array tells of.
unsafe fn read(array: &ArrowArray, texts: bool) -> usize {
    let (length, buffers, children) = array.parts();
    let mut seen = 0;
    for child in children {
        seen += read(&**child, texts);
    }
    if texts && buffers.len() == 3 {
        let offsets = from_raw_parts(buffers[1].cast::<i32>(), length + 1);
        assert!(offsets.is_sorted());
        let values = from_raw_parts(buffers[2].cast::<u8>(), offsets[length] as usize);
        for pair in offsets.windows(2) {
            seen += std::str::from_utf8(&values[pair[0] as usize..pair[1] as usize]).unwrap().len();
        }
        if !buffers[0].is_null() {
            let valid = from_raw_parts(buffers[0].cast::<u8>(), length.div_ceil(8));
            seen += valid.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        }
    }
    seen
}

#[test]
fn any_bytes_give_whole_arrays_or_a_fault() {
    let limits = Limits { changes: 7, bytes: 500, split_changes: 9, split_bytes: 700 };
    let mut chance = Chance(20_261_122);
    let mut seen = 0;
    for _ in 0..3_000 {
        let handle = tg_open();
        let bytes = stream(&mut chance);
        let (mut at, mut fed, mut totals) = (0, Fed::default(), Totals::default());
        unsafe {
            assert_eq!(tg_shape(handle, 1, 3, [0].as_ptr(), 1, 0), 0);
            assert_eq!(tg_shape(handle, 2, 3, [1].as_ptr(), 1, 1), 0);
            loop {
                let left = &bytes[at..];
                assert_eq!(tg_feed(handle, left.as_ptr(), left.len(), &limits, &mut fed, &mut totals), 0);
                at += fed.consumed as usize;
                for oid in [1, 2] {
                    let mut taken = std::ptr::null();
                    let count = tg_take(handle, oid, &mut taken, &mut totals);
                    for one in given(taken, count) {
                        seen += read(&one.batch, one.holds != 7);
                    }
                }
                if fed.stop != 1 {
                    break;
                }
            }
            tg_close(handle);
        }
    }
    assert!(seen > 50_000, "{seen}");
}

fn some(chance: &mut Chance, most: usize) -> Vec<u8> {
    (0..chance.below(most)).map(|_| chance.below(256) as u8).collect()
}

#[test]
fn any_bytes_are_the_text_of_a_value_or_nothing() {
    let mut chance = Chance(20_261_123);
    let mut read = 0;
    for _ in 0..40_000 {
        let way = chance.below(21) as u32;
        let most = match way {
            3 => 65,
            8..=10 => 6,
            11 => 64,
            14..=19 => 4,
            _ => 8,
        };
        let size = 1 + chance.below(most) as u32;
        let more = chance.below(size as usize + 1) as u32;
        let texts = (0..chance.below(300)).map(|at| vec![b'a' + (at % 26) as u8].into()).collect();
        let bytes = some(&mut chance, 60);
        let mut out = vec![];
        if Reader::new(way, size, more, texts).read(&mut Input::new(&bytes), &mut out).is_some() {
            read += std::str::from_utf8(&out).unwrap().len();
        }
    }
    assert!(read > 10_000, "{read}");
}

#[test]
fn any_bytes_are_inflated_or_nothing() {
    let mut chance = Chance(20_261_124);
    let mut out = vec![];
    for _ in 0..40_000 {
        let sound = [0x81, 200, 0x78, 0x9c].into_iter().chain(some(&mut chance, 200)).collect::<Vec<_>>();
        if inflated(&mut Input::new(&sound), &mut out).is_some() {
            assert_eq!(out.len(), 200);
        }
        assert!(out.len() <= 200);
    }
    let hello = b"\x81\x05\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    assert!(inflated(&mut Input::new(hello), &mut out).is_some());
    assert_eq!(out, b"hello");
    let (_, whole) = hello.split_last().unwrap();
    assert!(inflated(&mut Input::new(&[whole, &[0x16]].concat()), &mut out).is_none());
}
