"""Values at the edges of every kind, in the canonical grammar of `Kind`, and keys in the order their source gives them:
what connectors are tested with."""

from __future__ import annotations

import struct

from tidegate.model.schema import DataType, Kind

VALUES: list[tuple[DataType, tuple[str, ...]]] = [
    (DataType(Kind.BOOL, "boolean"), ("t", "f")),
    (DataType(Kind.INT16, "smallint"), ("-32768", "0", "32767")),
    (DataType(Kind.INT32, "integer"), ("-2147483648", "0", "2147483647")),
    (DataType(Kind.INT64, "bigint"), ("-9223372036854775808", "0", "9223372036854775807")),
    (
        DataType(Kind.FLOAT32, "real"),
        ("NaN", "Infinity", "-Infinity", "0", "-0", "0.1", "1e-45", "3.4028235e+38", "1e+20", "16777217", "100000"),
    ),
    (
        DataType(Kind.FLOAT64, "double precision"),
        (
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "0.1",
            "5e-324",
            "1.7976931348623157e+308",
            "9007199254740993",
            "0.30000000000000004",
        ),
    ),
    (DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2), ("0.00", "-99999999.99", "99999999.99", "0.01", "NaN")),
    (DataType(Kind.DECIMAL, "numeric(38,10)", 38, 10), ("1234567890123456789012345678.0123456789", "-0.0000000001")),
    (DataType(Kind.DECIMAL, "numeric(5,0)", 5, 0), ("-99999", "0")),
    (
        DataType(Kind.DECIMAL, "numeric"),
        ("NaN", "Infinity", "-Infinity", "1.10", "1.1", "0." + "0" * 60 + "1", "9" * 200),
    ),
    (DataType(Kind.DECIMAL, "numeric(100,50)", 100, 50), ("1" * 50 + "." + "1" * 50, "-0." + "0" * 49 + "1")),
    (
        DataType(Kind.TEXT, "text"),
        (
            "",
            " ",
            "NULL",
            "\\N",
            "\\.",
            "a\n\\.\nb",
            '"',
            '""',
            "'",
            "a,b",
            "tab\t",
            "\r",
            "\n",
            "cr\r\nlf",
            "\\",
            "\x01\x1f\x7f",
            "é 数 😀 \u0301",
            "\ufeff",
            "x" * 300_000,
        ),
    ),
    (DataType(Kind.TEXT, "character varying(5)", length=5), ("", "12345", "éé数数😀")),
    (DataType(Kind.TEXT, "character(5)", length=5), ("ab   ", "     ", "12345")),
    (DataType(Kind.BYTES, "bytea"), ("\\x", "\\x00", "\\x5c5c", "\\xdeadbeef00ff", "\\x" + "ab" * 100_000)),
    (
        DataType(Kind.DATE, "date"),
        (
            "2024-02-29",
            "infinity",
            "-infinity",
            "0044-03-15 BC",
            "4713-01-01 BC",
            "0001-01-01",
            "10000-01-01",
            "5874897-12-31",
        ),
    ),
    (DataType(Kind.TIME, "time without time zone"), ("00:00:00", "23:59:59.999999", "24:00:00", "04:05:06.7")),
    (DataType(Kind.TIME, "time(3) without time zone"), ("23:59:59.999", "04:05:06.7")),
    (
        DataType(Kind.TIMETZ, "time with time zone"),
        ("04:05:06.789+05:30", "24:00:00-15:59", "00:00:00+00", "00:00:00+15:59:59"),
    ),
    (
        DataType(Kind.TIMESTAMP, "timestamp without time zone"),
        (
            "2024-02-29 00:00:00",
            "1969-12-31 23:59:59.999999",
            "infinity",
            "-infinity",
            "0044-03-15 01:02:03.5 BC",
            "4714-11-24 00:00:00 BC",
            "10000-01-01 00:00:00.000001",
            "294276-12-31 23:59:59.999999",
        ),
    ),
    (DataType(Kind.TIMESTAMP, "timestamp(0) without time zone"), ("2024-02-29 23:59:59",)),
    (
        DataType(Kind.TIMESTAMPTZ, "timestamp with time zone"),
        (
            "2024-02-29 00:00:00+00",
            "1969-12-31 23:59:59.999999+00",
            "infinity",
            "-infinity",
            "0044-03-15 01:02:03.5+00 BC",
            "10000-01-01 00:00:00.000001+00",
            "294276-12-31 23:59:59.999999+00",
        ),
    ),
    (
        DataType(Kind.INTERVAL, "interval"),
        (
            "00:00:00",
            "-00:00:00.000001",
            "1 year 2 mons 3 days 04:05:06.789",
            "1 mon -2 days +03:04:05",
            "-178000000 years",
        ),
    ),
    (
        DataType(Kind.UUID, "uuid"),
        (
            "00000000-0000-0000-0000-000000000000",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ),
    ),
    (
        DataType(Kind.JSON, "json"),
        (
            "null",
            '"x"',
            '{"a":1, "a" :  2}',
            "[1e400, 12345678901234567890.5]",
            '{"u": "\\u00e9\\\\ \\"", "n": {}}',
            " [ ] ",
        ),
    ),
    (DataType(Kind.JSON, "jsonb"), ('{"a": 1, "b": [1.10, null]}', '"é"', "1" * 100)),
    (DataType(Kind.OTHER, "integer[]"), ("{}", "{1,NULL,3}", "{{1,2},{3,4}}")),
    (DataType(Kind.OTHER, "text[]"), ('{"a b",NULL,"NULL","\\"\\\\",""}', "{é,数}")),
    (DataType(Kind.OTHER, "inet"), ("192.168.0.1", "10.0.0.0/8", "::1")),
    (DataType(Kind.OTHER, "int4range"), ("empty", "[1,10)", "(,5)")),
    (DataType(Kind.OTHER, "bit varying(5)"), ("10101", "1")),
    (DataType(Kind.OTHER, "money"), ("$1,234.56", "-$0.01")),
    (DataType(Kind.OTHER, "text"), ("(1,abc)", "happy", "")),
]
"""A type and values of it; each can be stored by the system whose type it is."""

