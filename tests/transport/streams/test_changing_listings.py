"""Listings that change while they are read: a row that is there all the time is delivered once, or an error raised."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrapinghub.transport.streams.cursor import Mismatch, Pairs
from scrapinghub.transport.streams.job_pages import MAX_UNKNOWN, JobPages
from support.changing_listing import CHECKS, Listing, read


@pytest.mark.parametrize('name', CHECKS)
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32))
def test_what_is_there_all_the_time_is_delivered_once(name: str, seed: int) -> None:
    CHECKS[name](Random(seed))


def test_a_listing_that_changes_too_fast_is_an_error() -> None:
    class Flood(Listing):
        def respond(self, params: Pairs) -> list[dict[str, object]]:
            self._rows[:0] = range(self._born + 2000, self._born, -1)
            self._born += 2000
            return super().respond(params)

    random = Random(1)
    listing = Flood(random, 5000, 1000, lambda number: {'key': f'1/1/{number}'})
    cursor = JobPages([], None, everything=True)
    with pytest.raises(Mismatch, match=f'{MAX_UNKNOWN} pages in a row'):
        read(cursor, listing, random, changes=0, broken=0)
