"""The runtime statistics that a job uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time, pairs
from scrapinghub.client._support.records import Below, Filters, Names, Records, RequestsParams
from scrapinghub.transport.streams.cursor import Plan
from scrapinghub.transport.streams.cursors import ByPosition
from scrapinghub.transport.uploads.uploader import WriterOptions

__all__ = ['Samples']

Sample = list[Any]


class Samples(Records[Sample]):
    """Runtime statistics of a job, arrays of numbers of which the first one is a time: ``job.samples``.

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

    _family = 'samples'
    _writing = WriterOptions(content_encoding='identity')

    def iter(
        self,
        _key: Below = None,
        count: int | None = None,
        *,
        requests_params: RequestsParams = None,
        start: int | str | None = None,
        startafter: str | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        **params: Any,
    ) -> Iterator[Sample]:
        """Iterate over the samples of this job, in the order in which they were written.

        Args:
            _key: What to read below the job instead of all samples: the number of one.
            count: Stop after this many samples.
            requests_params: Options of the HTTP library for this call: ``timeout`` (seconds), ``headers``, ``proxies``
                and the like.
            start: Begin at this sample: its number or its key.
            startafter: Begin after the sample with this key.
            filter: Passed on to the service.
            meta: Passed on to the service.
            startts: Only samples stored at or after this time, in milliseconds since the epoch.
            endts: Only samples stored before this time, in milliseconds since the epoch.
            **params: Further parameters of the service.

        Yields:
            A list of numbers.

        Raises:
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

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
        return self._read(_key, count, requests_params, named, params)

    list = listed(iter)

    def _plan(self, values: dict[str, Any], count: int | None, segments: tuple[str, ...]) -> Plan:
        return ByPosition(pairs(values), count)

    def stats(self, **params: Any) -> NoReturn:
        """Refuse: the service keeps no statistics of samples.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('Resource does not expose stats')

    def _stored(self) -> int:
        # There is nothing to ask; a job has one sample for some seconds of its life.
        return sum(1 for _ in self.iter())
