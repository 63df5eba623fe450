"""The source is read while the target writes: at every chunk's write another one has its snapshot already."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.pairs import Pair
from tidegate.connect.source import ChunkReader
from tidegate.connect.target import Append, Progress, Step
from tidegate.engine.copy import Copier, Stage
from tidegate.engine.handoff import Chunk, TableCopy
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import until


@pytest.mark.usefixtures("small_chunks")
def test_a_slow_target_never_waits_for_the_source(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    copiers: set[Copier] = set()
    ahead: list[int] = []
    begin, write = Copier.begin, PostgresTarget.write

    def noted(self: Copier, copy: TableCopy, chunk: Chunk, reader: ChunkReader, form: str) -> None:
        copiers.add(self)
        begin(self, copy, chunk, reader, form)

    def slow(self: PostgresTarget, steps: Sequence[Step], progress: Progress) -> None:
        """Takes until all that can be done meanwhile is done."""
        if any(isinstance(step, Append) for step in steps):
            reads = [read for copier in copiers for read in copier.reads]
            ahead.append(sum(read.stage in (Stage.READING, Stage.READY) for read in reads) - 1)
            until(lambda: all(read.stage in (Stage.LOCKED, Stage.READY) for read in reads), "the other chunks", 30)
        write(self, steps, progress)

    monkeypatch.setattr(Copier, "begin", noted)
    monkeypatch.setattr(PostgresTarget, "write", slow)
    pair.source.execute("create table many (k int primary key, v text)")
    pair.source.execute("insert into many select n, repeat('x', 20) from generate_series(1, 100) n; analyze many")
    pair.rig(["public.many"]).start().opens().copied().reaches(lambda: pair.equal("many"))
    assert len(ahead) > 5
    assert all(ahead[:-1]), ahead
