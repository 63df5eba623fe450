"""Breaks one guard at a time in a copy of the tree and shows that the tests notice.

    python tools/saboteurs.py            all of them
    python tools/saboteurs.py no_stall   some
    python tools/saboteurs.py --list     what each breaks

Exit code 0: every one was caught; 1: some were not; 2: a place to break was not found, so this table lags the code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
DEADLINE_S = 300.0
POINTS = "tests/crash/test_points.py"
HANDOVER = "tests/pipeline/test_handover.py"
SIGN_ON = "tests/api/test_sign_on_attacks.py"


@dataclass(frozen=True, slots=True)
class Saboteur:
    """`old`, which stands once in `file`, becomes `new`; one of `tests` must fail."""

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


SABOTEURS = (
    Saboteur(
        "acknowledge_before_commit",
        "the source is told of changes the target does not hold yet",
        "engine/following.py",
        "        run.writer.gathered(batch)\n",
        "        run.writer.gathered(batch)\n        self._log.acknowledge(batch.position)\n",
        ("tests/pipeline/test_resume.py", POINTS),
    ),
    Saboteur(
        "position_in_a_transaction_of_its_own",
        "rows and position are two transactions",
        "targets/postgres/__init__.py",
        '            crossing("batch.staged")\n            state.advance(',
        '        with self._fenced() as cursor:\n            crossing("batch.staged")\n            state.advance(',
        (POINTS,),
    ),
    Saboteur(
        "left_out_is_null",
        "the readable decoder takes a large value that the log left out for NULL",
        "decode/rowscan.py",
        "            add(UNCHANGED)\n",
        "            add(None)\n",
        ("tests/decode/test_twins.py", "tests/decode/test_recorded.py"),
    ),
    Saboteur(
        "ends_where_it_likes",
        "the readable decoder believes a row that does not end with its message",
        "decode/rowscan.py",
        "    return found if at == end else None\n",
        "    return found\n",
        ("tests/decode/test_twins.py", "tests/decode/test_corpus.py"),
    ),
    Saboteur(
        "start_not_stored",
        "the copy begins before the target knows where the log does",
        "engine/opening.py",
        '    target.write([], Progress(str(position), entries))\n    crossing("run.planned")\n',
        '    crossing("run.planned")\n',
        ("tests/pipeline/test_resume.py", HANDOVER, POINTS),
    ),
    Saboteur(
        "no_filter",
        "a change that a chunk's snapshot contains is delivered again",
        "engine/handoff.py",
        "        if self.mark.seen.sees(transaction):\n            return Verdict.DROP\n",
        "",
        (HANDOVER,),
    ),
    Saboteur(
        "no_stall",
        "a change that a chunk being read does not contain is applied before the chunk's rows",
        "engine/handoff.py",
        "        return self.copying and any(",
        "        return False and any(",
        (HANDOVER, "tests/unit/test_handoff.py"),
    ),
    Saboteur(
        "no_gate",
        "a transaction that snapshots do not see yet may pass a chunk",
        "engine/following.py",
        "        if self._gate.sees(transaction):\n            return False\n",
        "        if transaction:\n            return False\n",
        ("tests/faults/test_source_transactions.py", HANDOVER),
    ),
    Saboteur(
        "no_fence_at_the_source",
        "transactions older than the slot may be in neither copy nor log",
        "sources/postgres.py",
        "        while int(self._one(",
        "        while False and int(self._one(",
        ("tests/contract/test_postgres_source.py",),
    ),
    Saboteur(
        "snapshots_forgotten",
        "after a restart a written chunk's snapshot is not known any more",
        "engine/state.py",
        '            held |= {"done": True} | _mark_text(mark)\n',
        '            held |= {"done": True, "seen": "1:1:", "log_end": "0/0"}\n',
        (HANDOVER, "tests/pipeline/test_resume.py"),
    ),
    Saboteur(
        "transactions_in_progress_ignored",
        "a snapshot is taken to see everything below its border",
        "connect/pgposition.py",
        "        return xid < self._xmax and xid not in self._in_progress\n",
        "        return xid < self._xmax\n",
        ("tests/unit/test_pgposition.py", HANDOVER),
    ),
    Saboteur(
        "ids_of_32_bits",
        "transaction ids are compared without their epoch",
        "connect/pgposition.py",
        "        xid = (self._xmax & ~0xFFFFFFFF) | transaction\n",
        "        xid = transaction\n",
        ("tests/unit/test_pgposition.py", "tests/faults/test_source_wraparound.py"),
    ),
    Saboteur(
        "texts_ordered_by_the_collation",
        "chunks are cut in the collation's order, keys compared by their bytes",
        "connect/pgchunk.py",
        '    return f"t.{quote(name)}" + (\' collate "C"\' if table.column(name).type.kind is Kind.TEXT else "")',
        '    return f"t.{quote(name)}"',
        ("tests/pipeline/test_tables.py::test_a_text_key_in_a_collation_of_its_own",),
    ),
    Saboteur(
        "no_lock_before_the_snapshot",
        "a TRUNCATE may come between a chunk's snapshot and its rows",
        "connect/pgchunk.py",
        '            connection.execute(f"lock table {self._relation()} in access share mode")\n',
        "",
        ("tests/contract/test_postgres_source.py", "tests/pipeline/test_truncate.py"),
    ),
    Saboteur(
        "truncate_of_the_whole_table",
        "a TRUNCATE clears chunks that already contain it",
        "engine/handoff.py",
        "        return [c for c in copy.chunks if c.verdict(part.transaction, position) is Verdict.DELIVER]\n",
        "        return None\n",
        ("tests/unit/test_handoff.py", "tests/pipeline/test_truncate.py"),
    ),
    Saboteur(
        "no_patches",
        "a row that moved into a written range is not read by itself",
        "engine/following.py",
        "            elif new_side and not old_side and _lacks_values(change):\n",
        "            elif False:\n",
        ("tests/pipeline/test_toast.py",),
    ),
    Saboteur(
        "untouched_becomes_null",
        "a large value that an update left alone is written as NULL",
        "decode/pgoutput.py",
        "            cells.append(UNCHANGED)\n",
        "            cells.append(None)\n",
        ("tests/unit/test_pgoutput_decode.py", "tests/pipeline/test_toast.py"),
    ),
    Saboteur(
        "shapes_of_today",
        "changes are read with the columns the table had first",
        "connect/pgassembly.py",
        "        if self._stand.tables.get(relation.oid) == table:\n",
        "        if relation.oid in self._stand.tables:\n",
        ("tests/contract/test_postgres_source.py", "tests/pipeline/test_schema_change.py"),
    ),
    Saboteur(
        "no_fence_at_the_target",
        "an older worker may still write",
        "targets/postgres/state.py",
        "    if row[0] != epoch:\n",
        "    if False:\n",
        ("tests/contract/test_postgres_target.py",),
    ),
    Saboteur(
        "advance_inside_a_transaction",
        "a part of a large transaction counts as the whole",
        "connect/pgassembly.py",
        "        return self._cut(begin, False, PgPosition(self._stand.reached, begin.commit_lsn, self._count))\n",
        "        return self._cut(begin, False, PgPosition(begin.commit_lsn + 1))\n",
        ("tests/contract/test_postgres_source.py", "tests/pipeline/test_resume.py"),
    ),
    Saboteur(
        "rolled_back_and_delivered",
        "what a subtransaction did arrives although it was rolled back",
        "connect/pgstaging.py",
        "            staged.aborted.append(abort.subxid)\n",
        "            pass\n",
        ("tests/unit/test_pgstaging.py", "tests/pipeline/test_streamed.py"),
    ),
    Saboteur(
        "a_block_missing",
        "a transaction arrives without the blocks that came before the first one read",
        "connect/pgstaging.py",
        "        if self._open is not None or start.first is (start.xid in self._staged):\n",
        "        if self._open is not None:\n",
        ("tests/unit/test_pgstaging.py",),
    ),
    Saboteur(
        "put_back_and_believed",
        "a table that was out of the publication for a while is followed as if nothing had been written meanwhile",
        "connect/pgpublication.py",
        "if member.whole and noted.knows(member)",
        "if member.whole",
        ("tests/faults/test_source_changed.py",),
    ),
    Saboteur(
        "cut_behind_a_truncate",
        "a batch in front of a TRUNCATE claims the TRUNCATE too",
        "connect/pgbatches.py",
        "self.cut(before=len(truncate.oids))",
        "self.cut()",
        ("tests/unit/test_pglanes.py",),
    ),
    Saboteur(
        "parts_overtake_a_batch",
        "a transaction of MariaDB or MySQL that is more than rows comes before the batch in front of it",
        "connect/mylanes.py",
        "        elif isinstance(body, (MariadbBegin, MysqlBegin)):\n            self._cut()\n",
        "",
        ("tests/unit/test_mylanes.py",),
    ),
    Saboteur(
        "batches_while_tables_join",
        "a table joins while batches that passed it over are still on their way",
        "engine/following.py",
        "        return self._settled and self._wanted is None\n",
        "        return True\n",
        ("tests/unit/test_following.py",),
    ),
    Saboteur(
        "blocks_without_a_look_at_the_types",
        "blocks of bytes go into columns that were changed since the copy began",
        "targets/postgres/apply.py",
        "if found is None or not same_bytes(table, found):",
        "if found is None:",
        ("tests/contract/test_postgres_target.py",),
    ),
    Saboteur(
        "inserts_never_in_the_way",
        "a row that is at the target already ends the run",
        "targets/postgres/__init__.py",
        "            if not (_is_crossed(error) and self._opened().cross(steps)):\n",
        "            if True:\n",
        ("tests/contract/test_postgres_target.py",),
    ),
    Saboteur(
        "refused_values_swallowed",
        "a batch the target refuses is left out",
        "engine/writer.py",
        "        self._target.write(steps, Progress(str(position), entries))\n",
        "        try:\n            self._target.write(steps, Progress(str(position), entries))\n"
        "        except Exception:\n            self._target.write([], Progress(str(position), entries))\n",
        ("tests/faults/test_target_refusing.py",),
    ),
    Saboteur(
        "leases_by_the_wall_clock",
        "a jump of the clock ends leases",
        "server/keeper.py",
        "        ticks = self._clock.ticks()\n        return ticks -",
        "        ticks = self._clock.now()\n        return ticks -",
        ("tests/lifecycle/test_workers.py",),
    ),
    Saboteur(
        "unknown_commit_not_read_back",
        "a worker goes on from its snapshot instead of from what the target holds",
        "engine/opening.py",
        "    position = stored_position(source, stored)\n    check_forward",
        "    position = source.parse_position(snapshot_position or stored.position)\n    check_forward",
        ("tests/pipeline/test_resume.py", POINTS),
    ),
    Saboteur(
        "moves_without_compare_and_set",
        "two commands on one version both win",
        "store/moves.py",
        "task.c.id == before.id, task.c.version == before.version, task.c.state == before.state.value",
        "task.c.id == before.id",
        ("tests/lifecycle/test_race.py", "tests/lifecycle/test_store.py", "tests/lifecycle/test_commands.py"),
    ),
    Saboteur(
        "any_signature",
        "a request is taken whatever its signature",
        "server/wedata/signature.py",
        "    if not (dated and said.service == SERVICE and signed):\n",
        "    if not (dated and said.service == SERVICE):\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "any_service",
        "a signature for another service is taken",
        "server/wedata/signature.py",
        "    if not (dated and said.service == SERVICE and signed):\n",
        "    if not (dated and signed):\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "any_day",
        "a signature for another day is taken",
        "server/wedata/signature.py",
        "    if not (dated and said.service == SERVICE and signed):\n",
        "    if not (said.service == SERVICE and signed):\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "no_expiry",
        "a signed request is good for ever",
        "server/wedata/signature.py",
        " or abs(now - int(timestamp)) > WINDOW_S:\n",
        ":\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "host_unsigned",
        "a signature need not cover host and content type",
        "server/wedata/signature.py",
        "    if not MUST_SIGN.issubset(named) or len(set(named)) != len(named):\n",
        "    if len(set(named)) != len(named):\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "header_twice",
        "of a header given twice the first is taken",
        "server/wedata/signature.py",
        "        if len(found) > 1:\n",
        "        if len(found) > 9:\n",
        ("tests/unit/test_wedata_signature.py",),
    ),
    Saboteur(
        "setting_dropped",
        "a setting without a place in the document is dropped",
        "server/wedata/definition.py",
        "    for name in names:\n        _demand(not getattr(structure, name)",
        "    for name in ():\n        _demand(not getattr(structure, name)",
        ("tests/unit/test_wedata_definition.py",),
    ),
    Saboteur(
        "routes_unguarded",
        "the permission table is asked for no route",
        "server/app.py",
        "    guarded = [Depends(permitted)]\n",
        "    guarded: list[Any] = []\n",
        ("tests/api/test_permissions.py",),
    ),
    Saboteur(
        "forbidden_before_hidden",
        "what may not be seen is refused as forbidden, which tells that it is there",
        "model/principal.py",
        "        if project is not None:\n            self.demand_seen(project)\n",
        "",
        ("tests/api/test_permissions.py",),
    ),
    Saboteur(
        "limit_not_looked_at",
        "a token is good for more than it is limited to",
        "model/principal.py",
        "        if not self.limit.lets(permission):\n            return False\n",
        "",
        ("tests/unit/test_principal.py",),
    ),
    Saboteur(
        "actions_unguarded",
        "actions of the WeData API need no permission",
        "server/wedata/door.py",
        "    call.demand(ACTIONS[action.name], asked)\n",
        "",
        ("tests/api/test_permissions.py",),
    ),
    Saboteur(
        "lists_show_everything",
        "lists show tasks of projects that are not there for whoever asks",
        "store/tasks.py",
        "    if seen is not None:\n        query = query.where(project.c.name.in_(seen))\n",
        "",
        ("tests/api/test_accounts.py",),
    ),
    Saboteur(
        "chain_without_the_one_before",
        "an entry's mark does not hold the one before",
        "store/audit.py",
        '["entry", number, *said, before]',
        '["entry", *said]',
        ("tests/lifecycle/test_audit.py",),
    ),
    Saboteur(
        "head_written_over",
        "what was noted of the audit log outside the store follows a log that was put back",
        "server/audit.py",
        "        if agrees:\n",
        "        if True:\n",
        ("tests/lifecycle/test_audit_head.py",),
    ),
    Saboteur(
        "links_not_followed",
        "a link leads a data source out of the folders that are allowed",
        "model/folders.py",
        "real, kept = os.path.realpath(path),",
        "real, kept = os.path.abspath(path),",
        ("tests/api/test_files.py",),
    ),
    Saboteur(
        "tokens_outlive_disabling",
        "the tokens of a disabled account are good when it is enabled again",
        "server/accounts.py",
        "                accounts.end_credentials(tx, row)\n            changes = {field",
        "            changes = {field",
        ("tests/api/test_accounts.py",),
    ),
    Saboteur(
        "wrong_passwords_uncounted",
        "a password may be guessed as fast as the server compares",
        "server/accounts.py",
        "            raise LogInRefused",
        "            self._tries.undo(*of)\n            raise LogInRefused",
        ("tests/api/test_accounts.py",),
    ),
    Saboteur(
        "neighbours_task",
        "a task of another project is found by its id",
        "server/wedata/call.py",
        "        if self.control.task_view(number).project != project:\n",
        "        if False:\n",
        ("tests/api/test_wedata.py",),
    ),
    Saboteur(
        "somebody_elses_log_in",
        "an answer of the log-in provider is taken by a browser that did not ask for it",
        "server/oidc.py",
        '        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):\n',
        "        if False:\n",
        (SIGN_ON,),
    ),
    Saboteur(
        "token_for_another",
        "an ID token that was made for another program is taken",
        "server/oidc.py",
        '        options["aud"] = {"essential": True, "value": config.client_id}\n',
        "",
        (SIGN_ON,),
    ),
    Saboteur(
        "provider_names_any_host",
        "the server asks whatever host the log-in provider names",
        "server/oidc.py",
        "        return (own or named) and place.username is None and place.password is None\n",
        "        return True\n",
        (SIGN_ON,),
    ),
    Saboteur(
        "project_from_anywhere",
        "a project is there for who comes from a network it may not be reached from",
        "model/principal.py",
        "                if self.reach is not None and project not in self.reach:\n                    return False\n",
        "",
        ("tests/api/test_allow_lists.py",),
    ),
)


def applied(saboteur: Saboteur, copy: Path) -> bool:
    """Whether the place was found."""
    path = copy / "src" / "tidegate" / saboteur.file
    text = path.read_text()
    found = text.count(saboteur.old)
    if found != 1:
        return False
    path.write_text(text.replace(saboteur.old, saboteur.new))
    return True


def copied(copy: Path) -> Path:
    """What the tests need, in a folder of its own."""
    copy.mkdir()
    for part in ("src", "tests", "examples", "docs"):
        shutil.copytree(HOME / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md"):
        shutil.copy(HOME / part, copy / part)
    return copy


def tested(copy: Path, tests: Iterable[str]) -> list[str]:
    """What pytest says of the first failure there. Raises `subprocess.TimeoutExpired`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    run = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed or ([] if run.returncode == 0 else [f"ERROR pytest ended with {run.returncode}"])


