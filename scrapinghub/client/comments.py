"""Comments on the items of a job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from scrapinghub.client._support.dash import Dash, Form
from scrapinghub.client._support.lists import ValueIterator, listed
from scrapinghub.client._support.parameters import suggests_names
from scrapinghub.client._support.resource import Client, Resource
from scrapinghub.client._support.streams import explain_lost_response
from scrapinghub.client._support.validation import expect
from scrapinghub.client.shapes import Comment
from scrapinghub.transport.http.retries import Repeat


class Comments(Resource):
    """The comments on the items of a job: ``job.comments``. Safe to share between threads.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/comments.html

    Args:
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> comment = job.comments.add(0, 'the price is wrong', field='price')
        >>> [(comment['item'], comment['field'], comment['text']) for comment in job.comments.iter()]
        [(0, 'price', 'the price is wrong')]
    """

    def __init__(self, client: Client, key: str) -> None:
        super().__init__(client, key)

    def iter(self) -> Iterator[Comment]:
        """Iterate over the comments on the items of the job, by item and field; sends one request.

        Yields:
            A comment: ``id``, ``text``, ``author``, ``created``, ``archived``, …, with ``item``, the number of its
            item, and ``field``, the name of its field, or None if it is about the whole item.

        Raises:
            NotFound: The job does not exist.

        Example:
            >>> comment = job.comments.add(1, 'good')
            >>> [comment['text'] for comment in job.comments.iter() if not comment['archived']]
            ['good']
        """
        operation = f'GET comments/{self.key}'
        found = expect(Dash(self._client.transport).call('GET', self._path()), dict, operation)
        places = sorted((_place(name, operation), comments) for name, comments in found.items())
        return ValueIterator(
            cast('Comment', {**expect(comment, dict, operation), 'item': item, 'field': field or None})
            for (item, field), comments in places
            for comment in expect(comments, list, operation)
        )

    list = listed(iter)

    @suggests_names
    def add(self, item: int, text: str, field: str | None = None) -> dict[str, Any]:
        """Add a comment to an item, or to a field of it.

        Args:
            item: Number of the item, from 0.
            text: The comment.
            field: Name of the field; None for the whole item.

        Returns:
            The comment as the service stores it.

        Raises:
            NotFound: The job or the item does not exist.
            NetworkError: The response was lost. The request is not repeated; ``maybe_applied`` says whether the
                comment may exist.
            TypeError: ``item`` is not a number, or ``text`` not a string.
            ValueError: ``item`` is negative, or ``text`` or ``field`` is empty.

        Example:
            >>> job.comments.add(0, 'the price is wrong', field='price')['text']
            'the price is wrong'
        """
        _check_number(item, 'item', 'the number of an item')
        _check_text(text)
        path = (*self._path(), str(item), *(() if field is None else (field,)))
        advice = (
            'The service may have stored the comment although its response was lost, so the request was not '
            'repeated. Look at job.comments.list() before you add it again.'
        )
        with explain_lost_response(advice):
            stored = Dash(self._client.transport).call('POST', path, form={'text': text}, repeat=Repeat.UNRECEIVED)
        return expect(stored, dict, f'POST comments/{self.key}')

    @suggests_names
    def edit(self, comment_id: int, text: str) -> dict[str, Any]:
        """Replace the text of a comment.

        Args:
            comment_id: ``id`` of the comment.
            text: The new text.

        Returns:
            The comment as the service stores it.

        Raises:
            NotFound: The comment does not exist.
            TypeError: ``comment_id`` is not a number, or ``text`` not a string.
            ValueError: ``comment_id`` is negative, or ``text`` is empty.

        Example:
            >>> comment = job.comments.add(0, 'the price is wrong')
            >>> job.comments.edit(comment['id'], 'the price is right')['text']
            'the price is right'
        """
        _check_text(text)
        return self._change('PUT', comment_id, {'text': text})

    @suggests_names
    def archive(self, comment_id: int) -> dict[str, Any]:
        """Archive a comment: the service keeps it, and no longer counts it.

        Args:
            comment_id: ``id`` of the comment.

        Returns:
            The comment as the service stores it; ``archived`` is the time when it was archived.

        Raises:
            NotFound: The comment does not exist.
            TypeError: ``comment_id`` is not a number.
            ValueError: ``comment_id`` is negative.

        Example:
            >>> for comment in job.comments.list():
            ...     archived = job.comments.archive(comment['id'])
            >>> [comment['text'] for comment in job.comments.iter() if not comment['archived']]
            []
        """
        return self._change('DELETE', comment_id)

    def _change(self, method: str, comment_id: int, form: Form | None = None) -> dict[str, Any]:
        _check_number(comment_id, 'comment_id', 'the id of a comment')
        path = ('comments', str(comment_id))
        # The same change once more changes nothing.
        changed = Dash(self._client.transport).call(method, path, form=form, repeat=Repeat.ALWAYS)
        return expect(changed, dict, f'{method} comments/{comment_id}')

    def _path(self) -> tuple[str, ...]:
        return ('comments', *self.key.split('/'))


def _place(name: str, operation: str) -> tuple[int, str]:
    """Return the number and field that a comment is about, from ``NUMBER`` or ``NUMBER/FIELD``."""
    number, _, field = name.partition('/')
    return expect(int(number) if number.isdecimal() else number, int, operation), field


def _check_number(number: object, argument: str, meaning: str) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f'{argument} should be {meaning}, got {number!r}')
    if number < 0:
        raise ValueError(f'{argument} should be {meaning}, at least 0, got {number}')


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f'text should be a string, got {text!r}')
    if not text.strip():
        raise ValueError('text should not be empty')
