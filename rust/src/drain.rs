//! What a server has sent in a COPY, gathered into one buffer: of a walsender the messages of the log as frames and what
//! its signs of life say, of a table's rows all bytes as they are.
//!
//! The connection is libpq's and its functions are the caller's; nothing here knows where bytes come from.
//! Format: PostgreSQL documentation, "Streaming Replication Protocol".

use std::ffi::{c_char, c_int, c_void};

use crate::rows::emptied;

type GetCopyData = unsafe extern "C" fn(*mut c_void, *mut *mut c_char, c_int) -> c_int;
type FreeMemory = unsafe extern "C" fn(*mut c_void);
type ConsumeInput = unsafe extern "C" fn(*mut c_void) -> c_int;

/// Of libpq.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Functions {
    get: GetCopyData,
    free: FreeMemory,
    consume: ConsumeInput,
}

/// Why draining ended. The numbers are known to `connect/pgdrain.py`.
const NOTHING_MORE: u32 = 0;
const FULL: u32 = 1;
const ENDED: u32 = 2;
const FAILED: u32 = 3;
const GARBLED: u32 = 4;

/// Kind, start, end and time in front of a piece of the log; kind, end, time and a wish in a sign of life.
const LOG_HEAD: usize = 25;
const LIFE_LENGTH: usize = 18;

/// The frames are valid until the next call.
#[repr(C)]
pub struct Gulp {
    frames: *const u8,
    length: u64,
    /// The furthest place in the log that was named.
    received: u64,
    /// Up to where there was nothing for us behind the last frame; 0: it did not say.
    idle: u64,
    state: u32,
    /// Whether the server wants an answer.
    wanted: u32,
    messages: u64,
}

pub struct Drain {
    functions: Functions,
    framed: bool,
    frames: Vec<u8>,
}

impl Drain {
    pub fn new(functions: Functions, framed: bool) -> Drain {
        Drain { functions, framed, frames: vec![] }
    }

    /// # Safety
    /// The connection is one that the functions take, in the middle of a COPY, and nobody else uses it meanwhile.
    pub unsafe fn drain(&mut self, connection: *mut c_void, limit: usize) -> Gulp {
        emptied(&mut self.frames);
        let mut gulp = Gulp {
            frames: std::ptr::null(),
            length: 0,
            received: 0,
            idle: 0,
            state: FULL,
            wanted: 0,
            messages: 0,
        };
        let mut fresh = false;
        while self.frames.len() < limit {
            let mut message: *mut c_char = std::ptr::null_mut();
            let length = (self.functions.get)(connection, &mut message, 1);
            if length > 0 && !message.is_null() {
                let sound = self.take(std::slice::from_raw_parts(message.cast(), length as usize), &mut gulp);
                (self.functions.free)(message.cast());
                fresh = false;
                if sound {
                    continue;
                }
                gulp.state = GARBLED;
            } else if length == 0 && !fresh {
                fresh = true;
                if (self.functions.consume)(connection) == 1 {
                    continue;
                }
                gulp.state = FAILED;
            } else {
                gulp.state = match length {
                    0 => NOTHING_MORE,
                    -1 => ENDED,
                    _ => FAILED,
                };
            }
            break;
        }
        gulp.frames = self.frames.as_ptr();
        gulp.length = self.frames.len() as u64;
        gulp
    }

