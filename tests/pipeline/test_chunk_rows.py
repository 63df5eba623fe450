"""How much of a table is read at once can be said in the data source."""

from __future__ import annotations

import pytest

from pipeline.pairs import Pair


@pytest.mark.parametrize(("chunk_rows", "chunks"), [(0, 1), (100, 6), (250, 3), (10_000, 1)])
def test_a_table_is_read_in_chunks_of_the_rows_asked_for(pair: Pair, chunk_rows: int, chunks: int) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 550) i")
    pair.source_config = pair.source_config.model_copy(update={"chunk_rows": chunk_rows})
    rig = pair.rig(["public.a"]).start().opens().copied()
    assert rig.counters()["chunks_total"] == chunks
    rig.reaches(lambda: pair.equal("a"))
