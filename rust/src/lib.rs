//! The C interface of Tidegate's decoder; `decode/native.py` and `decode/copying.py` are its only callers.
//!
//! A gatherer is used by one thread at a time. Every function catches what might panic in it and answers `FAILED`, then
//! and ever after. Only the pointers are trusted; no bytes are.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod addresses;
mod arrow;
mod binlog;
mod blocks;
mod checksum;
mod civil;
mod copied;
mod copy;
mod decoded;
mod door;
mod drain;
mod event;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod garbled;
mod gather;
mod gathered;
mod gtid;
mod inflate;
mod keys;
mod log;
mod message;
mod moments;
mod net;
mod patterns;
mod relation;
mod rows;
mod values;

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null;
use std::slice::from_raw_parts;

use crate::arrow::{ArrowArray, Group};
use crate::blocks::Walked;
use crate::copied::{Fault, Rows, Wanted};
use crate::copy::Column;
use crate::drain::{Drain, Functions, Gulp};
use crate::gather::{Event, Fed, Gatherer, Limits, Totals};

/// Raised whenever anything here changes that the caller can see.
const INTERFACE: u32 = 7;

const DONE: u32 = 0;
const REFUSED: u32 = 1;
const FAILED: u32 = 2;

pub struct Handle<G = Gatherer> {
    gatherer: G,
    taken: Vec<Taken>,
    failed: bool,
}

/// A batch for the caller to import, and which columns it is about.
#[repr(C)]
pub struct Taken {
    holds: u32,
    columns_length: u32,
    columns: *const u32,
    batch: ArrowArray,
    _columns: Box<[u32]>,
}

fn guarded<G>(handle: *mut Handle<G>, work: impl FnOnce(&mut Handle<G>) -> u32) -> u32 {
    let Some(handle) = (unsafe { handle.as_mut() }) else { return FAILED };
    if handle.failed {
        return FAILED;
    }
    catch_unwind(AssertUnwindSafe(|| work(handle))).unwrap_or_else(|_| {
        handle.failed = true;
        FAILED
    })
}

/// Bytes of the caller; none for a null pointer.
unsafe fn given<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    if pointer.is_null() {
        return &[];
    }
    from_raw_parts(pointer, length)
}

#[no_mangle]
pub extern "C" fn tg_interface() -> u32 {
    INTERFACE
}

/// Null if it cannot be had.
#[no_mangle]
pub extern "C" fn tg_open() -> *mut Handle {
    opened()
}

