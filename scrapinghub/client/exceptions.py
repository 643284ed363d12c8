"""The public path of the exceptions; they are defined in :mod:`scrapinghub.exceptions`."""

from __future__ import annotations

from scrapinghub.exceptions import (
    BadRequest,
    BodyBroken,
    ConnectionFailed,
    ConnectTimedOut,
    DecodeError,
    DuplicateJobError,
    EncodingBroken,
    Forbidden,
    NetworkError,
    NotFound,
    ProxyFailed,
    ReadTimedOut,
    ScrapinghubAPIError,
    ServerError,
    StreamInterrupted,
    TLSFailed,
    Unauthorized,
    UnexpectedRedirect,
    UploadError,
    ValueTooLarge,
)

__all__ = [
    'BadRequest',
    'BodyBroken',
    'ConnectTimedOut',
    'ConnectionFailed',
    'DecodeError',
    'DuplicateJobError',
    'EncodingBroken',
    'Forbidden',
    'NetworkError',
    'NotFound',
    'ProxyFailed',
    'ReadTimedOut',
    'ScrapinghubAPIError',
    'ServerError',
    'StreamInterrupted',
    'TLSFailed',
    'Unauthorized',
    'UnexpectedRedirect',
    'UploadError',
    'ValueTooLarge',
]