    /// Whether it is a message there is.
    fn take(&mut self, message: &[u8], gulp: &mut Gulp) -> bool {
        let place = |at: usize| message.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u64::from_be_bytes(*word));
        gulp.messages += 1;
        if !self.framed {
            self.frames.extend_from_slice(message);
            return true;
        }
        match (message.first(), message.get(LOG_HEAD..), place(1)) {
            (Some(b'w'), Some(piece), Some(start)) => {
                gulp.received = gulp.received.max(start);
                gulp.idle = 0;
                self.frames.extend_from_slice(&(piece.len() as u32).to_be_bytes());
                self.frames.extend_from_slice(piece);
                true
            }
            (Some(b'k'), _, Some(end)) if message.len() == LIFE_LENGTH => {
                gulp.received = gulp.received.max(end);
                gulp.idle = end;
                gulp.wanted |= u32::from(message.last() != Some(&0));
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// What a connection gives: messages, 0 for none yet, -1 for the end.
    struct Script(VecDeque<Result<Vec<u8>, c_int>>);

    unsafe extern "C" fn get(script: *mut c_void, message: *mut *mut c_char, _: c_int) -> c_int {
        let script = &mut *script.cast::<Script>();
        match script.0.pop_front() {
            None => 0,
            Some(Err(answer)) => answer,
            Some(Ok(bytes)) => {
                let length = bytes.len() as c_int;
                *message = bytes.leak().as_mut_ptr().cast();
                length
            }
        }
    }

    unsafe extern "C" fn free(_: *mut c_void) {}

    unsafe extern "C" fn consume(_: *mut c_void) -> c_int {
        1
    }

    fn piece(start: u64, message: &[u8]) -> Result<Vec<u8>, c_int> {
        Ok([&b"w"[..], &start.to_be_bytes(), &[0; 16], message].concat())
    }

    fn life(end: u64, wish: u8) -> Result<Vec<u8>, c_int> {
        Ok([&b"k"[..], &end.to_be_bytes(), &[0; 8], &[wish]].concat())
    }

    fn drained(script: Vec<Result<Vec<u8>, c_int>>, limit: usize) -> (Gulp, Vec<u8>) {
        drained_by(Drain::new(Functions { get, free, consume }, true), script, limit)
    }

    fn drained_by(mut drain: Drain, script: Vec<Result<Vec<u8>, c_int>>, limit: usize) -> (Gulp, Vec<u8>) {
        let mut script = Script(script.into());
        let gulp = unsafe { drain.drain(std::ptr::from_mut(&mut script).cast(), limit) };
        (gulp, drain.frames)
    }

    #[test]
    fn pieces_become_frames_and_signs_of_life_places() {
        let (gulp, frames) = drained(vec![piece(7, b"ab"), Err(0), piece(9, b"c"), life(12, 1)], 1000);
        assert_eq!(frames, b"\0\0\0\x02ab\0\0\0\x01c");
        assert_eq!((gulp.received, gulp.idle, gulp.wanted, gulp.state), (12, 12, 1, NOTHING_MORE));
    }

    #[test]
    fn a_sign_of_life_in_front_of_a_piece_says_nothing_about_what_follows() {
        let (gulp, _) = drained(vec![life(12, 0), piece(20, b"a")], 1000);
        assert_eq!((gulp.received, gulp.idle, gulp.wanted), (20, 0, 0));
    }

    #[test]
    fn rows_stay_as_they_are() {
        let drain = Drain::new(Functions { get, free, consume }, false);
        let script = vec![Ok(b"w".to_vec()), Err(0), Ok(b"xyz".to_vec()), Err(-1)];
        let (gulp, bytes) = drained_by(drain, script, 1000);
        assert_eq!((&bytes[..], gulp.messages, gulp.state), (&b"wxyz"[..], 2, ENDED));
    }

    #[test]
    fn it_stops_at_its_limit_at_the_end_and_where_nothing_makes_sense() {
        assert_eq!(drained(vec![piece(1, b"abcdef"), piece(2, b"a")], 5).0.state, FULL);
        assert_eq!(drained(vec![piece(1, b"a"), Err(-1)], 100).0.state, ENDED);
        assert_eq!(drained(vec![Err(-2)], 100).0.state, FAILED);
        for garbled in [Ok(b"w".to_vec()), Ok(b"x".to_vec()), Ok(vec![b'k'; 17]), Ok([&b"w"[..], &[0; 23]].concat())] {
            assert_eq!(drained(vec![garbled], 100).0.state, GARBLED);
        }
    }
}
