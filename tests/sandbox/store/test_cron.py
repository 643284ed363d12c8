"""Cron expressions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox.store.cron import Cron
from scrapinghub.sandbox.store.validation import InvalidValue

START = datetime(2024, 2, 28, 22, 30, tzinfo=timezone.utc)


def minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def times(text: str, days: int) -> list[str]:
    until = START + timedelta(days=days)
    found = Cron.parse(text).minutes(minute(START), minute(until))
    return [f'{datetime.fromtimestamp(one * 60, timezone.utc):%m-%d %H:%M}' for one in found]


@pytest.mark.parametrize(
    ('text', 'days', 'expected'),
    [
        ('0 9 * * 1', 14, ['03-04 09:00', '03-11 09:00']),
        ('30 22 * * *', 2, ['02-29 22:30', '03-01 22:30']),
        ('31 22 * * *', 1, ['02-28 22:31']),
        ('0 0 29 2 *', 400, ['02-29 00:00']),
        ('0 0 31 2 *', 4000, []),
        ('5 * 1 3 *', 2, [f'03-01 {hour:02}:05' for hour in range(23)]),
        ('0 12 1 * 0', 8, ['03-01 12:00', '03-03 12:00']),
        ('  59   23 *\t* 0 ', 5, ['03-03 23:59']),
    ],
)
def test_matching_minutes(text: str, days: int, expected: list[str]) -> None:
    assert times(text, days) == expected


def test_every_minute_matches_five_stars() -> None:
    assert list(Cron.parse('* * * * *').minutes(100, 3000)) == list(range(101, 3001))
    assert list(Cron.parse('* * * * *').minutes(100, 100)) == []


@pytest.mark.parametrize(
    'text',
    [
        '', '*', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *',
        '* * * 13 *', '* * * * 7', '1-5 * * * *', '*/5 * * * *', '1,2 * * * *', '-1 * * * *', 'x * * * *',
        '1.0 * * * *', '000 * * * *', '* * * JAN *', '* * * * MON', '@daily', '٣ * * * *',
    ],
)  # fmt: skip
def test_invalid_expressions(text: str) -> None:
    with pytest.raises(InvalidValue):
        Cron.parse(text)


def fields(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(low, high)


expressions = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 6))


@given(expressions, st.integers(0, 10**7), st.integers(0, 9000))
def test_minutes_agree_with_a_check_of_every_minute(
    expression: tuple[int | None, int | None, int | None, int | None, int | None], after: int, length: int
) -> None:
    minute, hour, day, month, weekday = expression

    def matches(one: int) -> bool:
        at = datetime.fromtimestamp(one * 60, timezone.utc)
        days = {(day, at.day), (weekday, at.isoweekday() % 7)}
        given = [wanted == actual for wanted, actual in days if wanted is not None]
        on_day = not given or any(given)
        pairs = ((minute, at.minute), (hour, at.hour), (month, at.month))
        return on_day and all(wanted in (None, actual) for wanted, actual in pairs)

    found = list(Cron(*expression).minutes(after, after + length))
    assert found == [one for one in range(after + 1, after + length + 1) if matches(one)]
