//! The C interface of what reads MariaDB's binary log; `decode/binlog_native.py` is its only caller. What lib.rs says of
//! its own holds here too.

use crate::arrow::Group;
use crate::binlog::{Active, Event, Fed, Gatherer, Totals};
use crate::gather::Limits;
use crate::values::{Input, Reader};
use crate::{closed, given, guarded, handed_over, listed, opened, Handle, Taken, DONE, REFUSED};

type Binlog = Handle<Gatherer>;

/// Null if it cannot be had.
#[no_mangle]
pub extern "C" fn tg_binlog_open() -> *mut Binlog {
    opened()
}

/// # Safety
/// `handle` came from `tg_binlog_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_close(handle: *mut Binlog) {
    closed(handle);
}

/// # Safety
/// `handle` is open, and `totals` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_begin(handle: *mut Binlog, at: u64, checksums: u32, totals: *mut Totals) -> u32 {
    totalled(handle, totals, |gatherer| {
        gatherer.begin(at, checksums != 0);
        DONE
    })
}

/// # Safety
/// `handle` is open, the pointers point to as many bytes or numbers as is said.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_table(
    handle: *mut Binlog,
    number: u32,
    map: *const u8,
    map_length: usize,
    columns: *const u8,
    columns_length: usize,
    key: *const u32,
    key_length: usize,
    mode: u32,
) -> u32 {
    guarded(handle, |handle| {
        let Some(readers) = readers(given(columns, columns_length)) else { return REFUSED };
        let (map, key) = (given(map, map_length), given(key, key_length));
        if key.iter().all(|column| (*column as usize) < readers.len())
            && handle.gatherer.table(number, map, readers, key, mode)
        {
            DONE
        } else {
            REFUSED
        }
    })
}

/// Of each column the way it is read, its size, what else there is, and how many texts, each behind its length.
fn readers(bytes: &[u8]) -> Option<Vec<Reader>> {
    let mut input = Input::new(bytes);
    let mut found = vec![];
    while input.left() > 0 {
        let (way, size, more) = (input.little(4)? as u32, input.little(4)? as u32, input.little(4)? as u32);
        let mut texts = vec![];
        for _ in 0..input.little(4)? {
            let length = input.little(4)? as usize;
            texts.push(input.take(length)?.into());
        }
        found.push(Reader::new(way, size, more, texts));
    }
    Some(found)
}

/// # Safety
/// `handle` is open, `buffer` points to `length` bytes that do not change meanwhile, the others to their structs.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_feed(
    handle: *mut Binlog,
    buffer: *const u8,
    length: usize,
    limits: *const Limits,
    fed: *mut Fed,
    totals: *mut Totals,
) -> u32 {
    totalled(handle, totals, |gatherer| {
        let (Some(limits), Some(fed)) = (limits.as_ref(), fed.as_mut()) else { return REFUSED };
        *fed = gatherer.feed(given(buffer, length), limits);
        DONE
    })
}

/// # Safety
/// `handle` is open, `frames` points to `length` bytes, the others to their structs.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_push(
    handle: *mut Binlog,
    number: u32,
    frames: *const u8,
    length: usize,
    fed: *mut Fed,
    totals: *mut Totals,
) -> u32 {
    totalled(handle, totals, |gatherer| {
        let Some(fed) = fed.as_mut() else { return REFUSED };
        *fed = Fed::default();
        if let Err((kind, length, fault)) = gatherer.push(number, given(frames, length)) {
            *fed = Fed { consumed: length as u64, stop: u32::from(kind), fault: fault.code, a: fault.a };
        }
        DONE
    })
}

/// # Safety
/// `handle` is open, and `totals` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_passed(handle: *mut Binlog, end: u32, ends: u32, totals: *mut Totals) -> u32 {
    totalled(handle, totals, |gatherer| {
        gatherer.passed(end, ends != 0);
        DONE
    })
}

/// # Safety
/// `handle` is open, and `totals` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_leave(handle: *mut Binlog, totals: *mut Totals) -> u32 {
    totalled(handle, totals, |gatherer| {
        gatherer.leave();
        DONE
    })
}

/// The events of the last `tg_binlog_feed`, valid until the next.
///
/// # Safety
/// `handle` is open and `events` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_events(handle: *mut Binlog, events: *mut *const Event) -> usize {
    listed(handle, events, |handle| handle.gatherer.events())
}

/// Ids and numbers of the tables whose maps stand in front of the present statement's rows.
///
/// # Safety
/// `handle` is open and `active` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_active(handle: *mut Binlog, active: *mut *const Active) -> usize {
    listed(handle, active, |handle| handle.gatherer.active())
}

/// # Safety
/// `handle` is open and `numbers` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_held(handle: *mut Binlog, numbers: *mut *const u32) -> usize {
    listed(handle, numbers, |handle| handle.gatherer.gathered.held())
}

/// The batches of a table, valid until the next `tg_binlog_take`; those the caller does not import are given back then.
///
/// # Safety
/// `handle` is open and `taken` points to a pointer, `totals` to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_take(
    handle: *mut Binlog,
    number: u32,
    taken: *mut *const Taken,
    totals: *mut Totals,
) -> usize {
    let mut groups: Vec<Group> = vec![];
    let done = totalled(handle, totals, |gatherer| {
        groups = gatherer.gathered.take(number);
        DONE
    });
    if done != DONE {
        return usize::MAX;
    }
    let kept = guarded(handle, |handle| {
        handle.taken = groups.into_iter().map(handed_over).collect();
        DONE
    });
    if kept != DONE {
        return usize::MAX;
    }
    listed(handle, taken, |handle| handle.taken.as_slice())
}

/// # Safety
/// `handle` is open and `totals` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_binlog_clear(handle: *mut Binlog, totals: *mut Totals) -> u32 {
    totalled(handle, totals, |gatherer| {
        gatherer.gathered.clear();
        DONE
    })
}

unsafe fn totalled(handle: *mut Binlog, totals: *mut Totals, work: impl FnOnce(&mut Gatherer) -> u32) -> u32 {
    guarded(handle, |handle| {
        let Some(totals) = totals.as_mut() else { return REFUSED };
        let done = work(&mut handle.gatherer);
        *totals = handle.gatherer.totals();
        done
    })
}
