"""The compiled gatherer's borders: memory that outlives it and is given back, and how it is chosen."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

import pytest

from decode.conftest import LACKING, Open
from decode.streams import LOG, NET, ROOMY, frames, transaction
from tidegate.decode import choice, native
from tidegate.decode.gatherer import Limits
from tidegate.decode.native import NativeGatherer
from tidegate.decode.plain import PlainGatherer
from tidegate.errors import EnvironmentLacking, SettingInvalid, TidegateError
from unit import pgwire

built = pytest.mark.skipif(bool(LACKING), reason=LACKING)


def loaded(opened: Open, count: int) -> NativeGatherer:
    gatherer = opened()
    for table in (NET, LOG):
        gatherer.shape(table.oid, table.names, table.key, table.mode)
    changes = [pgwire.insert(table.oid, [str(n), "v", "x" * 1000]) for table in (NET, LOG) for n in range(count)]
    gatherer.feed(frames(*transaction(*changes)), 0, ROOMY)
    assert isinstance(gatherer, NativeGatherer)
    return gatherer


@built
def test_batches_outlive_the_gatherer_and_one_another() -> None:
    gatherer = loaded(NativeGatherer, 100)
    puts, rows = gatherer.take(NET.oid).inserts, gatherer.take(LOG.oid).rows  # type: ignore[union-attr]
    column = puts.column(2)
    del gatherer, puts
    gc.collect()
    column.validate(full=True)
    rows.validate(full=True)
    assert column.to_pylist() == rows.column(2).to_pylist() == ["x" * 1000] * 100


@built
def test_memory_is_given_back() -> None:
    """A hundred megabytes go through, by way of batches that are read, dropped unread and never taken."""
    for _ in range(5):
        loaded(NativeGatherer, 500).take(LOG.oid)
    before_bytes = resident_bytes()
    for number in range(100):
        gatherer = loaded(NativeGatherer, 500)
        if number % 2:
            gatherer.take(NET.oid)
        gatherer.clear() if number % 3 else gatherer.take(LOG.oid)
    gc.collect()
    assert resident_bytes() - before_bytes < 30 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@built
def test_keys_whose_hashes_are_the_same_are_told_apart() -> None:
    """Of so many keys some have the same hash of 32 bits, whatever its secrets: ten pairs are to be expected."""
    count = 300_000
    gatherer = NativeGatherer()
    gatherer.shape(NET.oid, NET.names, NET.key, NET.mode)
    changes = (pgwire.insert(NET.oid, [str(n), None, None]) for n in range(count))
    gatherer.feed(frames(*transaction(*changes)), 0, Limits(changes_max=count, split_changes_max=count))
    assert gatherer.take(NET.oid).inserts.num_rows == count  # type: ignore[union-attr]


@built
def test_batches_nobody_imported_are_given_back_with_the_next() -> None:
    gatherer = loaded(NativeGatherer, 3)
    first = ctypes.c_void_p()
    totals = ctypes.create_string_buffer(256)
    for _ in range(3):
        assert native.binding().tg_take(gatherer._handle, LOG.oid, ctypes.byref(first), totals) == 2
    assert gatherer.take(NET.oid).inserts.num_rows == 3  # type: ignore[union-attr]


@built
def test_an_answer_of_failure_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    gatherer = NativeGatherer()
    gatherer._handle = None
    for call in (gatherer.clear, gatherer.held, lambda: gatherer.feed(b"", 0, ROOMY), lambda: gatherer.resume(1)):
        with pytest.raises(TidegateError, match="TIDEGATE_DECODE=python"):
            call()


@built
def test_the_compiled_one_is_chosen_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert str(choice.which()) == "compiled decoder: it is built"
    assert isinstance(choice.open_gatherer(), NativeGatherer)


def test_the_python_one_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.VARIABLE, "python")
    assert str(choice.which()) == "Python decoder: TIDEGATE_DECODE asks for it"
    assert isinstance(choice.open_gatherer(), PlainGatherer)


@pytest.fixture
def library_at(monkeypatch: pytest.MonkeyPatch) -> object:
    """Puts another library in place of the one that is built."""

    def put(path: Path) -> None:
        monkeypatch.setattr(native, "LIBRARY", path)
        native.binding.cache_clear()

    yield put
    native.binding.cache_clear()


@pytest.mark.parametrize(
    ("content", "why"), [(None, "was not built"), (b"not a library", "_native.so cannot be loaded")]
)
def test_without_a_library_that_works_the_python_one_is_taken_but_not_in_place_of_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library_at: object, content: bytes | None, why: str
) -> None:
    path = tmp_path / "_native.so"
    if content is not None:
        path.write_bytes(content)
    library_at(path)  # type: ignore[operator]
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert why in choice.which().reason
    assert isinstance(choice.open_gatherer(), PlainGatherer)
    monkeypatch.setenv(choice.VARIABLE, "native")
    with pytest.raises(EnvironmentLacking, match=why):
        choice.open_gatherer()


@built
def test_a_library_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch, library_at: object) -> None:
    library_at(native.LIBRARY)  # type: ignore[operator]
    monkeypatch.setattr(native, "INTERFACE", native.INTERFACE + 1)
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert "another version" in choice.which().reason


def test_a_choice_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.VARIABLE, "fast")
    with pytest.raises(SettingInvalid, match="native, python"):
        choice.which()