def strike(saboteur: Saboteur, folder: Path) -> str:
    """`caught`, `escaped` or `lags`, with what is to be said about it."""
    copy = copied(folder / saboteur.name)
    try:
        if not applied(saboteur, copy):
            return f"lags: {saboteur.file} has no single place like\n{saboteur.old}"
        began = time.monotonic()
        failed = tested(copy, saboteur.tests)
        took_s = time.monotonic() - began
        if not failed:
            return f"escaped: every test passed ({took_s:.0f} s)"
        if failed[0].startswith("ERROR"):
            return f"lags: what is left does not even begin: {failed[0]}"
        # What also fails without it has noticed something else.
        failing = failed[0].removeprefix("FAILED ").partition(" - ")[0]
        if tested(copied(folder / f"{saboteur.name}-unbroken"), [failing]):
            return f"escaped: {failing} also fails without it"
        return f"caught in {took_s:.0f} s by {failing}"
    except subprocess.TimeoutExpired:
        return f"escaped: nothing failed within {DEADLINE_S:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    known = {saboteur.name: saboteur for saboteur in SABOTEURS}
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"there is no saboteur {', '.join(unknown)}")
    chosen = [known[name] for name in given.names] or list(SABOTEURS)
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tidegate-saboteurs-") as folder:
        for saboteur in chosen:
            if given.list:
                print(f"{saboteur.name}: {saboteur.breaks}")
                continue
            said[saboteur.name] = strike(saboteur, Path(folder))
            print(f"{saboteur.name} ({saboteur.breaks}): {said[saboteur.name]}", flush=True)
    words = [outcome.partition(":")[0].partition(" ")[0] for outcome in said.values()]
    if not given.list:
        print(f"{words.count('caught')} of {len(words)} caught")
    return 2 if "lags" in words else 1 if "escaped" in words else 0


if __name__ == "__main__":
    sys.exit(main())
