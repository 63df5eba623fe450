"""One value of a row image as text in the grammar of `Kind`, by the column's type in the binary log.

Format: MySQL Source Code Documentation, `Table_map_event`, "column types"; MariaDB documentation, "TABLE_MAP_EVENT"
and "Rows Event", "Column Data Formatting"; MySQL Internals Manual, "Date and Time Data Type Representation". What the
grammar leaves open: BIT is binary digits in the column's full width; a date that is none (`0000-00-00`, `2024-00-00`)
keeps its literal text, without an offset; TIME may exceed a day and be negative.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from tidegate.decode.binlog_cursor import Cursor

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SMALLEST_NORMAL = 2.0**-126
_DECIMAL_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4)
"""How many bytes hold so many decimal digits; nine take four."""


def double(cursor: Cursor) -> str:
    (number,) = _DOUBLE.unpack(cursor.take(8))
    return float_text(repr(number), 15)


def single(cursor: Cursor) -> str:
    (number,) = _FLOAT.unpack(cursor.take(4))
    return single_text(number)


def single_text(number: float) -> str:
    """A single, given as the double it is."""
    return float_text(_shortest_single(number), 6)


def float_text(shown: str, plain_below: int) -> str:
    """Python's shortest digits in PostgreSQL's form: an exponent where it is under -4, or `plain_below` or more."""
    if shown in ("nan", "inf", "-inf"):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[shown]
    sign, mantissa, point = split_float(shown)
    if mantissa == "0":
        return sign + "0"
    exponent = point - 1
    if exponent < -4 or exponent >= plain_below:
        fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{sign}{mantissa[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + place_point(mantissa, point)


def split_float(shown: str) -> tuple[str, str, int]:
    """Sign, digits without zeros at either end (`0` for zero), and where the point stands: 0.digits times ten to it."""
    sign, digits, exponent = Decimal(shown).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    point = len(text) + int(exponent)
    return "-" if sign else "", text.rstrip("0") or "0", point


def place_point(mantissa: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + mantissa
    if point >= len(mantissa):
        return mantissa + "0" * (point - len(mantissa))
    return f"{mantissa[:point]}.{mantissa[point:]}"


def _shortest_single(number: float) -> str:
    """The fewest digits that read back as the same single; of several, those nearest to it."""
    if number != number or number in (float("inf"), float("-inf")):
        return repr(number)
    exact = Decimal(number)
    # Six digits survive any single that is normal, so that fewer are those six without zeros at their end.
    for digits in range(6 if abs(number) >= _SMALLEST_NORMAL else 1, 9):
        # At a power of two the nearest digits may not read back while those on its other side do.
        near = [Context(digits, rounding).plus(exact) for rounding in (ROUND_FLOOR, ROUND_CEILING)]
        fitting = [each for each in near if _as_single(str(each)) == number]
        if fitting:
            # Of two that are as near, PostgreSQL takes the even one.
            return str(min(fitting, key=lambda each: (abs(each - exact), each.as_tuple().digits[-1] & 1)))
    return f"{number:.8e}"


def _as_single(shown: str) -> float:
    try:
        (number,) = _FLOAT.unpack(_FLOAT.pack(float(shown)))
    except OverflowError:
        return float("nan")
    return float(number)


def decimal(cursor: Cursor, precision: int, scale: int) -> str:
    """Groups of nine digits, the incomplete ones outermost; the first bit is 1 for a number that is not negative, all
    bits are inverted for one that is."""
    whole = precision - scale
    digits = [whole % 9, *[9] * (whole // 9), *[9] * (scale // 9), scale % 9]
    sizes = [4 if count == 9 else _DECIMAL_BYTES[count] for count in digits]
    raw = cursor.take(sum(sizes))
    if not raw:
        raise cursor.malformed("a decimal without digits")
    negative = not raw[0] & 0x80
    flipped = bytes([raw[0] ^ 0x80, *raw[1:]])
    groups = Cursor(bytes(byte ^ 0xFF for byte in flipped) if negative else flipped, cursor.what)
    shown = ""
    for count, size in zip(digits, sizes, strict=True):
        text = str(groups.big_endian(size)) if size else ""
        if len(text.lstrip("0")) > count:
            raise cursor.malformed("too many decimal digits")
        shown += text.rjust(count, "0")[-count:] if count else ""
    text = shown[:whole].lstrip("0") or "0"
    if scale:
        text += "." + shown[whole:]
    return "-" + text if negative and shown.strip("0") else text


def bit(cursor: Cursor, length: int) -> str:
    number = cursor.big_endian((length + 7) // 8)
    if number >> length:
        raise cursor.malformed(f"more than {length} bits")
    return format(number, f"0{length}b")


def year(cursor: Cursor) -> str:
    offset = cursor.unsigned(1)
    return str(1900 + offset) if offset else "0000"


def date(cursor: Cursor) -> str:
    packed = cursor.unsigned(3)
    return _date(cursor, packed >> 9, packed >> 5 & 15, packed & 31)


def time(cursor: Cursor, decimals: int) -> str:
    """TIME2: three bytes and the fraction's, as one number around a middle; hours 10 bits, minutes 6, seconds 6."""
    size = (decimals + 1) // 2
    packed = cursor.big_endian(3 + size) - (0x800000 << 8 * size)
    clock, fraction = divmod(abs(packed), 1 << 8 * size)
    shown = _clock(cursor, clock >> 12, clock >> 6 & 63, clock & 63, 1023)
    return ("-" if packed < 0 else "") + shown + _fraction(cursor, fraction, size)


