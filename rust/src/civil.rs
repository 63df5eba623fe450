//! Dates and times as texts to the numbers PostgreSQL keeps: days and microseconds since the year 2000 in UTC; and back
//! from the days that Unix counts.
//!
//! Only years 0001 to 9999 and times of day that exist; all else is `None`.

const DAY_US: i64 = 86_400_000_000;
/// From 0000-03-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 730_425;

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// The number of the day, whose month and day of the month exist.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || !(1..=longest).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS)
}

/// Year, month and day of the month, from the days since 1970-01-01, of which there are none before.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub fn civil(unix_days: i64) -> (i64, i64, i64) {
    let days = unix_days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn date(text: &[u8]) -> Option<i64> {
    match text {
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => {
            days(number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
        }
        _ => None,
    }
}

/// `YYYY-MM-DD`.
pub fn date_days(text: &[u8]) -> Option<i32> {
    i32::try_from(date(text)?).ok()
}

/// Hours, minutes and maybe seconds; nothing if one is not there or too large.
fn clock(hours: &[u8], minutes: &[u8], seconds: &[u8], hours_max: i64) -> Option<i64> {
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    (hours <= hours_max && minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)
}

/// `HH:MM:SS`, and up to six digits behind a point.
pub fn time_us(text: &[u8]) -> Option<i64> {
    let (whole, behind) = text.split_at_checked(8)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = whole else { return None };
    let seconds = clock(&[*h1, *h2], &[*m1, *m2], &[*s1, *s2], 23)?;
    let fraction = match behind.split_first() {
        None => 0,
        Some((b'.', digits)) if (1..=6).contains(&digits.len()) => {
            (digits.len()..6).try_fold(number(digits)?, |value, _| Some(value * 10))?
        }
        _ => return None,
    };
    Some(seconds * 1_000_000 + fraction)
}

/// `YYYY-MM-DD`, a blank and a time.
pub fn timestamp_us(text: &[u8]) -> Option<i64> {
    let (day, behind) = text.split_at_checked(10)?;
    let time = behind.strip_prefix(b" ")?;
    Some(date(day)? * DAY_US + time_us(time)?)
}

/// The same, and how far it is ahead of UTC: `+HH`, `-HH:MM` or `+HH:MM:SS`.
pub fn timestamptz_us(text: &[u8]) -> Option<i64> {
    let sign = text.iter().rposition(|byte| b"+-".contains(byte))?;
    let (local, zone) = text.split_at_checked(sign)?;
    let ahead_s = match zone {
        [_, h1, h2] => clock(&[*h1, *h2], b"0", b"0", 15)?,
        [_, h1, h2, b':', m1, m2] => clock(&[*h1, *h2], &[*m1, *m2], b"0", 15)?,
        [_, h1, h2, b':', m1, m2, b':', s1, s2] => clock(&[*h1, *h2], &[*m1, *m2], &[*s1, *s2], 15)?,
        _ => return None,
    };
    let ahead_us = ahead_s * 1_000_000;
    let local_us = timestamp_us(local)?;
    Some(if zone.first() == Some(&b'-') { local_us + ahead_us } else { local_us - ahead_us })
}