KEYS: list[tuple[DataType, tuple[str, ...]]] = [
    (DataType(Kind.INT16, "smallint"), ("-5", "0", "9", "10")),
    (DataType(Kind.INT64, "bigint"), ("-9223372036854775808", "-10", "-9", "9", "10")),
    (DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2), ("-10.00", "-9.99", "9.00", "10.00")),
    (DataType(Kind.DECIMAL, "numeric"), ("-10", "-9.9", "9", "10.5")),
    (DataType(Kind.FLOAT64, "double precision"), ("-Infinity", "-1e+20", "-0.5", "9", "10", "Infinity", "NaN")),
    (DataType(Kind.TEXT, "text"), ("", " ", "10", "9", "A", "B", "Z z", "a", "a\n", "aa", "ab", "b", "é", "数", "😀")),
    (DataType(Kind.TEXT, "character varying(3)", length=3), ("", "A", "a", "b")),
    (DataType(Kind.TEXT, "character(3)", length=3), ("A  ", "a  ", "a\x01 ", "aa ", "b  ")),
    (DataType(Kind.BYTES, "bytea"), ("\\x", "\\x00", "\\x7f", "\\x80", "\\xff", "\\xff00")),
    (
        DataType(Kind.DATE, "date"),
        ("-infinity", "0044-03-15 BC", "0001-01-01", "1999-12-31", "2024-02-29", "10000-01-01", "infinity"),
    ),
    (DataType(Kind.TIME, "time without time zone"), ("00:00:00", "09:00:00.5", "10:00:00", "24:00:00")),
    (
        DataType(Kind.TIMESTAMP, "timestamp without time zone"),
        (
            "-infinity",
            "0044-03-15 00:00:00 BC",
            "1969-12-31 23:59:59.5",
            "2024-01-01 00:00:00",
            "2024-01-01 00:00:00.000001",
            "infinity",
        ),
    ),
    (
        DataType(Kind.TIMESTAMPTZ, "timestamp with time zone"),
        (
            "-infinity",
            "0044-03-15 00:00:00+00 BC",
            "1969-12-31 23:59:59.5+00",
            "2024-01-01 00:00:00+00",
            "2024-01-01 00:00:00.000001+00",
            "10000-01-01 00:00:00+00",
            "infinity",
        ),
    ),
    (DataType(Kind.TIMETZ, "time with time zone"), ("01:00:00+02", "00:00:00+00", "01:00:00+00", "23:00:00-01")),
    (DataType(Kind.INTERVAL, "interval"), ("-1 days", "00:00:00", "23:59:59", "1 day 00:00:01", "1 mon")),
    (
        DataType(Kind.UUID, "uuid"),
        (
            "00000000-0000-0000-0000-000000000001",
            "0fffffff-0000-0000-0000-000000000000",
            "7fffffff-ffff-ffff-ffff-ffffffffffff",
            "80000000-0000-0000-0000-000000000000",
        ),
    ),
    (DataType(Kind.OTHER, "inet"), ("9.0.0.0", "10.0.0.0/8", "10.0.0.1")),
]
"""A type and keys of it, in the order of the source (texts by their UTF-8 bytes)."""


def same_value(type: DataType, wanted: str | None, found: str | None) -> bool:
    """Whether the texts are one value: the same characters, or for a binary fraction the same bits."""
    if wanted is None or found is None:
        return wanted is found
    if type.kind is Kind.FLOAT64:
        return struct.pack("d", float(wanted)) == struct.pack("d", float(found))
    if type.kind is Kind.FLOAT32:
        return struct.pack("f", float(wanted)) == struct.pack("f", float(found))
    return wanted == found
