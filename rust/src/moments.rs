//! Dates and times of a binary log's row image as texts. The twin is `decode/binlog_values.py`.

use crate::civil::civil;
use crate::values::{digits, low_bytes, Input};

pub fn date(year: u64, month: u64, day: u64, out: &mut Vec<u8>) -> Option<()> {
    if year > 9999 || month > 12 || day > 31 {
        return None;
    }
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
    Some(())
}

fn clock(hour: u64, minute: u64, second: u64, hour_max: u64, out: &mut Vec<u8>) -> Option<()> {
    if hour > hour_max || minute > 59 || second > 59 {
        return None;
    }
    digits(hour, 2, out);
    out.push(b':');
    digits(minute, 2, out);
    out.push(b':');
    digits(second, 2, out);
    Some(())
}

/// Two digits a byte, without zeros at the end.
fn fraction(number: u64, size: u32, out: &mut Vec<u8>) -> Option<()> {
    if number >= 100_u64.pow(size) {
        return None;
    }
    if number > 0 {
        out.push(b'.');
        digits(number, 2 * size, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    Some(())
}

pub fn time(input: &mut Input, decimals: u32, out: &mut Vec<u8>) -> Option<()> {
    let size = decimals.div_ceil(2);
    let packed = input.big(3 + size as usize)? as i64 - (0x80_0000 << (8 * size));
    let (whole, part) = (packed.unsigned_abs() >> (8 * size), packed.unsigned_abs() & low_bytes(size as usize));
    if packed < 0 {
        out.push(b'-');
    }
    clock(whole >> 12, whole >> 6 & 63, whole & 63, 1023, out)?;
    fraction(part, size, out)
}

pub fn date_time(input: &mut Input, decimals: u32, out: &mut Vec<u8>) -> Option<()> {
    let packed = input.big(5)?.checked_sub(0x80_0000_0000)?;
    let (months, size) = (packed >> 22, decimals.div_ceil(2));
    date(months / 13, months % 13, packed >> 17 & 31, out)?;
    out.push(b' ');
    clock(packed >> 12 & 31, packed >> 6 & 63, packed & 63, 23, out)?;
    fraction(input.big(size as usize)?, size, out)
}

pub fn timestamp(input: &mut Input, decimals: u32, out: &mut Vec<u8>) -> Option<()> {
    let (seconds, size) = (input.big(4)?, decimals.div_ceil(2));
    let part = input.big(size as usize)?;
    if seconds == 0 && part == 0 {
        out.extend_from_slice(b"0000-00-00 00:00:00");
        return Some(());
    }
    let (year, month, day) = civil(seconds as i64 / 86_400);
    date(year as u64, month as u64, day as u64, out)?;
    out.push(b' ');
    let of_day = seconds % 86_400;
    clock(of_day / 3_600, of_day / 60 % 60, of_day % 60, 23, out)?;
    fraction(part, size, out)?;
    out.extend_from_slice(b"+00");
    Some(())
}
