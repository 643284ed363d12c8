"""Credentials are replaced in texts, and words are not."""

from __future__ import annotations

import base64

import pytest

from scrapinghub.redaction import HIDDEN, redact, redact_bytes, remember

KEY = '89abcdef01234567' * 2


@pytest.mark.parametrize('text', [KEY, base64.b64encode(f'{KEY}:'.encode()).decode()])
def test_a_key_is_hidden_in_each_form(text: str) -> None:
    remember(KEY)
    assert redact(f'a {text} b') == f'a {HIDDEN} b'
    assert redact_bytes(f'\xff {text}'.encode('latin-1')) == f'\xff {HIDDEN}'.encode('latin-1')


def test_the_token_of_a_job_is_hidden_and_its_key_is_not() -> None:
    remember('1/2/3', 'token-5f3a')
    variable = b'1/2/3:token-5f3a'.hex()
    assert redact(f'job 1/2/3 with token-5f3a, {variable}') == f'job 1/2/3 with {HIDDEN}, {HIDDEN}'


@pytest.mark.parametrize('key', ['', 'a', 'another', 'somebody', 'k-1'])
def test_words_and_short_keys_do_not_garble_messages(key: str) -> None:
    remember(key)
    text = 'another process, somebody else, a job, k-1'
    assert redact(text) == text


def test_a_secret_that_begins_like_another_one_hides_all_of_it() -> None:
    remember('shared-beginning')
    remember('shared-beginning-of-another-key')
    assert redact('shared-beginning-of-another-key, shared-beginning') == '***, ***'
