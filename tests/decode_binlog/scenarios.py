"""What is recorded from a real MariaDB server: tables with values at their types' edges, and each form the log has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Column(NamedTuple):
    name: str
    type: str
    read: str
    """The SQL that reads the column in Tidegate's grammar."""


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    suffix: str = "primary key (id)"

    def create(self) -> str:
        columns = ", ".join(f"`{column.name}` {column.type}" for column in self.columns)
        return f"create table {self.name} ({columns}, {self.suffix}) engine=InnoDB default charset=utf8mb4"


@dataclass(frozen=True)
class Scenario:
    name: str
    options: tuple[str, ...]
    tables: tuple[Table, ...]
    statements: Callable[[], list[str]]
    files: dict[str, str] = field(default_factory=dict)


def shown(name: str, type_: str) -> Column:
    """A column whose text is what the server shows."""
    return Column(name, type_, f"`{name}`")


def bits(name: str, length: int) -> Column:
    return Column(name, f"bit({length})", f"lpad(bin(`{name}` + 0), {length}, '0')")


def binary(name: str, type_: str) -> Column:
    return Column(name, type_, rf"concat('\\x', lower(hex(`{name}`)))")


def fraction(name: str, type_: str, suffix: str = "") -> Column:
    """The grammar has no zeros at a fraction's end; a zero date has no offset."""
    trimmed = f"trim(trailing '.' from trim(trailing '0' from cast(`{name}` as char)))"
    return Column(name, type_, f"if(`{name}` like '0000%', substr(`{name}`, 1, 19), concat({trimmed}, '{suffix}'))")


def single(name: str) -> Column:
    """A FLOAT as the server shows it has lost digits; as a double it has them all."""
    return Column(name, "float", f"cast(`{name}` as double)")


ID = shown("id", "int not null")

NUMBERS = Table(
    "numbers",
    (
        ID,
        shown("tiny", "tinyint"),
        shown("tiny_u", "tinyint unsigned"),
        shown("small", "smallint"),
        shown("small_u", "smallint unsigned"),
        shown("medium", "mediumint"),
        shown("medium_u", "mediumint unsigned"),
        shown("year_", "year"),
        shown("int_u", "int unsigned"),
        bits("bit1", 1),
        shown("int_", "int"),
        bits("bit9", 9),
        shown("big", "bigint"),
        shown("big_u", "bigint unsigned"),
        bits("bit64", 64),
        single("single_"),
        shown("double_", "double"),
        shown("decimal_", "decimal(10, 2)"),
        shown("decimal_wide", "decimal(65, 30)"),
        shown("decimal_whole", "decimal(9, 0)"),
        shown("decimal_part", "decimal(5, 5)"),
        shown("decimal_u", "decimal(19, 9) unsigned"),
    ),
)

TIMES = Table(
    "times",
    (
        ID,
        shown("date_", "date"),
        shown("time_", "time"),
        *(fraction(f"time{n}", f"time({n})") for n in range(1, 7)),
        shown("datetime_", "datetime"),
        *(fraction(f"datetime{n}", f"datetime({n})") for n in range(1, 7)),
        Column("timestamp_", "timestamp null", "if(timestamp_ = 0, timestamp_, concat(timestamp_, '+00'))"),
        *(fraction(f"timestamp{n}", f"timestamp({n}) null", "+00") for n in (1, 3, 4, 6)),
        shown("year_", "year"),
    ),
)

TEXTS = Table(
    "texts",
    (
        ID,
        shown("char_", "char(10)"),
        shown("char_latin1", "char(10) character set latin1"),
        shown("char_long", "char(255)"),
        shown("varchar_", "varchar(50)"),
        Column("geometry_", "geometry", r"concat('\\x', lower(hex(geometry_)))"),
        shown("varchar_long", "varchar(2000) character set utf8mb3"),
        shown("enum_", "enum('a', 'größe', 'c,d')"),
        shown("varchar_gbk", "varchar(20) character set gbk collate gbk_bin"),
        shown("set_", "set('x', 'ü', 'z') character set latin1"),
        shown("varchar_ucs2", "varchar(20) character set ucs2"),
        shown("uuid_", "uuid"),
        shown("varchar_sjis", "varchar(20) character set sjis"),
        shown("inet6_", "inet6"),
        shown("varchar_utf16", "varchar(20) character set utf16le"),
        shown("inet4_", "inet4"),
        binary("binary_", "binary(4)"),
        binary("varbinary_", "varbinary(300)"),
        shown("tinytext_", "tinytext character set cp1251"),
        shown("text_", "text"),
        binary("blob_", "blob"),
        shown("mediumtext_", "mediumtext character set ascii"),
        binary("longblob_", "longblob"),
        shown("json_", "json"),
        shown("varchar_utf32", "varchar(20) character set utf32"),
        shown("varchar_uca", "varchar(20) collate utf8mb4_uca1400_ai_ci"),
        shown("enum_many", "enum(" + ", ".join(f"'n{n}'" for n in range(300)) + ")"),
        shown("set_many", "set(" + ", ".join(f"'s{n}'" for n in range(64)) + ")"),
    ),
)

