"""The tree of exceptions: what each is, says, and keeps when it is pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import requests

from scrapinghub import exceptions
from scrapinghub.exceptions import (
    APIError,
    BadRequest,
    ConnectionFailed,
    DecodeError,
    NotFound,
    ReadTimedOut,
    ScrapinghubAPIError,
    ServerError,
    StreamInterrupted,
    TLSFailed,
    UploadError,
    ValueTooLarge,
)
from scrapinghub.redaction import strip_credentials, strip_secrets
from scrapinghub.transport.http.errors import class_for_status, from_http_error

CLASSES = sorted(set(exceptions.__all__) - {'APIError'})


def http_error(status: int, body: bytes, content_type: str | None = None) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.reason = 'Some Reason'
    response.url = 'http://me:topsecret@host/a?apikey=topsecret'
    response._content = body
    if content_type is not None:
        response.headers['Content-Type'] = content_type
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response.request = requests.Request('GET', response.url).prepare()
    return requests.HTTPError(f'{status} for url: {response.url}', response=response)


def state(error: BaseException) -> dict[str, Any]:
    return {name: repr(value) for name, value in error.__dict__.items()}


@pytest.mark.parametrize('name', CLASSES)
def test_every_class_survives_a_pickle(name: str) -> None:
    cls = getattr(exceptions, name)
    for error in (cls('words'), cls(http_error=http_error(404, b'words'))):
        error.hint = 'a hint'
        error.maybe_applied = True
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(again) is cls
            assert str(again) == str(error) == 'words\na hint'
            assert again.maybe_applied
            assert state(again) == {**state(error), 'http_error': repr(again.http_error)}
            assert again.args == error.args


@pytest.mark.parametrize('cause', [name for name in CLASSES if name != 'UploadError'])
def test_a_combined_error_is_of_both_classes(cause: str) -> None:
    cls = getattr(exceptions, cause)
    source = cls('words', http_error(503, b'x'))
    source.hint = 'look here'
    stopped = StreamInterrupted.caused_by(source, delivered=3, last_key='1/2/3/2')
    refused = UploadError.caused_by(source, records=[{'a': 1}], url='http://host/x', hint='Two records are not stored.')
    for error, ours in ((stopped, StreamInterrupted), (refused, UploadError)):
        for each in (error, pickle.loads(pickle.dumps(error))):
            assert isinstance(each, ours)
            assert isinstance(each, cls)
            assert type(each).__name__ == ours.__name__
            assert str(each).startswith('words\n')
            assert str(each).endswith('\nlook here')
            assert each.status_code == 503
    assert (stopped.delivered, stopped.last_key) == (3, '1/2/3/2')
    assert 'after 3 records (last key: 1/2/3/2)' in str(stopped)
    assert pickle.loads(pickle.dumps(refused)).records == [{'a': 1}]
    assert type(stopped) is type(StreamInterrupted.caused_by(cls('other'), delivered=0, last_key=None))


@pytest.mark.parametrize(
    ('ours', 'theirs'),
    [
        (ConnectionFailed, requests.ConnectionError),
        (exceptions.ConnectTimedOut, requests.ConnectTimeout),
        (ReadTimedOut, requests.ReadTimeout),
        (TLSFailed, requests.exceptions.SSLError),
        (exceptions.ProxyFailed, requests.exceptions.ProxyError),
        (exceptions.BodyBroken, requests.exceptions.ChunkedEncodingError),
        (exceptions.EncodingBroken, requests.exceptions.ContentDecodingError),
    ],
)
def test_a_network_error_is_also_the_class_of_requests(ours: type[Exception], theirs: type[Exception]) -> None:
    source = theirs('words')
    assert isinstance(source, requests.RequestException)
    error = from_http_error(source)
    assert type(error) is ours
    assert isinstance(error, theirs)
    assert isinstance(error, exceptions.NetworkError)
    assert str(error) == 'words'
    assert error.http_error is source


@pytest.mark.parametrize(
    ('status', 'cls'),
    [
        (400, BadRequest), (401, exceptions.Unauthorized), (403, exceptions.Forbidden), (404, NotFound),
        (413, ValueTooLarge), (500, ServerError), (503, ServerError), (599, ServerError), (405, ScrapinghubAPIError),
        (429, ScrapinghubAPIError), (418, ScrapinghubAPIError), (304, ScrapinghubAPIError),
    ],
)  # fmt: skip
def test_the_class_of_a_status(status: int, cls: type[ScrapinghubAPIError]) -> None:
    assert class_for_status(status) is cls
    error = from_http_error(http_error(status, b'words'))
    assert type(error) is cls
    assert not isinstance(error, requests.RequestException)
    assert (error.status_code, error.method, error.url) == (status, 'GET', 'http://host/a')


@pytest.mark.parametrize(
    ('body', 'content_type', 'words'),
    [
        (b'Unauthorized\n', None, 'Unauthorized\n'),
        (b'{"message": "no", "error": "x"}', 'application/json', 'no'),
        (b'{"message": 5}', 'application/json', '5'),
        (b'[1]', 'application/json', '[1]'),
        (b'\xff \xc3\xa9', None, '\ufffd é'),
        (b'\xe9', 'text/plain; charset=latin-1', 'é'),
        (b'[' * 100_000, 'application/json', '[' * 100_000),
    ],
)
def test_the_words_of_the_server(body: bytes, content_type: str | None, words: str) -> None:
    assert str(from_http_error(http_error(400, body, content_type))) == words


def test_what_counts_as_a_value_error() -> None:
    assert issubclass(ValueTooLarge, ValueError)
    assert issubclass(DecodeError, ValueError)
    assert not issubclass(exceptions.DuplicateJobError, BadRequest)


@pytest.mark.parametrize(
    ('url', 'stripped'),
    [
        ('http://me:secret@host:1/a/b?c=secret#d', 'http://host:1/a/b'),
        ('http://host', 'http://host'),
        ('', ''),
        (None, None),
        ('http://me:secret@[1', None),
    ],
)
def test_an_address_without_credentials(url: str | None, stripped: str | None) -> None:
    assert strip_credentials(url) == stripped


@pytest.mark.parametrize(
    ('url', 'shown'),
    [
        ('http://host/a?meta=_key&start=1%2F2', 'http://host/a?meta=_key&start=1%2F2'),
        ('http://user:pass@host/a?apikey=k', 'http://host/a'),
        ('http://host/a?b=1&ApiKey=k&c=&%61pikey=k', 'http://host/a?b=1&c='),
        ('http://host/a#part', 'http://host/a'),
    ],
)
def test_the_url_of_an_http_error_keeps_its_query(url: str, shown: str) -> None:
    assert strip_secrets(url) == shown


def test_the_error_of_the_legacy_client() -> None:
    error = APIError('words')
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again._type) == ('words', APIError.ERR_DEFAULT)
    assert not isinstance(error, ScrapinghubAPIError)
    other = pickle.loads(pickle.dumps(APIError('words', APIError.ERR_AUTH_ERROR)))
    assert other._type == APIError.ERR_AUTH_ERROR


def test_an_error_without_anything() -> None:
    assert str(ScrapinghubAPIError()) == 'None'
    assert ScrapinghubAPIError().status_code is None