fn opened<G: Default>() -> *mut Handle<G> {
    let made = catch_unwind(|| {
        let handle = Handle { gatherer: G::default(), taken: vec![], failed: false };
        Box::into_raw(Box::new(handle))
    });
    made.unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `handle` came from `tg_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn tg_close(handle: *mut Handle) {
    closed(handle);
}

unsafe fn closed<G>(handle: *mut Handle<G>) {
    if !handle.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
    }
}

/// # Safety
/// `handle` is open.
#[no_mangle]
pub unsafe extern "C" fn tg_resume(handle: *mut Handle, lsn: u64, inside: u64, changes: u64) -> u32 {
    guarded(handle, |handle| {
        handle.gatherer.resume(lsn, inside, changes);
        DONE
    })
}

/// # Safety
/// `handle` is open and `key` points to `key_length` numbers.
#[no_mangle]
pub unsafe extern "C" fn tg_shape(
    handle: *mut Handle,
    oid: u32,
    columns: u32,
    key: *const u32,
    key_length: usize,
    mode: u32,
) -> u32 {
    guarded(handle, |handle| {
        let taken = handle.gatherer.shape(oid, columns as usize, given(key, key_length), mode);
        if taken {
            DONE
        } else {
            REFUSED
        }
    })
}

/// # Safety
/// `handle` is open, `buffer` points to `length` bytes that do not change meanwhile, the others to their structs.
#[no_mangle]
pub unsafe extern "C" fn tg_feed(
    handle: *mut Handle,
    buffer: *const u8,
    length: usize,
    limits: *const Limits,
    fed: *mut Fed,
    totals: *mut Totals,
) -> u32 {
    guarded(handle, |handle| {
        let (Some(limits), Some(fed), Some(totals)) = (limits.as_ref(), fed.as_mut(), totals.as_mut()) else {
            return REFUSED;
        };
        *fed = handle.gatherer.feed(given(buffer, length), limits);
        *totals = handle.gatherer.totals();
        DONE
    })
}

/// The events of the last `tg_feed`, valid until the next.
///
/// # Safety
/// `handle` is open and `events` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn tg_events(handle: *mut Handle, events: *mut *const Event) -> usize {
    listed(handle, events, |handle| handle.gatherer.events())
}

/// The relations with something to take, valid until anything else is called.
///
/// # Safety
/// `handle` is open and `oids` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn tg_held(handle: *mut Handle, oids: *mut *const u32) -> usize {
    listed(handle, oids, |handle| handle.gatherer.gathered.held())
}

/// The batches of a relation, valid until the next `tg_take`; those the caller does not import are given back then.
///
/// # Safety
/// `handle` is open and `taken` points to a pointer, `totals` to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_take(
    handle: *mut Handle,
    oid: u32,
    taken: *mut *const Taken,
    totals: *mut Totals,
) -> usize {
    let done = guarded(handle, |handle| {
        handle.taken = handle.gatherer.gathered.take(oid).into_iter().map(handed_over).collect();
        match totals.as_mut() {
            Some(totals) => *totals = handle.gatherer.totals(),
            None => return REFUSED,
        }
        DONE
    });
    if done != DONE {
        return usize::MAX;
    }
    listed(handle, taken, |handle| handle.taken.as_slice())
}

/// # Safety
/// `handle` is open and `totals` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_clear(handle: *mut Handle, totals: *mut Totals) -> u32 {
    guarded(handle, |handle| {
        handle.gatherer.gathered.clear();
        match totals.as_mut() {
            Some(totals) => *totals = handle.gatherer.totals(),
            None => return REFUSED,
        }
        DONE
    })
}

/// Where a list begins and how long it is; `usize::MAX` if it cannot be had.
unsafe fn listed<G, T>(handle: *mut Handle<G>, first: *mut *const T, list: impl FnOnce(&Handle<G>) -> &[T]) -> usize {
    let mut length = usize::MAX;
    guarded(handle, |handle| {
        let found = list(handle);
        let Some(first) = first.as_mut() else { return REFUSED };
        *first = if found.is_empty() { null() } else { found.as_ptr() };
        length = found.len();
        DONE
    });
    length
}

fn handed_over(group: Group) -> Taken {
    let columns = group.columns.into_boxed_slice();
    Taken {
        holds: group.holds as u32,
        columns_length: columns.len() as u32,
        columns: columns.as_ptr(),
        batch: group.batch,
        _columns: columns,
    }
}

/// Null if it cannot be had.
///
/// # Safety
/// `functions` points to libpq's.
#[no_mangle]
pub unsafe extern "C" fn tg_drain_open(functions: *const Functions, framed: u32) -> *mut Drain {
    let Some(functions) = functions.as_ref().copied() else { return std::ptr::null_mut() };
    catch_unwind(|| Box::into_raw(Box::new(Drain::new(functions, framed != 0)))).unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `drain` came from `tg_drain_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn tg_drain_close(drain: *mut Drain) {
    if !drain.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(drain))));
    }
}

/// # Safety
/// `drain` is open, `connection` one of the functions' own in the middle of a COPY, `gulp` points to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_drain(drain: *mut Drain, connection: *mut c_void, limit: usize, gulp: *mut Gulp) -> u32 {
    let (Some(drain), Some(gulp)) = (drain.as_mut(), gulp.as_mut()) else { return FAILED };
    catch_unwind(AssertUnwindSafe(|| *gulp = drain.drain(connection, limit))).map_or(FAILED, |()| DONE)
}

/// # Safety
/// `buffer` points to `length` bytes that do not change meanwhile, `walked` to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_walk(buffer: *const u8, length: usize, inside: u32, walked: *mut Walked) -> u32 {
    let Some(walked) = walked.as_mut() else { return REFUSED };
    catch_unwind(AssertUnwindSafe(|| *walked = blocks::walk(given(buffer, length), inside != 0)))
        .map_or(FAILED, |()| DONE)
}

/// # Safety
/// `buffer` points to `length` bytes that nobody else uses meanwhile, `aborted` to `aborted_length` numbers, `walked`
/// to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_strip(
    buffer: *mut u8,
    length: usize,
    aborted: *const u32,
    aborted_length: usize,
    walked: *mut Walked,
) -> u32 {
    let Some(walked) = walked.as_mut().filter(|_| !buffer.is_null()) else { return REFUSED };
    let buffer = std::slice::from_raw_parts_mut(buffer, length);
    catch_unwind(AssertUnwindSafe(|| *walked = blocks::strip(buffer, given(aborted, aborted_length))))
        .map_or(FAILED, |()| DONE)
}

/// A column of an Arrow string array, whose buffers the caller keeps.
#[repr(C)]
pub struct Texts {
    form: u32,
    validity: *const u8,
    validity_length: u64,
    offsets: *const i32,
    offsets_length: u64,
    data: *const u8,
    data_length: u64,
    first: u64,
}

