//! Columns handed over by the Arrow C Data Interface: the arrays own their memory, and whoever imports them gives it
//! back by the release callback.
//!
//! Format: Apache Arrow documentation, "The Arrow C data interface". Schemas stay on the other side, which knows them.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use crate::message::Cell;

#[repr(C)]
pub struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const c_void,
    children: *mut *mut ArrowArray,
    dictionary: *mut ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

impl Drop for ArrowArray {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            unsafe { release(self) }
        }
    }
}

#[cfg(test)]
impl ArrowArray {
    /// Its length, buffers and children.
    pub unsafe fn parts(&self) -> (usize, &[*const c_void], &[*mut ArrowArray]) {
        let buffers = std::slice::from_raw_parts(self.buffers, self.n_buffers as usize);
        let children = std::slice::from_raw_parts(self.children, self.n_children as usize);
        (self.length as usize, buffers, children)
    }
}

/// What an array points to. The pointers point into the other two, whose heap memory does not move.
struct Memory {
    _buffers: Vec<Buffer>,
    pointers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
}

enum Buffer {
    Absent,
    Bytes(Vec<u8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int128(Vec<i128>),
}

macro_rules! buffers {
    ($($of:ty => $variant:ident),*) => {$(
        impl From<Vec<$of>> for Buffer {
            fn from(values: Vec<$of>) -> Buffer {
                Buffer::$variant(values)
            }
        }
    )*};
}

buffers!(u8 => Bytes, i16 => Int16, i32 => Int32, i64 => Int64, i128 => Int128);

impl Buffer {
    fn pointer(&self) -> *const c_void {
        match self {
            Buffer::Absent => null(),
            Buffer::Bytes(values) => values.as_ptr().cast(),
            Buffer::Int16(values) => values.as_ptr().cast(),
            Buffer::Int32(values) => values.as_ptr().cast(),
            Buffer::Int64(values) => values.as_ptr().cast(),
            Buffer::Int128(values) => values.as_ptr().cast(),
        }
    }
}

fn array(length: usize, nulls: usize, buffers: Vec<Buffer>, children: Vec<ArrowArray>) -> ArrowArray {
    let children: Vec<_> = children.into_iter().map(|child| Box::into_raw(Box::new(child))).collect();
    let pointers = buffers.iter().map(Buffer::pointer).collect();
    let mut memory = Box::new(Memory { _buffers: buffers, pointers, children });
    ArrowArray {
        length: length as i64,
        null_count: nulls as i64,
        offset: 0,
        n_buffers: memory.pointers.len() as i64,
        n_children: memory.children.len() as i64,
        buffers: memory.pointers.as_ptr(),
        children: memory.children.as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release),
        private_data: Box::into_raw(memory).cast(),
    }
}

unsafe extern "C" fn release(array: *mut ArrowArray) {
    let Some(array) = array.as_mut() else { return };
    if array.release.take().is_none() || array.private_data.is_null() {
        return;
    }
    let memory = Box::from_raw(array.private_data.cast::<Memory>());
    array.private_data = null_mut();
    for child in &memory.children {
        drop(Box::from_raw(*child)); // releases it, unless whoever imported it took it and will
    }
}

/// A record batch: a struct array of the columns.
pub fn batch(rows: usize, columns: Vec<ArrowArray>) -> ArrowArray {
    array(rows, 0, vec![Buffer::Absent], columns)
}

pub fn bytes(values: Vec<u8>) -> ArrowArray {
    array(values.len(), 0, vec![Buffer::Absent, Buffer::Bytes(values)], vec![])
}

pub fn integers(values: Vec<i64>) -> ArrowArray {
    array(values.len(), 0, vec![Buffer::Absent, Buffer::Int64(values)], vec![])
}

/// A column of values of one size; `valid` is a bit per row, empty where none is NULL.
#[allow(private_bounds)]
pub fn fixed<T>(rows: usize, nulls: usize, valid: Vec<u8>, values: Vec<T>) -> ArrowArray
where
    Buffer: From<Vec<T>>,
{
    array(rows, nulls, vec![validity(nulls, valid), values.into()], vec![])
}

/// A column of texts or bytes.
pub fn varying(rows: usize, nulls: usize, valid: Vec<u8>, offsets: Vec<i32>, values: Vec<u8>) -> ArrowArray {
    array(rows, nulls, vec![validity(nulls, valid), offsets.into(), values.into()], vec![])
}

fn validity(nulls: usize, valid: Vec<u8>) -> Buffer {
    if nulls == 0 {
        Buffer::Absent
    } else {
        valid.into()
    }
}

const STRIDE: usize = 32;

/// A utf8 column that is being filled with a known number of rows and of bytes.
struct Texts {
    offsets: Vec<i32>,
    values: Vec<u8>,
    /// A bit per row; empty while no row is NULL.
    valid: Vec<u8>,
    nulls: usize,
    rows: usize,
}

impl Texts {
    fn with(rows: usize, size: usize) -> Texts {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Texts { offsets, values: Vec::with_capacity(size + STRIDE), valid: vec![], nulls: 0, rows }
    }

    #[inline(always)]
    fn push(&mut self, cell: Cell, bytes: &[u8]) {
        let rest = bytes.get(cell.at as usize..).unwrap_or(&[]);
        match rest.first_chunk::<STRIDE>() {
            // Most values are short, and as many bytes as are known beforehand are copied much faster.
            Some(stride) if cell.length as usize <= STRIDE => {
                let end = self.values.len() + cell.length as usize;
                self.values.extend_from_slice(stride);
                self.values.truncate(end);
            }
            _ if cell.is_text() => self.values.extend_from_slice(cell.text(bytes)),
            _ => self.null(),
        }
        self.offsets.push(self.values.len() as i32); // what is gathered at once keeps it below 2^31
    }

    fn null(&mut self) {
        if self.nulls == 0 {
            self.valid = vec![0xff; self.rows.div_ceil(8)];
        }
        self.nulls += 1;
        let row = self.offsets.len() - 1;
        if let Some(byte) = self.valid.get_mut(row / 8) {
            *byte &= !(1 << (row % 8));
        }
    }

    fn array(self) -> ArrowArray {
        varying(self.rows, self.nulls, self.valid, self.offsets, self.values)
    }
}

/// A record batch of texts: each row `columns` cells that stand in `bytes`. A cell without a text is NULL.
pub fn texts<'a>(columns: usize, bytes: &[u8], rows: impl Iterator<Item = &'a [Cell]> + Clone) -> ArrowArray {
    let (mut count, mut sizes) = (0, vec![0; columns]);
    for row in rows.clone() {
        count += 1;
        for (size, cell) in sizes.iter_mut().zip(row) {
            if cell.is_text() {
                *size += cell.length as usize;
            }
        }
    }
    let mut filled: Vec<Texts> = sizes.into_iter().map(|size| Texts::with(count, size)).collect();
    for row in rows {
        for (column, cell) in filled.iter_mut().zip(row) {
            column.push(*cell, bytes);
        }
    }
    batch(count, filled.into_iter().map(Texts::array).collect())
}

/// What a batch that is taken holds. The numbers are known to `decode/native.py`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Holds {
    Deletes = 1,
    Puts = 2,
    Patch = 3,
    Moved = 4,
    MovedFrom = 5,
    Rows = 6,
    Stamps = 7,
    Unchanged = 8,
    Inserts = 9,
}

/// One batch with the columns it is about.
pub struct Group {
    pub holds: Holds,
    pub columns: Vec<u32>,
    pub batch: ArrowArray,
}
