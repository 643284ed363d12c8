from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapinghub import ScrapinghubClient, Unauthorized
from scrapinghub.client.utils import parse_auth
from support.scripted_server import KEY, Reply, Wire, json_reply, reply

JOBAUTH = b'1/2/3:token'.hex()
REFUSED = reply(b'Unauthorized\n', status=401, content_type=None)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder that no ``.env`` stands above."""
    folder = tmp_path / 'a' / 'b'
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_the_first_variable_that_is_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_JOBAUTH', JOBAUTH)
    monkeypatch.setenv('SHUB_APIKEY', 'second')
    assert parse_auth(None) == ('second', '')
    monkeypatch.setenv('SH_APIKEY', 'first')
    assert parse_auth(None) == ('first', '')
    monkeypatch.setenv('SH_APIKEY', '')
    assert parse_auth(None) == ('second', '')


def test_credentials_of_a_job_come_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_JOBAUTH', JOBAUTH)
    with pytest.warns(UserWarning, match='those of a job') as caught:
        assert parse_auth(None) == ('1/2/3', 'token')
    assert caught[0].filename == __file__


@pytest.mark.parametrize('value', ['xyz', '12', b'1/2/3:'.hex(), b'no key:token'.hex(), 'ff' * 8])
def test_malformed_credentials_of_a_job_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHUB_JOBAUTH', value)
    with pytest.raises(ValueError, match='the environment variable SHUB_JOBAUTH should hold') as caught:
        parse_auth(None)
    assert value not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_nothing_found_names_the_variables() -> None:
    with pytest.raises(RuntimeError, match=r'SH_APIKEY \(or SHUB_APIKEY, SHUB_JOBAUTH\)'):
        ScrapinghubClient()


def test_the_nearest_dotenv_file_is_read_and_the_environment_stays(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder.parent / '.env').write_text('OTHER=x\nSHUB_APIKEY="from file"\n')
    (empty_folder.parent.parent / '.env').write_text('SH_APIKEY=too far\n')
    assert parse_auth(None) == ('from file', '')
    monkeypatch.setenv('SHUB_JOBAUTH', JOBAUTH)
    with pytest.warns(UserWarning, match='SHUB_JOBAUTH'):
        assert parse_auth(None) == ('1/2/3', 'token')


def test_a_dotenv_file_may_be_named(empty_folder: Path) -> None:
    (empty_folder / '.env').write_text('SH_APIKEY=near\n')
    named = empty_folder / 'other.env'
    named.write_text('SH_APIKEY=named\n')
    assert parse_auth(None, str(named)) == parse_auth(None, named) == ('named', '')


def test_a_named_dotenv_file_that_is_not_there_is_refused(empty_folder: Path) -> None:
    with pytest.raises(ValueError, match='there is none at'):
        parse_auth(None, empty_folder / 'missing')


@pytest.fixture
def without_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'dotenv', None)


@pytest.mark.usefixtures('without_dotenv')
def test_a_named_dotenv_file_needs_the_extra(empty_folder: Path) -> None:
    (empty_folder / '.env').write_text('SH_APIKEY=near\n')
    with pytest.raises(ImportError, match=r'scrapinghub\[dotenv\]'):
        parse_auth(None, empty_folder / '.env')


@pytest.mark.usefixtures('without_dotenv')
def test_a_dotenv_file_that_was_not_read_is_told(empty_folder: Path) -> None:
    (empty_folder / '.env').write_text('SH_APIKEY=near\n')
    with pytest.raises(RuntimeError, match=r'\.env, which was not read .*scrapinghub\[dotenv\]'):
        parse_auth(None)


def test_a_dotenv_file_without_a_key_is_told(empty_folder: Path) -> None:
    (empty_folder / '.env').write_text('OTHER=x\n')
    with pytest.raises(RuntimeError, match=r'\.env holds none of these variables'):
        parse_auth(None)


SECRET = 'd34db33f' * 4


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-be'])
def test_a_dotenv_file_may_be_saved_by_powershell(empty_folder: Path, encoding: str) -> None:
    mark = '\ufeff' if encoding.endswith('be') else ''
    (empty_folder / '.env').write_text(f'{mark}# ü\nSH_APIKEY=key\r\n', encoding=encoding)
    assert parse_auth(None) == ('key', '')


def test_a_dotenv_file_that_cannot_be_decoded_is_named(empty_folder: Path) -> None:
    (empty_folder / '.env').write_bytes(f'SH_APIKEY={SECRET}\n# \xfc'.encode('latin-1'))
    assert_refused_without_the_key(empty_folder / '.env', 'UTF-8')


def assert_refused_without_the_key(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        parse_auth(None)
    assert words in str(caught.value)
    shown = ''.join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET not in shown


def write_home(text: str) -> Path:
    path = Path.home() / '.scrapinghub.yml'
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))


@pytest.mark.usefixtures('home')
def test_the_files_of_shub_are_read_after_the_others(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As `shub login` writes it, and with a shortcut that shub reads.
    write_home('apikeys:\n  default: from home\nendpoints:\n  default: https://evil.example/\n')
    assert parse_auth(None) == ('from home', '')
    nearest = empty_folder.parent / 'scrapinghub.yml'
    (nearest.parent.parent / 'scrapinghub.yml').write_text('apikey: too far\n')
    nearest.write_text('project: 7\n')
    assert parse_auth(None) == ('from home', '')
    nearest.write_text('apikey: from parent\n')
    assert parse_auth(None) == ('from parent', '')
    (empty_folder / '.env').write_text('SH_APIKEY=from dotenv\n')
    assert parse_auth(None) == ('from dotenv', '')
    monkeypatch.setenv('SH_APIKEY', 'from environment')
    assert parse_auth(None) == ('from environment', '')


@pytest.mark.usefixtures('home')
def test_endpoints_in_a_file_are_not_used() -> None:
    path = write_home(f'apikeys: {{default: {SECRET}}}\nendpoints: {{default: "https://evil.example/"}}\n')
    with Wire(REFUSALS) as wire, wire.client(auth=None) as client:
        with pytest.raises(Unauthorized) as caught:
            client.projects.list()
        assert len(wire.requests) == 1
    assert f'an API key, given by apikeys: default in the file {path}' in str(caught.value)
    assert 'evil' not in repr(ScrapinghubClient().transport.endpoints)


@pytest.mark.parametrize('key', ['0123456789', '12e4', '0x1F', 'null', '2026-11-26', 'yes'])
@pytest.mark.usefixtures('home')
def test_a_key_in_a_file_of_shub_is_text_whatever_it_looks_like(key: str) -> None:
    write_home(f'apikeys:\n  default: {key}\n')
    assert parse_auth(None) == (key, '')


@pytest.mark.parametrize(
    'text', ['apikeys: [', f'- {SECRET}', f'apikeys: {SECRET}', f'apikey: [{SECRET}]', '{[a]: b}', '\0', '[' * 5000]
)
@pytest.mark.usefixtures('home')
def test_a_malformed_file_of_shub_is_named(text: str) -> None:
    path = write_home(f'x: {SECRET}\n{text}' if text == 'apikeys: [' else text)
    assert_refused_without_the_key(path, 'apikeys: default')


@pytest.mark.parametrize('text', ['', 'apikeys:\n', 'apikeys:\n  default:\n', 'apikeys:\n  other: key\n', '# none\n'])
@pytest.mark.usefixtures('home')
def test_a_file_of_shub_without_a_key_is_named(text: str) -> None:
    path = write_home(text)
    with pytest.raises(RuntimeError, match=rf'{re.escape(str(path))} holds no API key \(apikeys: default\)'):
        parse_auth(None)


@pytest.mark.usefixtures('home')
def test_a_file_of_shub_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'yaml', None)
    path = write_home('apikey: key\n')
    with pytest.raises(RuntimeError, match=rf'{re.escape(str(path))}, which was not read .*scrapinghub\[yaml\]'):
        parse_auth(None)


def test_a_folder_that_was_deleted_holds_no_key(empty_folder: Path) -> None:
    empty_folder.rmdir()
    with pytest.raises(RuntimeError, match='No API key provided'):
        parse_auth(None)


@pytest.mark.parametrize('auth', ['  key\n', ('\tkey ', '')])
def test_white_space_around_a_key_is_ignored(auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_auth(auth) == ('key', '')
    monkeypatch.setenv('SH_APIKEY', ' \n')
    monkeypatch.setenv('SHUB_APIKEY', ' key\r\n')
    assert parse_auth(None) == ('key', '')


@pytest.mark.parametrize(
    'options',
    [
        {'auth': (SECRET, 1)},
        {'auth': [SECRET]},
        {'auth': SECRET.encode()},
        {'auth': SECRET, 'endpoint': 'ftp://x'},
        {'auth': SECRET, 'endpoint': SECRET},
        {'auth': SECRET, 'max_retries': -1},
        {'auth': f'{SECRET}→'},
        {'auth': (SECRET, f'{SECRET}→')},
    ],
    ids=lambda options: ' '.join(options) + repr(options['auth'])[:5],
)
def test_no_frame_of_ours_shows_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'.') as caught:
        ScrapinghubClient(**options)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if 'scrapinghub' in frame.filename and 'tests' not in frame.filename]
    assert ours
    assert SECRET not in str(caught.value)
    assert not [name for frame in ours for name, value in (frame.locals or {}).items() if SECRET in value]


@pytest.mark.parametrize('auth', ['user:secret', ('user', 'secret'), JOBAUTH])
def test_a_password_makes_the_client_warn(auth: Any) -> None:
    with pytest.warns(UserWarning, match='only an API key') as caught:
        ScrapinghubClient(auth)
    assert caught[0].filename == __file__


def test_an_api_key_does_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ScrapinghubClient(KEY)


STORAGE, DASH = '/jobq/1/count', '/api/scrapyd/listprojects.json'
REFUSALS = {STORAGE: REFUSED, DASH: json_reply('{"status": "error", "message": "Authentication failed"}')}


def refusals(wire: Wire, client: ScrapinghubClient) -> Iterator[Unauthorized]:
    for call in (client.get_project(1).jobs.count, client.projects.list, client.get_project(1).jobs.list):
        with pytest.raises(Unauthorized) as caught:
            call()
        yield caught.value


def test_a_refusal_says_kind_and_origin_of_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    list_refused: dict[str, Reply] = {**REFUSALS, '/jobq/1/list': REFUSED}
    monkeypatch.setenv('SHUB_APIKEY', SECRET)
    with Wire(list_refused) as wire:
        given, found = wire.client(), wire.client(auth=None)
        with pytest.warns(UserWarning, match='only an API key'):
            job = wire.client(auth=JOBAUTH)
        for client, words in (
            (given, ('an API key, given by the argument auth', 'Zyte API')),
            (found, ('an API key, given by the environment variable SHUB_APIKEY', 'Zyte API')),
            (job, ('job credentials, given by the argument auth', 'scheduling')),
        ):
            for error in refusals(wire, client):
                assert str(error).startswith(('Unauthorized\n', 'Authentication failed\n'))
                assert all(word in str(error) for word in words)
                assert SECRET not in str(error)
                assert KEY not in str(error)
