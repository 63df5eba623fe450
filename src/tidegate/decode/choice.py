"""Which of the two decoders this process has, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tidegate.decode.binlog_gatherer import BinlogGatherer
from tidegate.decode.binlog_native import NativeBinlogGatherer
from tidegate.decode.binlog_plain import PlainBinlogGatherer
from tidegate.decode.blocks import Blocks, PlainBlocks
from tidegate.decode.gatherer import Gatherer
from tidegate.decode.native import NativeGatherer, Unusable, binding
from tidegate.decode.nativeblocks import NativeBlocks
from tidegate.decode.plain import PlainGatherer
from tidegate.errors import EnvironmentLacking, SettingInvalid

VARIABLE = "TIDEGATE_DECODE"


@dataclass(frozen=True, slots=True)
class Choice:
    native: bool
    reason: str

    def __str__(self) -> str:
        return f"{'compiled' if self.native else 'Python'} decoder: {self.reason}"


def which(asked: str = "") -> Choice:
    """What is asked for (by default by `TIDEGATE_DECODE`): `native` or `python`; without it, or with `auto`, the
    compiled one where it is built. Raises `SettingInvalid`, and `EnvironmentLacking` if the compiled one is asked for
    and cannot be had."""
    asked = asked or os.environ.get(VARIABLE) or "auto"
    if asked not in ("auto", "native", "python"):
        raise SettingInvalid(f"{VARIABLE} must be one of auto, native, python")
    if asked == "python":
        return Choice(False, f"{VARIABLE} asks for it")
    try:
        binding()
    except FileNotFoundError:
        lacking = "the compiled one was not built; `make native` builds it, with cargo"
    except Unusable as error:
        lacking = str(error)
    else:
        return Choice(True, f"{VARIABLE} asks for it" if asked == "native" else "it is built")
    if asked == "native":
        raise EnvironmentLacking(f"{VARIABLE}=native, but {lacking}")
    return Choice(False, lacking)


def open_gatherer() -> Gatherer:
    """Raises as `which`."""
    return NativeGatherer() if which().native else PlainGatherer()


def open_blocks() -> Blocks:
    """Raises as `which`."""
    return NativeBlocks() if which().native else PlainBlocks()


def open_binlog_gatherer() -> BinlogGatherer:
    """Raises as `which`."""
    return NativeBinlogGatherer() if which().native else PlainBinlogGatherer()