/// The bytes of the last `tg_copy`, valid until the next.
#[repr(C)]
pub struct Copied {
    bytes: *const u8,
    length: u64,
}

/// Null if it cannot be had.
#[no_mangle]
pub extern "C" fn tg_copy_open() -> *mut Vec<u8> {
    catch_unwind(|| Box::into_raw(Box::<Vec<u8>>::default())).unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `copying` came from `tg_copy_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn tg_copy_close(copying: *mut Vec<u8>) {
    if !copying.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(copying))));
    }
}

/// `REFUSED` if a text is not in the plainest form of its type.
///
/// # Safety
/// `copying` is open, `columns` points to `width` structs whose buffers do not change meanwhile, `copied` to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_copy(
    copying: *mut Vec<u8>,
    columns: *const Texts,
    width: usize,
    from: u64,
    to: u64,
    copied: *mut Copied,
) -> u32 {
    let (Some(out), Some(copied)) = (copying.as_mut(), copied.as_mut()) else { return FAILED };
    let texts = given(columns, width);
    let done = catch_unwind(AssertUnwindSafe(|| {
        let columns: Vec<Column> = texts
            .iter()
            .map(|texts| Column {
                form: texts.form,
                validity: (!texts.validity.is_null()).then(|| given(texts.validity, texts.validity_length as usize)),
                offsets: given(texts.offsets, texts.offsets_length as usize),
                data: given(texts.data, texts.data_length as usize),
                first: texts.first as usize,
            })
            .collect();
        out.clear();
        copy::encode(&columns, from as usize, to as usize, out)
    }));
    match done {
        Ok(Ok(())) => {
            *copied = Copied { bytes: out.as_ptr(), length: out.len() as u64 };
            DONE
        }
        Ok(Err(_)) => REFUSED,
        Err(_) => FAILED,
    }
}

/// What `tg_rows_feed` took, and how many rows are there to take.
#[repr(C)]
pub struct RowsFed {
    consumed: u64,
    rows: u64,
    ended: u32,
    /// Where a value was refused: the column's number and one more; 0 if the bytes are no such rows.
    column: u32,
}

/// Null if it cannot be had.
///
/// # Safety
/// `wanted` points to `width` structs.
#[no_mangle]
pub unsafe extern "C" fn tg_rows_open(wanted: *const Wanted, width: usize) -> *mut Rows {
    catch_unwind(|| Rows::of(given(wanted, width)).map_or(std::ptr::null_mut(), |rows| Box::into_raw(Box::new(rows))))
        .unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `rows` came from `tg_rows_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn tg_rows_close(rows: *mut Rows) {
    if !rows.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(rows))));
    }
}

/// `REFUSED` if the bytes are not to be had as these columns; nothing follows then.
///
/// # Safety
/// `rows` is open, `buffer` points to `length` bytes that do not change meanwhile, `fed` to its struct.
#[no_mangle]
pub unsafe extern "C" fn tg_rows_feed(rows: *mut Rows, buffer: *const u8, length: usize, fed: *mut RowsFed) -> u32 {
    let (Some(rows), Some(fed)) = (rows.as_mut(), fed.as_mut()) else { return FAILED };
    let done = catch_unwind(AssertUnwindSafe(|| rows.feed(given(buffer, length))));
    let (consumed, column, answer) = match done {
        Ok(Ok(consumed)) => (consumed, 0, DONE),
        Ok(Err(Fault::Broken)) => (0, 0, REFUSED),
        Ok(Err(Fault::Value(column))) => (0, column + 1, REFUSED),
        Err(_) => (0, 0, FAILED),
    };
    let ended = u32::from(rows.ended());
    *fed = RowsFed { consumed: consumed as u64, rows: rows.rows() as u64, ended, column: column as u32 };
    answer
}

/// # Safety
/// `rows` is open, `batch` points to memory for an array that holds none.
#[no_mangle]
pub unsafe extern "C" fn tg_rows_take(rows: *mut Rows, batch: *mut ArrowArray) -> u32 {
    let Some(rows) = rows.as_mut().filter(|_| !batch.is_null()) else { return FAILED };
    catch_unwind(AssertUnwindSafe(|| batch.write(rows.take()))).map_or(FAILED, |()| DONE)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_and_nothing_works_behind_it() {
        let handle = tg_open();
        assert_eq!(guarded(handle, |_| DONE), DONE);
        assert_eq!(guarded(handle, |_| std::panic::panic_any("on purpose")), FAILED);
        assert_eq!(guarded(handle, |_| DONE), FAILED);
        unsafe { tg_close(handle) }
    }
}
