"""The low-level client, for programs written for older releases; new ones use :mod:`scrapinghub.client`.

It uses the transport, the streams and the writers of the package. No other part of the package imports it.
"""

from __future__ import annotations

from scrapinghub.exceptions import ValueTooLarge as ValueTooLarge
from scrapinghub.hubstorage.client import HubstorageClient

__all__ = ['HubstorageClient']
