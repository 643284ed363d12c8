"""A job and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from scrapinghub.hubstorage.jobq import JobQ
from scrapinghub.hubstorage.resourcetype import DownloadableResource, ItemsResourceType, MappingResourceType
from scrapinghub.hubstorage.utils import millitime, urlpathjoin

if TYPE_CHECKING:
    from scrapinghub.hubstorage.client import HubstorageClient


class Job:
    """A job.

    Args:
        client: The low-level client.
        key: Its key ``project/spider/job``, or the three as a tuple.
        auth: Credentials instead of the client's own.
        jobauth: Credentials for the data of the job, instead of ``auth``.
        metadata: Known metadata, which are not requested.

    Attributes:
        key: The key.
        jobauth: As given.
        auth: ``jobauth`` or ``auth``.
        metadata: The metadata.
        items: The items.
        logs: The log.
        samples: The samples.
        requests: The requests.
        jobq: The job queue of the project.

    Raises:
        AssertionError: The key does not have three parts.
    """

    def __init__(
        self,
        client: HubstorageClient,
        key: Any,
        auth: Any = None,
        jobauth: Any = None,
        metadata: Any = None,
    ) -> None:
        self.key = urlpathjoin(key) or ''
        if self.key.count('/') != 2:
            raise AssertionError(f'Jobkey must be projectid/spiderid/jobid: {self.key}')
        self.jobauth = jobauth
        self.auth = jobauth or auth
        self.metadata = JobMeta(client, self.key, self.auth, cached=metadata)
        self.items = Items(client, self.key, self.auth)
        self.logs = Logs(client, self.key, self.auth)
        self.samples = Samples(client, self.key, self.auth)
        self.requests = Requests(client, self.key, self.auth)
        self.jobq = JobQ(client, self.key.partition('/')[0], auth)

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Change and save metadata; the arguments are those of :meth:`dict.update`."""
        self.metadata.update(*args, **kwargs)
        self.metadata.save()
        self.metadata.expire()

    def request_cancel(self) -> None:
        """Cancel the job."""
        self.jobq.request_cancel(self)

    def purged(self) -> None:
        """Set the state of the job to ``deleted``."""
        self.jobq.delete(self)
        self.metadata.expire()

    def close_writers(self) -> None:
        """Send the queued records of the job, and close its writers."""
        for records in (self.items, self.logs, self.samples, self.requests):
            records.close()


class JobMeta(MappingResourceType):
    """Metadata of a job, cached until :meth:`expire`."""

    resource_type = 'jobs'
    # A set, because programs can add names to it.
    ignore_fields: ClassVar[set[str]] = {'auth', '_key', 'state'}

    def authtoken(self) -> Any:
        """Return the token of the running job; None if it is not running."""
        return self.liveget('auth')


class Items(ItemsResourceType, DownloadableResource):
    """Items of a job."""

    resource_type = 'items'
    offers_msgpack = True
    batch_content_encoding = 'gzip'


class Logs(ItemsResourceType, DownloadableResource):
    """Log of a job.

    Args:
        client: The low-level client.
        key: Key of the job.
        auth: Credentials instead of the client's own.
        appendmode: Whether to write after the stored entries.

    Attributes:
        batch_append: Whether to write after the stored entries.
    """

    resource_type = 'logs'
    offers_msgpack = True
    batch_content_encoding = 'gzip'

    def __init__(self, client: HubstorageClient, key: Any, auth: Any = None, appendmode: bool = False) -> None:
        super().__init__(client, key, auth)
        self.batch_append = appendmode

    def batch_write_start(self) -> int:
        """Return the number at which a new writer begins."""
        if not self.batch_append:
            return super().batch_write_start()
        totals = (self.stats() or {}).get('totals') or {}
        return int(totals.get('input_values') or 0)

    @property
    def _first_number(self) -> Any:
        return self.batch_write_start if self.batch_append else self.batch_write_start()

    def log(self, message: str, level: int = 20, ts: Any = None, **other: Any) -> None:
        """Queue a log entry for storing.

        Args:
            message: The text.
            level: The level as a number.
            ts: Time of the entry, in milliseconds since the epoch; now by default.
            **other: Further fields. ``appendmode=True`` in the first entry continues after the stored entries.
        """
        if other.get('appendmode') and self._writer is None:
            self.batch_append = True
        self.write({**other, 'message': message, 'level': level, 'time': ts or millitime()})

    def debug(self, message: str, **other: Any) -> None:
        """Queue an entry of level DEBUG."""
        self.log(message, 10, **other)

    def info(self, message: str, **other: Any) -> None:
        """Queue an entry of level INFO."""
        self.log(message, 20, **other)

    def warn(self, message: str, **other: Any) -> None:
        """Queue an entry of level WARNING."""
        self.log(message, 30, **other)

    warning = warn

    def error(self, message: str, **other: Any) -> None:
        """Queue an entry of level ERROR."""
        self.log(message, 40, **other)


class Samples(ItemsResourceType):
    """Samples of a job."""

    resource_type = 'samples'
    offers_msgpack = True

    def stats(self) -> NoReturn:
        """Raise an error: the service keeps no statistics of samples."""
        raise NotImplementedError('Resource does not expose stats')


class Requests(ItemsResourceType, DownloadableResource):
    """Requests of a job."""

    resource_type = 'requests'
    batch_content_encoding = 'gzip'

    def add(
        self,
        url: str,
        status: Any,
        method: str,
        rs: Any,
        parent: int | None,
        duration: Any,
        ts: Any,
        fp: str | None = None,
    ) -> int:
        """Queue a request for storing.

        Args:
            url: Its URL.
            status: Status of its response.
            method: Its method.
            rs: Size of its response, in bytes.
            parent: Number of the request that led to it, or None.
            duration: Duration, in milliseconds.
            ts: Time of the request, in milliseconds since the epoch.
            fp: Its fingerprint.

        Returns:
            The number of the record.
        """
        return self.write(
            {
                'url': url,
                'status': int(status),
                'method': method,
                'rs': int(rs),
                'duration': int(duration),
                'parent': parent,
                'time': int(ts),
                'fp': fp,
            }
        )
