"""The clock of the sandbox, without a server."""

from __future__ import annotations

from itertools import count

import pytest

from scrapinghub.sandbox.clock import LAST, Clock


def test_a_frozen_clock_shows_the_given_time_however_fast_its_source_runs() -> None:
    clock = Clock(count(5).__next__)
    clock.freeze(1_600_000_000_000)
    assert [clock(), clock()] == [1_600_000_000_000] * 2


@pytest.mark.parametrize('now', [-1, LAST + 1])
def test_a_time_out_of_range_does_not_freeze_the_clock(now: int) -> None:
    clock = Clock(count(5).__next__)
    with pytest.raises(ValueError, match=str(now)):
        clock.freeze(now)
    assert not clock.frozen
