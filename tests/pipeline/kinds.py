"""Every core type of PostgreSQL with values at its edges, as the texts the server itself would read."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

OWN_TYPES = """
create schema odd;
create type mood as enum ('sad', 'ok', 'very happy', 'it''s', 'ä,"b"');
create type odd."Strange Enum" as enum ('a b', '');
create domain posint as int check (value > 0);
create domain small as posint check (value < 100);
create domain code as varchar(5);
create domain codes as code[];
create type pair as (x int, "y z" text);
create type nest as (p pair, m mood, a int[]);
create domain good_pair as pair;
create type floats as range (subtype = float8, multirange_type_name = many_floats);
"""

WORDS = (
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "\r",
    "\n",
    "cr\r\nlf\r\n",
    "\t",
    ",",
    '"',
    '""',
    'a"b,c\n"',
    "'",
    "''",
    "\\",
    "\\\\",
    "\\x41",
    "\x01\x02\x7f",
    "\ufeffbom",
    "e\u0301 combining",
    "שלום עולם \u202eabc\u202c",
    "数据 😀👩‍👩‍👧",
    "x" * 1_000_000,
    "ends with a blank ",
)


@dataclass(frozen=True)
class TypeCase:
    """A type, and texts it accepts. `since` is the first version that has them."""

    type: str
    values: tuple[str, ...]
    since: int = 14
    own: bool = False
    """Defined by `OWN_TYPES`: its values arrive as their text."""


CASES = [
    TypeCase("bool", ("t", "f")),
    TypeCase("int2", ("-32768", "0", "32767")),
    TypeCase("int4", ("-2147483648", "0", "2147483647")),
    TypeCase("int8", ("-9223372036854775808", "0", "9223372036854775807")),
    TypeCase("oid", ("0", "4294967295")),
    TypeCase(
        "float4",
        ("NaN", "Infinity", "-Infinity", "0", "-0", "1e-45", "1.17549421e-38", "3.4028235e38", "0.1", "16777217"),
    ),
    TypeCase(
        "float8",
        (
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "-0",
            "5e-324",
            "2.2250738585072011e-308",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
            "9007199254740993",
            "1e15",
            "1e-5",
        ),
    ),
    TypeCase(
        "numeric",
        (
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "-0.0",
            "1.10",
            "1.1",
            "0." + "0" * 100 + "1",
            "9" * 1000,
            "1" + "0" * 131_071,
            "-" + "0." + "123456789" * 200,
        ),
    ),
    TypeCase("numeric(10,2)", ("NaN", "0.00", "-99999999.99", "99999999.99", "0.01")),
    TypeCase("numeric(38,0)", ("9" * 38, "-1")),
    TypeCase("numeric(500,250)", ("1" * 250 + "." + "9" * 250, "0")),
    TypeCase("numeric(3,-2)", ("12300", "-99900", "0"), since=15),
    TypeCase("numeric(3,5)", ("0.00123", "-0.00999"), since=15),
    TypeCase("text", WORDS),
    TypeCase("varchar", ("", "x" * 3000)),
    TypeCase("varchar(5)", ("", "é数😀ab", "ab   ")),
    TypeCase("char(5)", ("ab", "     ", "12345", "é")),
    TypeCase("char", ("x", " ")),
    TypeCase("name", ("a name", "n" * 63)),
    TypeCase('"char"', ("x", "", "\\")),
    TypeCase("bytea", ("\\x", "\\x00", "\\x5c5c", "\\x4e554c4c", "\\xdeadbeef" + "00ff" * 4000)),
    TypeCase(
        "date",
        ("2024-02-29", "infinity", "-infinity", "4713-01-01 BC", "0001-01-01", "0044-03-15 BC", "5874897-12-31"),
    ),
    TypeCase("time", ("00:00:00", "23:59:59.999999", "24:00:00", "04:05:06.7", "01:02:03.000001")),
    TypeCase("time(2)", ("04:05:06.78", "24:00:00")),
    TypeCase("timetz", ("04:05:06.789+05:30", "24:00:00-15:59", "00:00:00+00", "23:59:59.999999+15:59:59")),
    TypeCase(
        "timestamp",
        (
            "2024-02-29 00:00:00",
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "0044-03-15 01:02:03.5 BC",
            "1999-12-31 23:59:59.000001",
            "10000-01-01 00:00:00",
        ),
    ),
    TypeCase("timestamp(0)", ("2024-02-29 23:59:59",)),
    TypeCase(
        "timestamptz",
        (
            "2024-03-31 01:30:00+01",
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "0044-03-15 01:02:03.5+00 BC",
            "1969-12-31 23:59:59.999999-12:34:56",
        ),
    ),
    TypeCase("timestamptz(3)", ("2024-02-29 23:59:59.123+02",)),
    TypeCase(
        "interval",
        (
            "0",
            "-00:00:00.000001",
            "1 year 2 mons -3 days +04:05:06.789",
            "-1 year +2 mons -3 days -04:00:00",
            "178000000 years",
            "-178000000 years",
            "2147483647 days",
            "100:00:00",
        ),
    ),
    TypeCase("interval", ("infinity", "-infinity"), since=17),
    TypeCase("interval day to second(2)", ("3 days 04:05:06.78",)),
    TypeCase("uuid", ("00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11")),
    TypeCase(
        "json",
        (
            "null",
            '"x"',
            '{"a":1, "a" :  2}',
            "[1e400, 12345678901234567890.50]",
            '{"u": "\\u00e9\\\\ \\"\\u0000", "n": {}}',
            " [ ] ",
            '{\n\t"k": "\'"\n}',
            "[" * 500 + "]" * 500,
        ),
    ),
    TypeCase("jsonb", ("null", '{"b": [1.10, null], "a": 1}', '"é\\n"', "1" * 300, "[]", "1e400")),
    TypeCase("xml", ("<a b='c'>&lt;é</a>", "text only", "")),
    TypeCase("jsonpath", ("$.a[*] ? (@.x > 1)",)),
    TypeCase("inet", ("192.168.0.1", "10.1.2.3/8", "::1", "2001:db8::/32", "0.0.0.0/0")),
    TypeCase("cidr", ("10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0")),
    TypeCase("macaddr", ("08:00:2b:01:02:03",)),
    TypeCase("macaddr8", ("08:00:2b:01:02:03:04:05",)),
    TypeCase("bit(3)", ("101", "000")),
    TypeCase("bit", ("1",)),
    TypeCase("varbit", ("", "1", "0" * 200)),
    TypeCase("varbit(5)", ("10101", "")),
    TypeCase("point", ("(1.5,-2)", "(NaN,Infinity)", "(-0,1e-320)")),
    TypeCase("line", ("{1,2,3}",)),
    TypeCase("lseg", ("[(1,2),(3,4)]",)),
    TypeCase("box", ("(3,4),(1,2)",)),
    TypeCase("path", ("((1,2),(3,4))", "[(1,2),(3,4)]")),
    TypeCase("polygon", ("((1,2),(3,4),(5,6))",)),
    TypeCase("circle", ("<(1,2),3>",)),
    TypeCase("tsvector", ("'a':1A,2B 'it''s':3", "", "'back\\\\slash' 'two words'")),
    TypeCase("tsquery", ("'a' & !( 'b' | 'c':*A ) <-> 'd'", "")),
    TypeCase("pg_lsn", ("0/0", "FFFFFFFF/FFFFFFFF")),
    TypeCase("pg_snapshot", ("10:20:10,14,15",)),
    TypeCase("xid8", ("18446744073709551615",)),
    TypeCase("money", ("-92233720368547758.08", "0", "1234.56")),
    TypeCase("int4range", ("empty", "[1,10)", "(,5)", "[7,)", "(,)")),
    TypeCase("int8range", ("[-9223372036854775808,0)",)),
    TypeCase("numrange", ("(1.10,NaN]", "[0.5,0.5]", "empty")),
    TypeCase("tsrange", ('["2024-01-01 00:00:00",infinity)', "(-infinity,infinity)")),
    TypeCase("tstzrange", ('["2024-01-01 00:00:00+02","2024-06-01 00:00:00+00"]',)),
    TypeCase("daterange", ("[2024-01-01,infinity]", "(,2024-01-01)")),
    TypeCase("int4multirange", ("{}", "{[1,3),[5,7)}", "{(,)}")),
    TypeCase("nummultirange", ("{[1.0,2.00),(5,)}",)),
    TypeCase("datemultirange", ("{[2024-01-01,2024-02-01)}",)),
    TypeCase("int4[]", ("{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}", "[-1:0][5:5]={{1},{2}}", "{NULL}")),
    TypeCase("bool[]", ("{t,f,NULL}",)),
    TypeCase("float8[]", ("{NaN,-0,1e-320}",)),
    TypeCase("numeric(6,2)[]", ("{1.10,NaN}",)),
    TypeCase("varchar(3)[]", ('{"a b",NULL,"NULL","\\"\\\\",""}',)),
    TypeCase("text[]", ('{"{nested}","a,b","\n","é数"}', '{{"",NULL},{" ",x}}')),
    TypeCase("bytea[]", ('{"\\\\x00ff",NULL}',)),
    TypeCase("timestamptz[]", ('{"2024-01-01 00:00:00+00",infinity}',)),
    TypeCase("jsonb[]", ('{"{\\"a\\": [1, \\"x\\"]}",null}',)),
    TypeCase("uuid[]", ("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",)),
    TypeCase("int4range[]", ('{"[1,3)",empty}',)),
    TypeCase("box[]", ("{(3,4),(1,2);(5,6),(0,0)}",)),
    TypeCase("int2vector", ("1 2 3",)),
    TypeCase("oidvector", ("1 2", "")),
    TypeCase("regclass", ("pg_class",)),
    TypeCase("regtype", ("integer",)),
    TypeCase("mood", ("sad", "very happy", "it's", 'ä,"b"'), own=True),
    TypeCase('odd."Strange Enum"', ("a b", ""), own=True),
    TypeCase("small", ("1", "99")),
    TypeCase("code", ("", "abcde")),
    TypeCase("codes", ('{abc,NULL,"x y"}',)),
    TypeCase("small[]", ("{1,NULL,99}",)),
    TypeCase("pair", ('(1,"a ""b"", c")', "(,)", '(2,"")'), own=True),
    TypeCase("good_pair", ("(5,x)",), own=True),
    TypeCase("nest", ('("(1,""a b"")","very happy","{1,2}")', "(,,)"), own=True),
    TypeCase("mood[]", ('{sad,NULL,"very happy"}', "{}"), own=True),
    TypeCase("pair[]", ('{"(1,\\"a b\\")",NULL}',), own=True),
    TypeCase("nest[]", ('{"(\\"(1,x)\\",ok,)"}',), own=True),
    TypeCase("floats", ("[-Infinity,1.5)", "empty"), own=True),
    TypeCase("many_floats", ("{[0.1,1.5)}",), own=True),
]


class Kinds:
    """A table with a column of every type this server has, and rows that together hold every value, NULLs too."""

    def __init__(self, connection: psycopg.Connection, table: str = "public.kinds") -> None:
        self.connection, self.table = connection, table
        version = connection.info.server_version // 10_000
        connection.execute(OWN_TYPES)
        self.cases = [case for case in CASES if case.since <= version and (case.type != "xml" or self._has_xml())]
        self.names = [f"c{i}" for i in range(len(self.cases))]
        columns = ", ".join(f"{name} {case.type}" for name, case in zip(self.names, self.cases, strict=True))
        connection.execute(f"create table {table} (id int primary key, {columns})")
        # Whole rows of the widest values do not fit a page uncompressed or inline: large ones go out of line.
        self.count = 1 + max(len(case.values) for case in self.cases)

    def _has_xml(self) -> bool:
        try:
            self.connection.execute("select '<a/>'::xml")
        except psycopg.errors.FeatureNotSupported:
            return False
        return True

    def cells(self, number: int) -> list[str | None]:
        """Row `number`: each type's value of that number, NULL past its last, and one row of NULLs alone."""
        return [case.values[number] if number < len(case.values) else None for case in self.cases]

    def insert(self, first_id: int) -> None:
        """All rows, with ids from `first_id` on."""
        slots = ", ".join(f"%s::text::{case.type}" for case in self.cases)
        for number in range(self.count):
            self.connection.execute(
                f"insert into {self.table} values (%s, {slots})", (first_id + number, *self.cells(number))
            )

    def rotate(self, first_id: int) -> None:
        """Update the rows from `first_id` on: each type's next value."""
        changes = ", ".join(f"{n} = %s::text::{c.type}" for n, c in zip(self.names, self.cases, strict=True))
        for number in range(self.count):
            cells = self.cells((number + 1) % self.count)
            self.connection.execute(f"update {self.table} set {changes} where id = %s", (*cells, first_id + number))

    def texts(self) -> dict[int, dict[str, str | None]]:
        """What the values are to the server: the output functions of their types, which a cast to text is not."""
        listed = ", ".join(
            f"case when {name} is distinct from null then format('%s', {name}) end" for name in self.names
        )
        found = self.connection.execute(f"select id, {listed} from {self.table} order by id").fetchall()
        return {row[0]: dict(zip(self.names, row[1:], strict=True)) for row in found}

    def type_of(self, name: str) -> str:
        return self.cases[self.names.index(name)].type
