"""Both gatherers; the compiled one is passed over, saying so, where it is not built."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.decode.gatherer import Gatherer
from tidegate.decode.native import NativeGatherer, Unusable, binding
from tidegate.decode.plain import PlainGatherer

Open = Callable[..., Gatherer]


def _lacking() -> str:
    try:
        binding()
    except (FileNotFoundError, Unusable) as error:
        return f"no compiled decoder (`make native`): {type(error).__name__}"
    return ""


LACKING = _lacking()


@pytest.fixture(params=["python", "native"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens gatherers of one kind."""
    if request.param == "python":
        return PlainGatherer
    if LACKING:
        pytest.skip(LACKING)
    return NativeGatherer


@pytest.fixture
def twins() -> tuple[Open, Open]:
    if LACKING:
        pytest.skip(LACKING)
    return PlainGatherer, NativeGatherer
