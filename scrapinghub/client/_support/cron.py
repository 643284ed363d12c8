"""Times of periodic jobs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

FIELDS = (
    ('minute', range(60)),
    ('hour', range(24)),
    ('day of month', range(1, 32)),
    ('month', range(1, 13)),
    ('day of week', range(7)),
)
SEARCHED_DAYS = 8 * 366


class Cron:
    """The times that a cron text selects, in UTC.

    Args:
        text: ``minute hour day-of-month month day-of-week``; each field is one number or ``*``.

    Attributes:
        text: The same with single spaces.

    Raises:
        ValueError: The service refuses the text.
    """

    def __init__(self, text: Any) -> None:
        fields = text.split() if isinstance(text, str) else []
        if len(fields) != len(FIELDS):
            raise ValueError(
                f'cron should have five fields, "minute hour day-of-month month day-of-week", got {text!r}'
            )
        self.text = ' '.join(fields)
        self._numbers = [
            _parse(field, name, numbers, text) for field, (name, numbers) in zip(fields, FIELDS, strict=True)
        ]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first selected time after a moment; None if there is none within 8 years."""
        minute, hour, *_ = self._numbers
        start = moment.astimezone(timezone.utc)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        hours = FIELDS[1][1] if hour is None else (hour,)
        minutes = FIELDS[0][1] if minute is None else (minute,)
        for number in range(SEARCHED_DAYS + 1):
            day = midnight + timedelta(days=number)
            if not self._selects_day(day):
                continue
            times = (day.replace(hour=hour, minute=minute) for hour in hours for minute in minutes)
            found = next((time for time in times if time > start), None)
            if found is not None:
                return found
        return None

    def _selects_day(self, day: datetime) -> bool:
        _, _, day_of_month, month, day_of_week = self._numbers
        if month not in (None, day.month):
            return False
        in_month = day_of_month == day.day
        in_week = day_of_week == day.isoweekday() % 7
        if day_of_month is None or day_of_week is None:
            return (day_of_month is None or in_month) and (day_of_week is None or in_week)
        return in_month or in_week


def _parse(field: str, name: str, numbers: range, text: str) -> int | None:
    """Return the number of a field; None for ``*``."""
    if field == '*':
        return None
    if not (field.isascii() and field.isdigit() and int(field) in numbers):
        raise ValueError(
            f'cron {text!r}: the {name} should be one number from {numbers[0]} to {numbers[-1]} or *, got {field!r}; '
            'the service refuses ranges, steps and lists'
        )
    return int(field)
