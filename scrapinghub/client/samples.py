"""The runtime statistics that a job uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time
from scrapinghub.client._support.record_families import Family
from scrapinghub.client._support.records import Filters, Names, Records, RelativePath, RequestsParams
from scrapinghub.export.progress import Progress

__all__ = ['Samples']

Sample = list[Any]


class Samples(Records[Sample]):
    """Runtime statistics of a job, lists of numbers that begin with a time: ``job.samples``.

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> number = job.samples.write([1482233733870, 0, 0, 5])
        >>> job.samples.flush()
        >>> job.samples.list()
        [[1482233733870, 0, 0, 5]]
    """

    _family = Family(
        'samples',
        has_keys=False,
        has_stats=False,
        is_eager=True,
        record_type='list',
        content_encoding='identity',
    )

    def iter(
        self,
        _key: RelativePath = None,
        count: int | None = None,
        *,
        requests_params: RequestsParams = None,
        start: int | str | None = None,
        startafter: str | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        progress: Progress = False,
        **params: Any,
    ) -> Iterator[Sample]:
        """Iterate over the samples in the order in which they were written.

        Args:
            _key: Path below the job to read instead of all samples: the number of one.
            count: Maximum number of samples.
            requests_params: Options of ``requests`` for this call: ``timeout`` (seconds), ``headers``,
                ``proxies``, ...
            start: Number or key of the first sample.
            startafter: Key of the sample before the first one.
            filter: Passed on to the service.
            meta: Passed on to the service.
            startts: Only samples stored at or after this time: milliseconds since the epoch, a ``datetime`` with a
                time zone, or a ``timedelta`` (that long ago).
            endts: Only samples stored before this time.
            progress: Whether to show a progress bar (needs the extra ``progress``), or a function that is called with
                ``(done, total)``; ``total`` is None.
            **params: Further parameters of the service.

        Yields:
            A list of numbers.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed. Iterating again continues.

        Example:
            >>> list(job.samples.iter(count=1))
            [[1482233733870, 0, 0, 5]]
        """
        named = {
            'start': start,
            'startafter': startafter,
            'filter': filter,
            'meta': meta,
            'startts': startts,
            'endts': endts,
        }
        return self._read(_key, count, requests_params, named, params, progress)

    list = listed(iter)
