"""The log of the library.

Every module logs under its own name, below ``scrapinghub``. Python writes warnings to stderr if the program does not
configure logging; ``SCRAPINGHUB_LOG`` in the environment shows more.
"""

from __future__ import annotations

import logging
import os
import warnings

ROOT = 'scrapinghub'
VARIABLE = 'SCRAPINGHUB_LOG'
LEVELS = ('debug', 'info', 'warning', 'error', 'critical')
FORMAT = '%(asctime)s %(levelname)s %(name)s: %(message)s'


def set_up(wanted: str | None = None) -> None:
    """Write the log to stderr if ``SCRAPINGHUB_LOG`` is set.

    Args:
        wanted: A level by name, in any case; that of the environment by default.
    """
    name = (os.environ.get(VARIABLE) or '' if wanted is None else wanted).strip().lower()
    if not name:
        return
    if name not in LEVELS:
        warnings.warn(f'{VARIABLE} should be one of {", ".join(LEVELS)}, got {name!r}', UserWarning, stacklevel=2)
        return
    logger = logging.getLogger(ROOT)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_is_not_shown_elsewhere)
    logger.addHandler(handler)
    logger.setLevel(name.upper())


def _is_not_shown_elsewhere(record: logging.LogRecord) -> bool:
    """Return whether no handler of the program shows the record, which would then be shown twice."""
    return all(record.levelno < handler.level for handler in logging.getLogger().handlers)
