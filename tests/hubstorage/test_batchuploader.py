"""Batch writers with the attributes of older releases."""

from __future__ import annotations

import pytest

from scrapinghub.client.exceptions import ValueTooLarge
from scrapinghub.config.credentials import Credentials
from scrapinghub.hubstorage import HubstorageClient
from support.storage import Storage
from support.transports import KEY


def test_a_writer_has_the_attributes_that_programs_expect() -> None:
    with Storage().serving() as server:
        client = HubstorageClient(KEY, endpoint=server.url)
        uploader = client.batchuploader
        url = f'{server.url}/items/1/2/3'
        writer = uploader.create_writer(
            url, size=5, interval=3, qsize=7, maxitemsize=99, content_encoding='identity', auth=('user', 'word')
        )
        assert (writer.size, writer.interval, writer.maxitemsize, writer.content_encoding) == (5, 3, 99, 'identity')
        assert (writer.offset, writer.closed, writer.auth, writer.callback) == (0, False, ('user', 'word'), None)
        assert writer.url == str(writer) == url
        assert writer.uploader is uploader
        assert (writer.itemsq.qsize(), writer.itemsq.empty(), writer.itemsq.full()) == (0, True, False)
        assert writer.itemsq.maxsize == 7
        assert (writer.flushme, writer.checkpoint) == (False, 0)
        writer.maxitemsize = 5
        with pytest.raises(ValueTooLarge):
            writer.write('123456')
        writer.size, writer.interval, writer.content_encoding, writer.callback = 2, 1, 'gzip', print
        assert (writer.size, writer.interval, writer.content_encoding, writer.callback) == (2, 1, 'gzip', print)
        writer.auth = 'other', 'secret'
        assert isinstance(writer.auth, Credentials)
        assert 'secret' not in repr(vars(writer))
        client.close()


@pytest.mark.parametrize('auth', ['other', ('other', ''), ['other', '']])
def test_credentials_are_a_key_or_a_pair(auth: object) -> None:
    storage = Storage()
    with storage.serving() as server:
        client = HubstorageClient(KEY, endpoint=server.url)
        client.batchuploader.create_writer(f'{server.url}/items/1/2/3', auth=auth).write({})
        client.close()
    assert storage.posts[0].request.headers['authorization'] == 'Basic b3RoZXI6'
