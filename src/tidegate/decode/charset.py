"""Text of MariaDB's and MySQL's character sets as Python's: which set a collation's number belongs to, and how its
bytes are read. A set that Python cannot read exactly as the server does is refused, never guessed.

Numbers: what MariaDB 10.11 lists in `information_schema.collation_character_set_applicability`, and the MySQL 8.4
Reference Manual, "Supported Character Sets and Collations" (gb18030, and utf8mb4 from 255 on). How bytes are read was
compared, character for character, with what MariaDB 10.11 converts to utf8mb4, except for gb18030, which it does not
have. Seven signs of big5 that it turns into U+FFFD keep their meaning; user-defined characters of ujis are refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

from tidegate.decode.binlog_cursor import Refused

BINARY = 63
"""The collation number of bytes that are no text."""

Reader: TypeAlias = Callable[[bytes], str]

# Character set → numbers of its collations. The blocks from 2048 on are MariaDB's uca1400 collations.
_COLLATIONS = {
    "armscii8": "32 64 1056 1088",
    "ascii": "11 65 1035 1089",
    "big5": "1 84 1025 1108",
    "cp1250": "26 34 44 66 99 1050 1090",
    "cp1251": "14 23 50-52 1074-1075",
    "cp1256": "57 67 1081 1091",
    "cp1257": "29 58-59 1082-1083",
    "cp850": "4 80 1028 1104",
    "cp852": "40 81 1064 1105",
    "cp866": "36 68 1060 1092",
    "cp932": "95-96 1119-1120",
    "dec8": "3 69 1027 1093",
    "eucjpms": "97-98 1121-1122",
    "euckr": "19 85 1043 1109",
    "gb18030": "248-250",
    "gb2312": "24 86 1048 1110",
    "gbk": "28 87 1052 1111",
    "geostd8": "92-93 1116-1117",
    "greek": "25 70 1049 1094",
    "hebrew": "16 71 1040 1095",
    "hp8": "6 72 1030 1096",
    "keybcs2": "37 73 1061 1097",
    "koi8r": "7 74 1031 1098",
    "koi8u": "22 75 1046 1099",
    "latin1": "5 8 15 31 47-49 94 1032 1071",
    "latin2": "2 9 21 27 77 1033 1101",
    "latin5": "30 78 1054 1102",
    "latin7": "20 41-42 79 1065 1103",
    "macce": "38 43 1062 1067",
    "macroman": "39 53 1063 1077",
    "sjis": "13 88 1037 1112",
    "swe7": "10 82 1034 1106",
    "tis620": "18 89 1042 1113",
    "ucs2": "35 90 128-151 159 640-642 1059 1114 1152 1174 2560-2815",
    "ujis": "12 91 1036 1115",
    "utf16": "54-55 101-124 672-674 1078-1079 1125 1147 2816-3071",
    "utf16le": "56 62 1080 1086",
    "utf32": "60-61 160-183 736-738 1084-1085 1184 1206 3072-3327",
    "utf8mb3": "33 76 83 192-215 223 576-578 1057 1107 1216 1238 2048-2303",
    "utf8mb4": "45-46 224-247 255-323 608-610 1069-1070 1248 1270 2304-2559",
}

# Sets whose characters are one byte each, and where the server's table is not Python's.
_SINGLE: dict[str, tuple[str, dict[int, str]]] = {
    "ascii": ("ascii", {}),
    "cp1250": ("cp1250", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": ("cp1256", {}),
    "cp1257": ("cp1257", {}),
    "cp850": ("cp850", {}),
    "cp852": ("cp852", {}),
    "cp866": ("cp866", {0xFC: "\u207f", 0xFD: "\u00b2"}),
    "greek": ("iso8859-7", {0xA1: "\u02bd", 0xA2: "\u02bc"}),
    "hebrew": ("iso8859-8", {0xAF: "\u203e"}),
    "koi8r": ("koi8-r", {}),
    "koi8u": ("koi8-u", {0x95: "\u2022"}),
    # cp1252, with the five bytes it leaves free kept as control characters.
    "latin1": ("cp1252", {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}),
    "latin2": ("iso8859-2", {}),
    "latin5": ("iso8859-9", {}),
    "latin7": ("iso8859-13", {}),
    "macce": ("mac_latin2", {}),
    "macroman": ("mac_roman", {}),
    "tis620": ("tis-620", {}),
}

SINGLE_BYTE = frozenset(_SINGLE)

_MULTIBYTE = {
    "big5": "big5",
    "cp932": "cp932",
    "euckr": "cp949",
    "gb18030": "gb18030",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "sjis": "shift_jis",
    "ucs2": "utf-16-be",
    "ujis": "euc_jp",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
}

# The server reads these sets' wide backslash as the plain one.
_PLAIN_BACKSLASH = frozenset({"sjis", "ujis"})


@cache
def _sets() -> dict[int, str]:
    held: dict[int, str] = {}
    for name, numbers in _COLLATIONS.items():
        for part in numbers.split():
            first, _, last = part.partition("-")
            held.update(dict.fromkeys(range(int(first), int(last or first) + 1), name))
    return held


def charset_of(collation: int) -> str:
    """The name of the collation's character set, `binary` included. Raises `Refused` for a number not known."""
    if collation == BINARY:
        return "binary"
    try:
        return _sets()[collation]
    except KeyError:
        raise Refused(f"collation {collation} is not known", "Give the column a listed collation") from None


@cache
def reader_of(charset: str) -> Reader:
    """Bytes of a character set to text; the reader raises `UnicodeDecodeError` for bytes the set does not have. Raises
    `Refused` for a set that cannot be read exactly."""
    if charset in _SINGLE:
        codec, own = _SINGLE[charset]
        table = "".join(own.get(byte) or _character(codec, byte) for byte in range(256))
        return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]
    if charset in _PLAIN_BACKSLASH:
        codec = _MULTIBYTE[charset]
        return lambda raw: raw.decode(codec).replace("\uff3c", "\\")
    if charset in _MULTIBYTE:
        codec = _MULTIBYTE[charset]
        return lambda raw: raw.decode(codec)
    raise Refused(f"character set {charset} cannot be read", "Convert the column to utf8mb4")


def _character(codec: str, byte: int) -> str:
    try:
        return bytes([byte]).decode(codec)
    except UnicodeDecodeError:
        # What charmap decoding takes for "no such character".
        return "\ufffe"