COMPRESSED = Table(
    "compressed",
    (
        ID,
        shown("text_", "text compressed"),
        binary("blob_", "blob compressed"),
        shown("varchar_", "varchar(1000) compressed character set latin1"),
        binary("varbinary_", "varbinary(300) compressed"),
        shown("after_", "varchar(10) character set cp1250"),
    ),
)

SMALL = Table("small", (ID, shown("a", "varchar(20)"), shown("b", "text"), shown("c", "int unsigned")))
PREFIXED = Table(
    "prefixed",
    (shown("name", "varchar(30) not null"), shown("n", "int"), shown("hidden_", "int invisible")),
    "primary key (name(5), n)",
)


def insert(table: Table, *values: str) -> str:
    columns = table.columns[1:]
    return (
        f"insert into {table.name} values ({', '.join(values)}" + ", default" * (len(columns) + 1 - len(values)) + ")"
    )


def number_statements() -> list[str]:
    low = "-128, 0, -32768, 0, -8388608, 0, 1901, 0, b'0', -2147483648, b'0', -9223372036854775808, 0, b'0'"
    high = "127, 255, 32767, 65535, 8388607, 16777215, 2155, 4294967295, b'1', 2147483647, b'111111111'"
    rows = [
        f"1, {low}, -3.4028234e38, -1.7976931348623157e308, -99999999.99, "
        f"-{'9' * 35}.{'9' * 30}, -999999999, -0.99999, 0",
        f"2, {high}, 9223372036854775807, 18446744073709551615, ~0, 3.4028234e38, 1.7976931348623157e308, 99999999.99, "
        f"{'9' * 35}.{'9' * 30}, 999999999, 0.99999, 9999999999.999999999",
        "3" + ", null" * 21,
        "4, -1, 1, -1, 1, -1, 1, 0, 1, b'1', -1, b'100000001', -1, 1, b'1', 0.1, 0.1, -0.01, 0, 0, 0, 0.000000001",
        "5, 0, 128, 0, 32768, 0, 8388608, 2024, 2147483648, 0, 0, 256, 0, 9223372036854775808, 1, 1e-45, 5e-324, 0,"
        " -0.000000000000000000000000000001, -1, 0.00001, 1000000000.000000001",
        "6, 1, 1, 1, 1, 1, 1, 1970, 1, 0, 1, 5, 1, 1, 5, 16777217, 1e15, 1.10, 1234567890.0123456789, 10, -0.1, 12.5",
        "7, 1, 1, 1, 1, 1, 1, 1999, 1, 0, 1, 5, 1, 1, 5, 1e-5, 1e-5, 100, 1, 1, 0, 1",
        "8, 1, 1, 1, 1, 1, 1, 1999, 1, 0, 1, 5, 1, 1, 5, 123456, 123456789012345678, 100, 1, 1, 0, 1",
        "9, 1, 1, 1, 1, 1, 1, 1999, 1, 0, 1, 5, 1, 1, 5, -0e0, -0e0, 100, 1, 1, 0, 1",
    ]
    inserted = "insert into numbers values " + ", ".join(f"({row})" for row in rows)
    return [
        NUMBERS.create(),
        inserted,
        "update numbers set tiny = null, big_u = 5 where id in (2, 4)",
        "update numbers set id = 33, double_ = 2.5 where id = 3",
        "delete from numbers where id = 6",
    ]