def date_time(cursor: Cursor, decimals: int) -> str:
    """DATETIME2: sign, year times 13 plus month in 17 bits, day 5, hour 5, minute 6, second 6; then the fraction."""
    packed = cursor.big_endian(5) - 0x8000000000
    if packed < 0:
        raise cursor.malformed("a negative date")
    return unpacked_date_time(cursor, packed) + _fraction_of(cursor, decimals)


def unpacked_date_time(cursor: Cursor, packed: int) -> str:
    years, month = divmod(packed >> 22, 13)
    day = _date(cursor, years, month, packed >> 17 & 31)
    return f"{day} {_clock(cursor, packed >> 12 & 31, packed >> 6 & 63, packed & 63, 23)}"


def timestamp(cursor: Cursor, decimals: int) -> str:
    """TIMESTAMP2: seconds since 1970, then the fraction. No seconds at all are the zero date."""
    return _instant(cursor.big_endian(4), _fraction_of(cursor, decimals))


def old_timestamp(cursor: Cursor) -> str:
    return _instant(cursor.unsigned(4), "")


def old_date_time(cursor: Cursor) -> str:
    """The digits YYYYMMDDhhmmss as one number."""
    day, clock = divmod(cursor.unsigned(8), 1_000_000)
    shown = _date(cursor, day // 10_000, day // 100 % 100, day % 100)
    return f"{shown} {_clock(cursor, clock // 10_000, clock // 100 % 100, clock % 100, 23)}"


def old_time(cursor: Cursor) -> str:
    """The digits hhmmss as one number."""
    clock = cursor.signed(3)
    shown = _clock(cursor, abs(clock) // 10_000, abs(clock) // 100 % 100, abs(clock) % 100, 838)
    return "-" + shown if clock < 0 else shown


def _instant(seconds: int, fraction: str) -> str:
    if not seconds and not fraction:
        return "0000-00-00 00:00:00"
    at = _EPOCH + timedelta(seconds=seconds)
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction}+00"


def _date(cursor: Cursor, years: int, month: int, day: int) -> str:
    if years > 9999 or month > 12 or day > 31:
        raise cursor.malformed("no such date")
    return f"{years:04d}-{month:02d}-{day:02d}"


def _clock(cursor: Cursor, hour: int, minute: int, second: int, hour_max: int) -> str:
    if hour > hour_max or minute > 59 or second > 59:
        raise cursor.malformed("no such time of day")
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def _fraction_of(cursor: Cursor, decimals: int) -> str:
    size = (decimals + 1) // 2
    return _fraction(cursor, cursor.big_endian(size), size)


def _fraction(cursor: Cursor, fraction: int, size: int) -> str:
    """Two digits a byte, without zeros at the end."""
    if fraction >= 100**size:
        raise cursor.malformed("more than a second's fraction")
    return f".{fraction:0{2 * size}d}".rstrip("0") if fraction else ""
