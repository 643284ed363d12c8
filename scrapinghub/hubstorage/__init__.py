"""The low-level client, for programs written against older releases; new ones use :mod:`scrapinghub.client`.

It has objects of its own and the transport, streams and uploads of everything else: no second session, retry loop or
decoder. Nothing in the rest of the package needs it.
"""

from __future__ import annotations

from scrapinghub.exceptions import ValueTooLarge as ValueTooLarge
from scrapinghub.hubstorage.client import HubstorageClient

__all__ = ['HubstorageClient']