def time_statements() -> list[str]:
    times = ["-838:59:59.999999", "838:59:59.999999", "00:00:00.000000", "-00:00:00.500000", "-00:00:01.000001"]
    times += ["12:34:56.123456", "24:00:00.100000", "-12:00:00.999990"]
    dates = ["1000-01-01 00:00:00", "9999-12-31 23:59:59.999999", "0000-00-00 00:00:00", "2024-02-29 12:00:00.5"]
    dates += [
        "2024-00-00 00:00:00",
        "0001-01-01 00:00:00.000001",
        "2024-12-31 23:59:59.123456",
        "2024-01-15 01:02:03.1",
    ]
    stamps = ["1970-01-01 00:00:01", "2038-01-19 03:14:07", "0000-00-00 00:00:00", "2024-03-31 01:30:00.999999"]
    stamps += ["2001-09-09 01:46:40.000001", "2024-10-27 02:30:00.5", "1999-12-31 23:59:59.99", "2024-01-01 00:00:00.1"]
    statements = [TIMES.create(), "insert into times (id) values (0)"]
    statements.append("set sql_mode = 'TIME_ROUND_FRACTIONAL'; insert into times (id, year_) values (100, '0000')")
    for number, (time, date, stamp) in enumerate(zip(times, dates, stamps, strict=True), 1):
        values = [f"'{date[:10]}'", *(f"'{time}'",) * 7, *(f"'{date}'",) * 7, *(f"'{stamp}'",) * 5, "1901"]
        statements.append(f"insert into times values ({number}, {', '.join(values)})")
    statements.append("update times set date_ = null, time6 = '01:00:00.5' where id in (1, 2)")
    return statements


def text_statements() -> list[str]:
    plain = (
        "1, 'ab  ', 'é€', repeat('数', 255), 'tab\\t\\n\\'\\\\', point(1, 2), repeat('é', 2000), 'größe', '数据',"
        " 'x,z', 'é数', '123e4567-e89b-12d3-a456-426655440000', 'ｱ表', '2001:db8::1', '😀', '192.0.2.1', 'a',"
        " unhex('00ff'), 'Привет', '😀 text', unhex('0001'), 'ascii', repeat('x', 300),"
        " '{\"b\":1, \"a\": [1.0]}', '😀', 'é', 'n299', 's63'"
    )
    return [
        TEXTS.create(),
        f"insert into texts values ({plain})",
        "insert into texts (id) values (2)",
        "insert into texts values (3, '', '', '', '', null, '', '', '', '', '',"
        " '00000000-0000-0000-0000-000000000000', '', '::', '', '0.0.0.0', '', '', '', '', '', '', '',"
        " '{}', '', '', 1, '')",
        "insert into texts values (4, 'x', 'ÿ', 'y', ' ', linestring(point(0, 0), point(1, 1)), 'z', 'a', '', 'ü', '',"
        " 'ffffffff-ffff-ffff-ffff-ffffffffff00', '', '2001:db8::', 'x', '255.255.0.0', unhex('00610000'),"
        " unhex('6100'), '', ' ', unhex('00'), '', '', 'null', '', '', 257, 's0,s8,s63')",
        "insert into texts (id, uuid_, inet6_) values (5, '0190163d-8694-739b-aea5-966c26f8ad90', '::ffff:192.0.2.1')",
        "insert into texts (id, uuid_, inet6_) values (6, '6ccd780c-baba-1026-9564-5b8c656024db', 'fe80:1::2:0:0:0'),"
        " (7, null, '::2'), (8, null, '::1:0'), (9, null, '1:0:2:3:4:5:6:7'), (10, null, '1::2:0:0:3'),"
        " (11, null, '::ffff:0:0'), (12, null, '::1'), (13, null, '1:2:3:4:5:6:7:0'), (14, null, '::ffff:1:2:3')",
        "update texts set varchar_ = 'changed', enum_ = 'c,d', set_ = 'x,ü,z' where id = 1",
        "delete from texts where id = 2",
    ]


def compressed_statements() -> list[str]:
    return [
        COMPRESSED.create(),
        "insert into compressed values (1, repeat('é', 3000), repeat('b', 500), repeat('ä', 1000),"
        " repeat('d', 200), 'ž')",
        "insert into compressed values (2, 'short', 'b', 'c', 'd', 'e'), (3, '', '', '', '', ''),"
        " (4, null, null, null, null, null)",
        "set column_compression_zlib_wrap = 1; insert into compressed values (5, repeat('w', 1000), repeat('w', 1000),"
        " repeat('w', 1000), repeat('w', 300), 'w')",
        "update compressed set text_ = repeat('new ', 100) where id = 2",
    ]


