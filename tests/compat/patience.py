"""Give an older client a clock on which waiting costs nothing."""

from scrapinghub import HubstorageClient
from scrapinghub.hubstorage.retrier import Retrier
from support.clocks import ManualClock


def patient(hubstorage: HubstorageClient, clock: ManualClock) -> None:
    """Let a client wait by this clock, and as often as it would by another one."""
    hubstorage.transport.clock = clock
    hubstorage.retrier = Retrier(hubstorage.retry_settings, clock)
