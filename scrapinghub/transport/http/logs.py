"""What the library logs, and where it goes.

Every module logs under its own name, below ``scrapinghub``. Nothing is shown unless the program sets up logging, or
``SCRAPINGHUB_LOG`` is set in its environment.
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
    """Keep the library silent by default; with ``SCRAPINGHUB_LOG``, write its log to stderr.

    Args:
        wanted: A level by name, in any case; that of the environment by default.
    """
    logger = logging.getLogger(ROOT)
    # Otherwise Python writes warnings to stderr by itself as long as nobody has set up logging.
    logger.addHandler(logging.NullHandler())
    name = (os.environ.get(VARIABLE) or '' if wanted is None else wanted).strip().lower()
    if not name:
        return
    if name not in LEVELS:
        warnings.warn(f'{VARIABLE} should be one of {", ".join(LEVELS)}, got {name!r}', UserWarning, stacklevel=2)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_is_not_shown_elsewhere)
    logger.addHandler(handler)
    logger.setLevel(name.upper())


def _is_not_shown_elsewhere(record: logging.LogRecord) -> bool:
    """Return whether no handler of the program itself takes the record: it would be shown twice."""
    return all(record.levelno < handler.level for handler in logging.getLogger().handlers)