def small_statements() -> list[str]:
    return [
        SMALL.create(),
        PREFIXED.create(),
        "insert into small values (1, 'one', repeat('long ', 100), 1), (2, 'two', null, 4294967295), (3, null, '', 0)",
        "insert into prefixed (name, n, hidden_) values ('abcdefgh', 1, 7), ('b', 2, null)",
        "begin; update small set a = 'uno' where id = 1; update small set c = 7 where id = 2; commit",
        "update small set id = 30 where id = 3",
        "update prefixed set hidden_ = 8 where n = 1",
        "delete from small where id = 2",
        "insert into small values " + ", ".join(f"({n}, 'many', 'some text', {n})" for n in range(100, 400)),
    ]


def transaction_statements() -> list[str]:
    return [
        SMALL.create(),
        "set gtid_domain_id = 3; insert into small values (1, 'domain 3', null, 1)",
        "set server_id = 9; insert into small values (2, 'server 9', null, 2)",
        "xa start 'gtrid', 'bqual', 5; insert into small values (3, 'xa', null, 3);"
        " xa end 'gtrid', 'bqual', 5; xa prepare 'gtrid', 'bqual', 5; xa commit 'gtrid', 'bqual', 5",
        "xa start 'gone'; insert into small values (4, 'rolled back', null, 4);"
        " xa end 'gone'; xa prepare 'gone'; xa rollback 'gone'",
        "xa start 'one'; insert into small values (6, 'one phase', null, 4); xa end 'one'; xa commit 'one' one phase",
        "begin; insert into small values (5, 'whole', null, 5); savepoint s;"
        " insert into small values (7, 'no', null, 7);"
        " rollback to s; commit",
        "create table plain_ (id int primary key) engine=Aria transactional=0; insert into plain_ values (1)",
        "alter table small add column d int; alter table small drop column d",
        "create table copied (primary key (id)) engine=InnoDB as select id, a from small",
        "truncate table plain_; drop table plain_",
    ]


COPIED = Table("copied", (ID, shown("a", "varchar(20)")))
FULL = "--binlog-row-metadata=FULL"
MINIMAL = "--binlog-row-metadata=MINIMAL"

SCENARIOS = (
    Scenario("numbers", (FULL,), (NUMBERS,), number_statements),
    Scenario("numbers_minimal", (MINIMAL, "--binlog-checksum=NONE"), (NUMBERS,), number_statements),
    Scenario("times", (MINIMAL,), (TIMES,), time_statements),
    Scenario("times_old", (MINIMAL, "--mysql56-temporal-format=OFF"), (TIMES,), time_statements),
    Scenario("texts", (FULL,), (TEXTS,), text_statements),
    Scenario("texts_minimal", (MINIMAL, "--binlog-checksum=NONE"), (TEXTS,), text_statements),
    Scenario("compressed_columns", (FULL,), (COMPRESSED,), compressed_statements),
    Scenario(
        "compressed_events",
        (FULL, "--log-bin-compress=ON", "--log-bin-compress-min-len=10"),
        (SMALL, PREFIXED),
        small_statements,
    ),
    Scenario("image_minimal", (FULL, "--binlog-row-image=MINIMAL"), (SMALL, PREFIXED), small_statements),
    Scenario("image_noblob", (FULL, "--binlog-row-image=NOBLOB"), (SMALL, PREFIXED), small_statements),
    Scenario("no_metadata", ("--binlog-row-metadata=NO_LOG",), (SMALL, PREFIXED), small_statements),
    Scenario("transactions", (FULL, "--gtid-domain-id=0"), (SMALL, COPIED), transaction_statements),
    Scenario(
        "statements",
        ("--binlog-format=STATEMENT",),
        (),
        lambda: [
            "create table s (id int auto_increment primary key, v double)",
            "set @x = 5; insert into s (v) values (@x), (rand())",
        ],
    ),
    Scenario(
        "encrypted",
        (
            "--plugin-load-add=file_key_management",
            "--file-key-management-filename=FOLDER/keys",
            "--encrypt-binlog=ON",
        ),
        (),
        lambda: ["create table s (id int primary key)"],
        {"keys": "1;000102030405060708090a0b0c0d0e0f\n"},
    ),
)
