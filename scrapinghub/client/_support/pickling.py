"""Pickle records without credentials: the process that loads them uses its own."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import Any

from scrapinghub.config.credentials import find_credentials
from scrapinghub.config.endpoints import Endpoints
from scrapinghub.redaction import Hidden, strip_credentials


class PickledRecords:
    """The key of records and the settings of their client, without credentials.

    Args:
        records: The records.
    """

    def __init__(self, records: Any) -> None:
        client = records._client
        state = client.__getstate__()
        _, endpoints, options = state['transport']
        addresses = Endpoints(*(strip_credentials(url) or '' for url in vars(endpoints).values()))
        state['transport'] = addresses, {**options, 'credentials_hint': None}
        # They may hold credentials, too.
        state['session'] = {}
        self._client_state = pickle.dumps((type(client), state))
        self._records_type: Any = type(records)
        self._records_state = {**records.__getstate__(), '_client': None}

    def load(self) -> Any:
        """Return the records.

        Raises:
            RuntimeError: There are no credentials.
        """
        found = find_credentials(Hidden(None), None)
        records = self._records_type.__new__(self._records_type)
        client = _load_client(self._client_state, found.credentials, found.hint)
        vars(records).update({**self._records_state, '_client': client})
        return records


@lru_cache(maxsize=8)
def _load_client(pickled: bytes, credentials: Any, hint: str) -> Any:
    """Return a client, the same one for all partitions of a process: they share its connections."""
    kind, state = pickle.loads(pickled)  # noqa: S301 - it was a part of a pickle
    endpoints, options = state['transport']
    client = kind.__new__(kind)
    client.__setstate__({**state, 'transport': (credentials, endpoints, {**options, 'credentials_hint': hint})})
    return client
