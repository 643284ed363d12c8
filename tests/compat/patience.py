"""Give an older client a clock on which waiting costs nothing."""

from scrapinghub import HubstorageClient
from scrapinghub.hubstorage.retrier import Retrier
from scrapinghub.transport.retries import RetrySettings
from transport.clocks import ManualClock


def patient(hubstorage: HubstorageClient, clock: ManualClock) -> None:
    """Let a client wait by this clock, and as often as it waits by default."""
    hubstorage.transport.clock = clock
    settings = hubstorage.retry_settings
    if settings.max_retry_time == 0.01:
        hubstorage.retry_settings = RetrySettings()
    hubstorage.retrier = Retrier(hubstorage.retry_settings, clock)
