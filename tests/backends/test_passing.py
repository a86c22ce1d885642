"""What stands in front of a backend hides nothing of it."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest

from app.api.metered import MeteredBackend
from app.api.metrics import Metrics
from app.backends.base import Backend
from app.backends.passing import PassingBackend
from app.messages import Message
from app.replicas.watch import WatchedBackend
from app.sampling import SamplingParams

ASKED = ([Message.of("user", "hello")], SamplingParams())


@pytest.mark.parametrize(
    "wrap",
    [PassingBackend, WatchedBackend, lambda backend: MeteredBackend(backend, Metrics(), "page")],
    ids=["passing", "watched", "metered"],
)
def test_a_wrapped_backend_tells_all_that_it_knows(wrap: Any) -> None:
    own = create_autospec(Backend, instance=True)
    wrapped = wrap(own)
    assert wrapped.measure(*ASKED) is own.measure.return_value
    assert wrapped.inspect(*ASKED) is own.inspect.return_value
    assert wrapped.capabilities is own.capabilities
    assert wrapped.settled is own.settled
    assert wrapped.status() is own.status.return_value
    for name in ("start", "close"):
        getattr(wrapped, name)()
        getattr(own, name).assert_called_once_with()
    own.measure.assert_called_once_with(*ASKED)
    own.inspect.assert_called_once_with(*ASKED)


def test_no_method_of_a_backend_is_left_out() -> None:
    methods = {name for name in vars(Backend) if not name.startswith("_")}
    assert methods <= set(vars(PassingBackend))
