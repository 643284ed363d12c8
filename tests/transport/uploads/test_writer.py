"""Writers used by one thread: what is sent, what is refused, what an outage does."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests

from scrapinghub.config.credentials import Credentials
from scrapinghub.exceptions import BadRequest, ServerError, Unauthorized, UploadError, ValueTooLarge
from scrapinghub.transport.uploads.uploader import Uploader, Writer, WriterOptions
from support.clocks import ManualClock
from support.scripted_server import Reply, reply
from support.storage import Post, Storage, failing, lost_answer
from support.transports import KEY, make_transport

ITEMS = ('items', 1, 2, 3)
PATH = '/items/1/2/3'
STORE = ('collections', 1, 's', 'store')
STORE_PATH = '/collections/1/s/store'
KEYED = WriterOptions(size=10, content_encoding='identity', keyed=True, lists=True)


@contextlib.contextmanager
def uploading(storage: Storage, **options: Any) -> Iterator[Uploader]:
    clock = options.pop('clock', None) or ManualClock()
    with storage.serving() as server:
        uploader = Uploader(make_transport(server, clock), **options)
        try:
            yield uploader
        finally:
            # What a test has left undelivered is of no interest any more.
            with contextlib.suppress(UploadError):
                uploader.close(10)


def numbered(uploader: Uploader, **options: Any) -> Writer:
    return uploader.writer(ITEMS, WriterOptions(**options))


def test_records_arrive_in_order_at_their_numbers() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        writer = numbered(uploader, size=10)
        assert [writer.write({'n': n}) for n in range(35)] == list(range(35))
        writer.flush()
        assert storage.stored(PATH) == [{'n': n} for n in range(35)]
        assert writer.offset == 35
        assert all(len(post.records) <= 10 for post in storage.posts)


def test_a_post_is_what_the_service_knows() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        numbered(uploader).write({'a': 'é'})
        uploader.flush()
        uploader.writer(STORE, KEYED, start=4).write({'_key': 'k'})
        uploader.flush()
    items, store = storage.posts
    assert items.request.target == f'{PATH}?start=0'
    assert items.request.headers['content-encoding'] == 'gzip'
    assert 'content-type' not in items.request.headers
    assert store.request.target == f'{STORE_PATH}?start=4'
    assert store.request.headers['content-encoding'] == 'identity'
    assert store.request.body == b'{"_key": "k"}\n'


def test_the_interval_sends_what_no_batch_fills() -> None:
    storage = Storage()
    with storage.serving() as server:
        uploader = Uploader(make_transport(server, ManualClock()))
        numbered(uploader, interval=15).write({})
        assert server.wait_until(lambda: len(server.requests) == 1)
        uploader.close()


def test_a_record_is_what_it_was_when_it_was_written() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        record: dict[str, Any] = {'when': datetime(2016, 10, 18, 1, 2, 3, 456000)}
        writer = numbered(uploader)
        writer.write(record)
        record['when'] = 'later'
        writer.flush()
    assert storage.stored(PATH) == [{'when': 1476752523456.0}]


def test_too_large_a_record_is_refused_before_it_is_sent() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        writer = numbered(uploader, maxitemsize=512 * 1024)
        with pytest.raises(ValueTooLarge) as caught:
            writer.write({'a': 'x' * 512 * 1024})
        text = '{"a": "' + 'x' * 193 + '...'
        assert str(caught.value) == f'Value exceeds max encoded size of 512 KiB: {text!r}'
        assert isinstance(caught.value, ValueError)
        assert writer.write({}) == 0
        writer.flush()
    assert storage.stored(PATH) == [{}]


def test_a_record_may_fill_the_limit() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write('x' * (1024 * 1024 - 2))
        with pytest.raises(ValueTooLarge, match='1 MiB'):
            writer.write('x' * (1024 * 1024 - 1))
        writer.flush()


def test_nan_is_refused_before_it_is_sent() -> None:
    with uploading(Storage()) as uploader:
        writer = numbered(uploader)
        with pytest.raises(ValueError, match='JSON'):
            writer.write({'a': float('nan')})
        cycle: list[Any] = []
        cycle.append(cycle)
        with pytest.raises(ValueError, match='JSON'):
            writer.write(cycle)
        assert writer.next_number == 0


def test_a_list_is_many_records_only_where_they_have_keys() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        samples = numbered(uploader)
        assert samples.write([1, 2]) == 0
        writer = uploader.writer(STORE, KEYED)
        assert writer.write([{'_key': str(n)} for n in range(25)]) == 0
        assert writer.write({'_key': 'x'}) == 25
        assert writer.write([]) == 26
        uploader.flush()
    assert storage.stored(PATH) == [[1, 2]]
    assert list(storage.records['collections']) == [*map(str, range(25)), 'x']


def test_a_list_is_queued_whole_or_not_at_all() -> None:
    with uploading(Storage()) as uploader:
        writer = uploader.writer(STORE, KEYED)
        with pytest.raises(ValueError, match='JSON'):
            writer.write([{'_key': 'a'}, {'_key': 'b', 'v': float('inf')}])
        assert writer.next_number == 0


# One writer for each URL


def test_a_url_has_one_numbered_writer() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        first = numbered(uploader)
        assert numbered(uploader) is first
        first.write(0)
        assert uploader.writer(PATH, WriterOptions(), start=lambda: 1 / 0) is first  # type: ignore[arg-type, return-value]
        first.close()
        second = numbered(uploader)
        assert second is not first
        assert second.write(1) == 1
        second.flush()
    assert storage.stored(PATH) == [0, 1]


def test_a_start_is_asked_for_once_and_then_kept() -> None:
    with uploading(Storage()) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(), start=lambda: 500)
        assert writer.write({}) == 500
        with pytest.raises(ValueError, match='began at 500 and is at 501'):
            uploader.writer(ITEMS, WriterOptions(), start=7)
        writer.close()
        assert uploader.writer(ITEMS, WriterOptions(), start=7).write({}) == 7


def test_writers_of_their_own_are_separate() -> None:
    with uploading(Storage()) as uploader:
        one, two = (uploader.writer(STORE, KEYED, shared=False) for _ in range(2))
        assert one is not two
        assert {one, two} == set(uploader.writers)


def test_a_dropped_writer_still_sends() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        uploader.writer(STORE, KEYED, shared=False).write([{'_key': 'a'}, {'_key': 'b'}])
        uploader.flush()
        assert list(storage.records['collections']) == ['a', 'b']


# Closing


def test_a_closed_writer_takes_nothing() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({})
        assert writer.close() is True
        assert writer.closed
        assert storage.stored(PATH) == [{}]
        with pytest.raises(AssertionError, match=r'^attempting writes to a closed writer$'):
            writer.write({})
        assert writer.close() is True


@pytest.mark.parametrize('block', [True, False])
def test_no_writer_after_a_closed_one_writes_over_a_gap(block: bool) -> None:
    storage = Storage(before=lambda post: reply(status=400, body=b'no') if post.start == 0 else None)
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        for number in range(3):
            writer.write(number)
        if block:
            with pytest.raises(UploadError):
                writer.close()
        else:
            writer.close(block=False)
        with pytest.raises(UploadError) as caught:
            numbered(uploader).write('more')
        assert caught.value.records == [0, 1, 2]
        assert {post.start for post in storage.posts} == {0}

        storage.before = lambda post: None
        assert numbered(uploader).take_back() == [0, 1, 2]
        following = numbered(uploader)
        assert following.write('more') == 0
        following.flush()
        assert storage.stored(PATH) == ['more']


def test_a_closed_uploader_makes_no_writers() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({})
        assert uploader.close() is True
        assert uploader.close() is True
        assert storage.stored(PATH) == [{}]
        with pytest.raises(AssertionError, match=r'^Can not create new writers when closed$'):
            numbered(uploader)
        with pytest.raises(AssertionError, match='closed writer'):
            writer.write({})


def test_closing_without_waiting_still_sends() -> None:
    closed = threading.Event()

    def wait(_post: Any) -> None:
        closed.wait(30)

    storage = Storage(before=wait)
    with storage.serving() as server:
        uploader = Uploader(make_transport(server))
        writer = numbered(uploader)
        writer.write({})
        assert writer.close(block=False) is False
        closed.set()
        assert server.wait_until(lambda: len(server.requests) == 1)
        uploader.close()
    assert storage.stored(PATH) == [{}]


# Outages


@pytest.mark.parametrize('status', [408, 429, 500, 502, 503, 504, 599])
def test_an_outage_is_sat_out(status: int) -> None:
    storage = Storage(before=failing(5, lambda: reply(status=status)))
    clock = ManualClock()
    with uploading(storage, clock=clock) as uploader:
        writer = numbered(uploader)
        writer.write({})
        writer.flush()
    assert storage.stored(PATH) == [{}]
    assert [post.start for post in storage.posts] == [0] * 6


def test_a_lost_answer_stores_nothing_twice() -> None:
    storage = Storage(after=failing(2, lost_answer))
    with uploading(storage) as uploader:
        writer = numbered(uploader, size=4)
        for n in range(10):
            writer.write(n)
        writer.flush()
    assert storage.stored(PATH) == list(range(10))


def test_a_repeat_is_the_same_batch() -> None:
    first = failing(1, lost_answer)
    with uploading(Storage()) as uploader:
        storage = Storage()
        writer = numbered(uploader, size=100)

        def write_more(post: Post) -> Reply | None:
            answer = first(post)
            if answer is not None:
                writer.write('more')
            return answer

        storage.after = write_more
        with storage.serving() as server:
            other = Uploader(make_transport(server))
            writer = numbered(other, size=100)
            writer.write('first')
            other.flush()
            other.close()
        assert [post.records for post in storage.posts] == [['first'], ['first'], ['more']]


def test_pauses_are_capped_and_retry_after_is_honoured(caplog: pytest.LogCaptureFixture) -> None:
    faults = [reply(status=503)] * 12 + [reply(status=429, headers={'Retry-After': '77'})]
    storage = Storage(before=lambda post: faults.pop(0) if faults else None)
    clock = ManualClock()
    with caplog.at_level(logging.INFO), uploading(storage, clock=clock) as uploader:
        writer = numbered(uploader)
        writer.write({})
        writer.flush()
    pauses = [
        float(record.getMessage().split('next attempt in ')[1].split(' s')[0])
        for record in caplog.records
        if record.levelno == logging.INFO
    ]
    assert len(pauses) == 13
    assert pauses[0] < 1
    assert max(pauses[:12]) <= 31
    assert pauses[11] >= 30
    assert pauses[12] == 77


def test_an_outage_without_end_is_given_up() -> None:
    storage = Storage(before=lambda post: reply(b'down', status=503, content_type='text/plain'))
    clock = ManualClock()
    told: list[requests.Response | None] = []
    with uploading(storage, clock=clock, max_outage=3600.0) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(), callback=told.append)
        began = clock.now
        writer.write({'n': 1})
        with pytest.raises(ServerError) as caught:
            writer.flush()
        assert isinstance(caught.value, UploadError)
        assert caught.value.records == [{'n': 1}]
        assert str(caught.value).startswith('down\n')
        assert 3600 <= clock.now - began < 3700
        assert told == [None]


def test_the_default_outage_is_thirty_hours() -> None:
    storage = Storage(before=lambda post: reply(status=503, headers={'Retry-After': '3600'}))
    clock = ManualClock()
    with uploading(storage, clock=clock) as uploader:
        writer = numbered(uploader)
        writer.write({'n': 1})
        with pytest.raises(UploadError, match='Retry-After'):
            writer.flush()
    assert 29 <= len(storage.posts) <= 31


def test_a_flush_may_end_before_an_outage_does() -> None:
    storage = Storage(before=lambda post: reply(b'down', status=503, content_type='text/plain'))
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({'n': 1})
        with pytest.raises(UploadError, match='not stored within 100 seconds') as caught:
            writer.flush(100)
        assert caught.value.records == [{'n': 1}]
        assert isinstance(caught.value, ServerError)
        assert writer.close(timeout=100) is False
        storage.before = lambda post: None
        writer.flush()
    assert storage.stored(PATH) == [{'n': 1}]


def test_closing_may_end_before_an_outage_does(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(before=lambda post: reply(status=503))
    with storage.serving() as server:
        uploader = Uploader(make_transport(server))
        writer = numbered(uploader)
        writer.write({'n': 1})
        writer.write({'n': 2})
        assert uploader.close(10) is False
        assert '2 records for' in caplog.messages[-1]
        assert writer.take_back() == [{'n': 1}, {'n': 2}]


# Refusals


def no(status: int) -> Reply:
    return reply(b'no', status=status, content_type='text/plain')


@pytest.mark.parametrize(('status', 'kind'), [(400, BadRequest), (401, Unauthorized), (413, ValueTooLarge)])
def test_a_refusal_of_numbered_records_leaves_a_gap_to_nobody(status: int, kind: type[Exception]) -> None:
    refusing = True
    storage = Storage(before=lambda post: no(status) if refusing and post.start >= 10 else None)
    told: list[requests.Response | None] = []
    with uploading(storage) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(size=10, qsize=40), callback=told.append)
        for n in range(10):
            writer.write(n)
        writer.flush()
        accepted = []
        for n in range(10, 35):
            try:
                accepted.append(writer.write(n))
            except UploadError:
                break
        with pytest.raises(kind) as caught:
            writer.flush()
        error = caught.value
        assert isinstance(error, UploadError)
        assert error.records == accepted
        assert str(error).startswith('no\n')
        assert 'from number 10 on' in str(error)
        assert error.url is not None
        assert error.url.endswith(PATH)
        with pytest.raises(kind):
            writer.write('more')
        with pytest.raises(kind):
            uploader.flush()
        assert {post.start for post in storage.posts if post.start >= 10} == {10}
        assert told[-1] is None
        assert told.count(None) == 1
        assert writer.take_back() == accepted
        assert writer.take_back() == []
        refusing = False
        assert writer.write('again') == 10
        writer.flush()
    assert storage.stored(PATH) == [*range(10), 'again']


@pytest.mark.parametrize('status', [400, 413])
def test_refused_records_are_parted_from_good_ones_where_they_have_keys(status: int) -> None:
    def refuse(post: Post) -> Reply | None:
        bad = any(record['bad'] for record in post.records)
        return reply(b'bad one\n', status=status, content_type='text/plain') if bad else None

    storage = Storage(before=refuse)
    told: list[requests.Response | None] = []
    with uploading(storage) as uploader:
        writer = uploader.writer(STORE, KEYED, callback=told.append)
        records = [{'_key': f'{n:02}', 'bad': n in (3, 7)} for n in range(10)]
        writer.write(records)
        with pytest.raises(UploadError, match=r'^bad one\n') as caught:
            writer.flush()
        bad = [record for record in records if record['bad']]
        assert caught.value.records == bad
        assert list(storage.records['collections'].values()) == [record for record in records if not record['bad']]
        assert told.count(None) == 2
        with pytest.raises(UploadError):
            writer.write({'_key': 'z', 'bad': False})
        assert writer.take_back() == bad
        writer.write({'_key': 'z', 'bad': False})
        writer.flush()
    assert 'z' in storage.records['collections']


@pytest.mark.parametrize('status', [401, 403, 404, 405, 501])
def test_other_refusals_cost_one_request(status: int) -> None:
    storage = Storage(before=lambda post: reply(status=status))
    with uploading(storage) as uploader:
        writer = uploader.writer(STORE, KEYED)
        writer.write([{'_key': str(n)} for n in range(10)])
        with pytest.raises(UploadError) as caught:
            writer.close()
        assert caught.value.status_code == status
        assert len(caught.value.records) == 10
        assert len(storage.posts) == 1


def test_a_redirect_is_a_refusal() -> None:
    storage = Storage(before=lambda post: reply(status=302, headers={'Location': 'http://elsewhere.example/'}))
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({})
        with pytest.raises(UploadError, match='elsewhere'):
            writer.flush()


def test_a_success_that_is_none_is_a_refusal() -> None:
    storage = Storage(before=lambda post: reply(status=304))
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({})
        with pytest.raises(UploadError, match='304 No Answer'):
            writer.flush()


def test_closing_the_uploader_tells_of_every_writer_that_failed() -> None:
    storage = Storage(before=lambda post: no(401) if post.start < 9 else None)
    with storage.serving() as server:
        uploader = Uploader(make_transport(server))
        for number, start in enumerate((1, 2, 9)):
            uploader.writer(('items', number), WriterOptions(), start=start).write(number)
        with pytest.raises(Unauthorized) as caught:
            uploader.close()
        error = caught.value
        assert isinstance(error, UploadError)
        assert [error.records, *(other.records for other in error.others)] == [[0], [1]]
        assert storage.records['items'] == {'2/9': 2}
        assert uploader.close() is False


def test_the_error_of_a_writer_pickles() -> None:
    storage = Storage(before=lambda post: no(401))
    with uploading(storage) as uploader:
        writer = numbered(uploader)
        writer.write({'n': 1})
        with pytest.raises(Unauthorized) as caught:
            writer.flush()
        copy = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(copy, UploadError)
        assert isinstance(copy, Unauthorized)
        assert str(copy) == str(caught.value)
        assert copy.records == [{'n': 1}]


# Callbacks


def test_a_callback_gets_each_answer_before_flush_returns() -> None:
    storage = Storage(after=lambda post: reply(json.dumps({'newcount': len(post.records)}).encode()))
    counts: list[int] = []

    def count(response: requests.Response | None) -> None:
        assert response is not None
        counts.append(response.json()['newcount'])

    with uploading(storage) as uploader:
        writer = uploader.writer(STORE, KEYED, callback=count)
        writer.write([{'_key': str(n)} for n in range(25)])
        writer.flush()
        assert sum(counts) == 25


def test_an_error_in_a_callback_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(response: requests.Response | None) -> None:
        raise LookupError('in the callback')

    storage = Storage()
    with uploading(storage) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(), callback=fail)
        writer.write({})
        writer.flush()
        writer.write({})
        assert writer.close() is True
    assert storage.stored(PATH) == [{}, {}]
    assert 'in the callback' in caplog.text


def test_a_callback_cannot_wait_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    with uploading(Storage()) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(), callback=lambda response: writer.flush())
        writer.write({})
        writer.flush()
    assert 'it cannot call them itself' in caplog.text


# Secrets and names


def test_no_credentials_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    secret = 'f' * 32
    storage = Storage(before=failing(2, lambda: reply(status=503)))
    storage.after = lambda post: reply(status=401)
    with caplog.at_level(logging.DEBUG), uploading(storage) as uploader:
        writer = uploader.writer(ITEMS, WriterOptions(), auth=(secret, ''))
        assert writer.queue.auth == (secret, '')
        writer.write({})
        with pytest.raises(UploadError) as caught:
            writer.flush()
        shown = [
            repr(writer),
            str(writer),
            repr(uploader),
            repr(writer.queue.auth),
            str(caught.value),
            repr(caught.value),
        ]
        shown += [caplog.text, repr(vars(caught.value))]
        trace: Any = caught.value.__traceback__
        while trace is not None:
            if 'scrapinghub' in trace.tb_frame.f_code.co_filename:
                shown.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        assert not [text for text in shown if secret in text or KEY in text]


def test_a_writer_sends_its_own_credentials() -> None:
    storage = Storage()
    with uploading(storage) as uploader:
        uploader.writer(ITEMS, WriterOptions(), auth=Credentials('1/2/3', 'token')).write({})
        uploader.flush()
    header = requests.Request(auth=('1/2/3', 'token'), url='http://x', method='GET').prepare().headers['Authorization']
    assert storage.posts[0].request.headers['authorization'] == header


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'size': 0}, 'size must be an integer of at least 1'),
        ({'qsize': 'many'}, 'qsize must be'),
        ({'interval': -1}, 'interval must be'),
        ({'content_encoding': 'br'}, "'gzip' or 'identity'"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WriterOptions(**options)
    with pytest.raises(ValueError, match='max_outage'):
        Uploader(make_transport('http://127.0.0.1:1'), max_outage=-1)
