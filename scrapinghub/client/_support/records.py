"""What items, logs, requests and samples of a job share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from scrapinghub.client._support.parameters import filters, number, pairs, query
from scrapinghub.client._support.reading import below, filter_hint, names, read
from scrapinghub.client._support.resource import Resource
from scrapinghub.client._support.responses import owed
from scrapinghub.client.shapes import Stats
from scrapinghub.transport import codec
from scrapinghub.transport.streams.cursor import Plan
from scrapinghub.transport.streams.cursors import AfterKey, ByPosition, Remaining
from scrapinghub.transport.streams.stream import RecordStream
from scrapinghub.transport.uploads.uploader import Writer, WriterOptions

if TYPE_CHECKING:
    from scrapinghub.client import ScrapinghubClient

R = TypeVar('R')

Below = str | int | Sequence[Any] | None
Names = str | Iterable[str] | None
Filters = str | tuple[Any, ...] | list[Any] | None
RequestsParams = Mapping[str, Any] | None


class Records(Resource, Generic[R]):
    """The numbered records of one family that belong to a job.

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.
    """

    _family: ClassVar[str]
    _writing: ClassVar[WriterOptions] = WriterOptions()
    _offers_msgpack: ClassVar[bool] = True

    def __init__(self, cls: Any, client: ScrapinghubClient, key: str) -> None:
        super().__init__(client, str(key))
        self._writer: Writer | None = None
        self._appending = False

    @property
    def _path(self) -> tuple[str, ...]:
        return (self._family, *self.key.split('/'))

    # Reading

    def _read(
        self,
        path: Below,
        count: int | None,
        requests_params: RequestsParams,
        named: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> RecordStream[R]:
        """Return the stream of an ``iter`` call."""
        values = self._values(named, params)
        segments = below(path)
        plan = self._plan(values, number('count', count), segments)
        return self._stream(plan, segments, values, requests_params)

    def _stream(
        self, plan: Plan, segments: tuple[str, ...], values: Mapping[str, Any], requests_params: RequestsParams
    ) -> RecordStream[R]:
        return read(
            self._client.transport,
            (*self._path, *segments),
            plan,
            accept=self._accept(values),
            requests_params=requests_params,
            hint=filter_hint(values.get('filter', ())),
        )

    def _values(self, named: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a read by the service's names, each checked."""
        values = query(named, params)
        if 'filter' in values:
            values['filter'] = filters(values['filter'])
        if 'meta' in values:
            values['meta'] = names(values['meta'])
        if isinstance(values.get('start'), int):
            values['start'] = self._key_of(number('start', values['start']))
        if 'index' in values:
            index = values['index']
            several = isinstance(index, Iterable) and not isinstance(index, str)
            values['index'] = [number('index', value) for value in (index if several else [index])]
        return values

    def _key_of(self, place: int | None) -> str:
        return f'{self.key}/{place}'

    def _offset_to_start(self, values: dict[str, Any]) -> None:
        """Replace an offset, which the storage does not know, by a key to start at."""
        offset = number('offset', values.pop('offset', None))
        if not offset:
            return
        for name in ('start', 'startafter'):
            if name in values:
                raise TypeError(f"'offset' and {name!r} both say where to begin: give one of them")
        values['start'] = self._key_of(offset)

    def _accept(self, values: Mapping[str, Any]) -> str:
        msgpack = self._offers_msgpack and self._client.transport.use_msgpack
        return codec.MSGPACK if msgpack else codec.ANY

    def _plan(self, values: dict[str, Any], count: int | None, segments: tuple[str, ...]) -> Plan:
        """Return how to read; parameters that the plan takes over leave ``values``."""
        meta = values.get('meta', [])
        if len(segments) > 1:
            # Values of one field, which carry no keys.
            return ByPosition(pairs(values), count)
        strip = '_key' not in meta
        asked = {**values, 'meta': [*meta, '_key'] if strip else meta}
        if segments:
            # A single record comes without its key, whatever is asked for.
            return ByPosition(pairs(asked), count, strip='_key' if strip else None)
        return self._keyed_plan(asked, count, strip=strip)

    def _keyed_plan(self, values: dict[str, Any], count: int | None, *, strip: bool) -> Plan:
        if 'index' in values:
            wanted = values.pop('index')
            return Remaining(pairs(values), 'index', wanted, count, name_of=number_in, strip=strip)
        return AfterKey(pairs(values), count, strip=strip)

    def get(self, key: int | str, *, meta: Names = None, **params: Any) -> R | None:
        """Return one record.

        Args:
            key: Its number; or its whole key, as ``meta='_key'`` shows it.
            meta: Names of further fields of the service: ``_key``, ``_ts``.
            **params: Further parameters of the service.

        Returns:
            The record; None if the service answers with nothing.

        Raises:
            NotFound: The service says that there is no such record, or no such job.
        """
        values = self._values({'meta': meta}, params)
        text = str(key)
        place = text[len(self.key) + 1 :] if text.startswith(f'{self.key}/') else text
        record: R | None = self._client.transport.get(
            (*self._path, place), pairs(values), accept=self._accept(values)
        ).value
        return record

    def stats(self, *, all: bool | int | None = None, **params: Any) -> Stats:
        """Return how many records there are, and how often each field occurs in them.

        Args:
            all: Count also the fields whose names begin with ``_``.
            **params: Further parameters of the service.

        Returns:
            ``counts`` by field, and ``totals`` with ``input_values``, the number of records, and ``input_bytes``.

        Example:
            >>> job.items.stats()['totals']['input_values']
            2
        """
        path = (*self._path, 'stats')
        answer = self._client.transport.get(path, pairs(query({'all': all}, params)), expects=codec.JSON).value
        owed(answer, dict, f'GET {"/".join(path)}')
        stats: Stats = answer
        return stats

    # Writing

    def writer(self, *, start: int | None = None, append: bool = False) -> Writer:
        """Return the batch writer of these records, at a place of your choice.

        There is one for each job and client: :meth:`write` uses it too, whichever object it is called on. It begins at
        number 0 unless told otherwise, so that **a job that has records already is overwritten from the first one
        on**: continue a job with ``append=True``, or at the number of your choice with ``start``.

        Args:
            start: Number of the first record that is written.
            append: Begin after what is stored. Two programs that append to one job at the same time overwrite each
                other.

        Returns:
            The writer.

        Raises:
            TypeError: Both are given.
            ValueError: The writer is open already, and is at another place.

        Example:
            >>> writer = job.items.writer(append=True)
            >>> writer.write({'name': 'third'})
            2
            >>> writer.flush()
        """
        if append and start is not None:
            raise TypeError("'start' and 'append' both say where to begin: give one of them")
        if append:
            return self._append()
        place = number('start', start)
        return self._use(self._make_writer(place or 0), place)

    def _make_writer(self, start: int = 0) -> Writer:
        return self._client.uploader.writer(self._path, self._writing, start=start)

    def _append(self) -> Writer:
        self._appending = True
        found = self._open_writer()
        if found is None:
            return self._use(self._client.uploader.writer(self._path, self._writing, start=self._stored), None)
        return self._use(found, max(self._stored(), found.next_number))

    def _use(self, writer: Writer, place: int | None) -> Writer:
        if place is not None and writer.next_number != place:
            raise ValueError(
                f'the open writer of {self.key} has come to number {writer.next_number}: close it before writing '
                f'from number {place} on'
            )
        self._writer = writer
        return writer

    def _open_writer(self) -> Writer | None:
        """Return the open writer of these records, whoever opened it."""
        if self._writer is not None:
            return None if self._writer.closed else self._writer
        url = self._client.transport.url(self._path)
        return next((writer for writer in self._client.uploader.writers if writer.url == url), None)

    def _stored(self) -> int:
        """Return how many records are stored."""
        totals = self.stats().get('totals') or {}
        return int(totals.get('input_values') or 0)

    def write(self, item: R) -> int:
        """Queue a record for storing; it leaves within 15 seconds, or with :meth:`flush`.

        Blocks while two thousand records wait. See :meth:`writer` about jobs that have records already.

        Args:
            item: The record.

        Returns:
            Its number, counted from 0.

        Raises:
            ValueTooLarge: Its JSON text is larger than 1 MiB.
            UploadError: Earlier records could not be stored; the error holds them.
            AssertionError: The writer was closed.

        Example:
            >>> job.items.write({'name': 'first'})
            0
        """
        writer = self._writer
        if writer is None:
            writer = self._make_writer()
            if not writer.closed:
                self._writer = writer
        return writer.write(item)

    def flush(self) -> None:
        """Wait until all records written so far are stored.

        Raises:
            UploadError: Some cannot be stored; the error holds them.
        """
        writer = self._open_writer()
        if writer is not None:
            writer.flush()

    def close(self, block: bool = True) -> None:
        """Send what is held, and take no more records.

        Args:
            block: Whether to wait until all is stored; if not, it is sent all the same.

        Raises:
            UploadError: Some records cannot be stored; the error holds them.
        """
        writer = self._open_writer()
        if writer is not None:
            self._writer = writer
            writer.close(block)


def number_in(key: str) -> str:
    """Return the number of a record from its key.

    Example:
        >>> number_in('123/1/2/7')
        '7'
    """
    return key.rpartition('/')[2]
