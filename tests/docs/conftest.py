"""Examples of the documentation configure logging: other tests must not notice."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """Restore the levels and handlers of the root logger and of those of the library."""
    names = ['', *(name for name in logging.root.manager.loggerDict if name.partition('.')[0] == 'scrapinghub')]
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
