"""Cron expressions of periodic jobs: five fields, each one number or ``*``, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from scrapinghub.sandbox.store.validation import InvalidValue

MINUTES_PER_DAY = 24 * 60
EPOCH = date(1970, 1, 1)
#: The fields in their order, with their smallest and largest number. Sunday is 0.
FIELDS = (('minute', 0, 59), ('hour', 0, 23), ('day of month', 1, 31), ('month', 1, 12), ('day of week', 0, 6))


@dataclass(frozen=True)
class Cron:
    """A parsed cron expression; ``None`` matches any value.

    Example:
        >>> Cron.parse('0 9 * * 1')
        Cron(minute=0, hour=9, day=None, month=None, weekday=1)
    """

    minute: int | None
    hour: int | None
    day: int | None
    month: int | None
    weekday: int | None

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Parse a cron expression.

        Raises:
            InvalidValue: It does not have five fields, or a field is not ``*`` or a number in its range.
        """
        fields = text.split()
        if len(fields) != len(FIELDS):
            raise InvalidValue('Expected 5 space-separated fields')
        return cls(*(_number(given, *field) for given, field in zip(fields, FIELDS, strict=True)))

    def minutes(self, after: int, until: int) -> Iterator[int]:
        """Yield the matching minutes after ``after``, up to ``until``, as minutes since the epoch."""
        for day in range((after + 1) // MINUTES_PER_DAY, until // MINUTES_PER_DAY + 1):
            if not self._matches_day(EPOCH + timedelta(days=day)):
                continue
            for hour in range(24) if self.hour is None else (self.hour,):
                for minute in range(60) if self.minute is None else (self.minute,):
                    found = day * MINUTES_PER_DAY + hour * 60 + minute
                    if after < found <= until:
                        yield found

    def _matches_day(self, day: date) -> bool:
        if self.month is not None and day.month != self.month:
            return False
        matches_day, matches_weekday = day.day == self.day, day.isoweekday() % 7 == self.weekday
        if self.day is not None and self.weekday is not None:
            # As in cron: when both are given, either may match.
            return matches_day or matches_weekday
        return (self.day is None or matches_day) and (self.weekday is None or matches_weekday)


def _number(given: str, name: str, low: int, high: int) -> int | None:
    if given == '*':
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= 2 and low <= int(given) <= high):
        raise InvalidValue(f'{name} must be * or one number from {low} to {high}, got {given[:32]!r}')
    return int(given)
