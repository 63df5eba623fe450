//! UUIDs and addresses as the server shows them. The twin is `decode/binlog_column.py`.

use std::io::Write;

use crate::values::unsigned;

pub fn uuid(raw: &[u8; 16], out: &mut Vec<u8>) {
    for (at, byte) in raw.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        let _ = write!(out, "{byte:02x}"); // into memory: it never fails
    }
}

pub fn inet4(raw: &[u8; 4], out: &mut Vec<u8>) {
    for (at, byte) in raw.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        unsigned(u64::from(*byte), out);
    }
}

/// As the server shows it: even a single zero becomes `::`, and addresses that hold one of IPv4 end in its notation.
pub fn inet6(raw: &[u8; 16], out: &mut Vec<u8>) {
    let [zeros @ .., m1, m2, a, b, c, d] = *raw;
    if zeros == [0; 10] && ((m1, m2) == (0xff, 0xff) || ((m1, m2) == (0, 0) && (a, b) != (0, 0))) {
        out.extend_from_slice(if m1 != 0 { b"::ffff:" } else { b"::" });
        return inet4(&[a, b, c, d], out);
    }
    let groups: Vec<u16> =
        raw.chunks_exact(2).filter_map(<[u8]>::first_chunk).map(|two| u16::from_be_bytes(*two)).collect();
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (at, group) in groups.iter().enumerate() {
        run = match (*group, run) {
            (0, (_, 0)) => (at, 1),
            (0, (from, length)) => (from, length + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    for (at, group) in groups.iter().enumerate() {
        if best.1 > 0 && at == best.0 {
            out.extend_from_slice(b"::");
        }
        if best.1 > 0 && (best.0..best.0 + best.1).contains(&at) {
            continue;
        }
        if at > 0 && !(best.1 > 0 && at == best.0 + best.1) {
            out.push(b':');
        }
        let _ = write!(out, "{group:x}"); // into memory: it never fails
    }
}
