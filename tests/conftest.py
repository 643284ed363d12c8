"""What every test shares."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

# The same examples in every run: what fails, fails for everybody. A busy machine is no reason to fail either.
hypothesis.settings.register_profile('fast', deadline=None, derandomize=True, max_examples=30)
# New ones each time, for the long tests: pytest's option --hypothesis-profile chooses.
hypothesis.settings.register_profile('thorough', deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile('fast')

# What a developer has exported for real work must not reach a test: it would change results, or send them to the
# service.
ENVIRONMENT = (
    'SCRAPINGHUB_INSTANT_RETRIES',
    'SCRAPINGHUB_LOG',
    'SHUB_APIKEY',
    'SHUB_APIURL',
    'SHUB_JOBAUTH',
    'SHUB_JOBQ',
    'SHUB_STORAGE',
    'SH_APIKEY',
)


@pytest.fixture(scope='session', autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let SIGINT interrupt, also where the shell that started the tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope='session', autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the developer's own credentials and endpoints for the length of the run."""
    home = str(tmp_path_factory.mktemp('home'))
    with pytest.MonkeyPatch.context() as patch:
        for name in ('HOME', 'USERPROFILE'):
            patch.setenv(name, home)
        for name in ENVIRONMENT:
            patch.delenv(name, raising=False)
        yield
