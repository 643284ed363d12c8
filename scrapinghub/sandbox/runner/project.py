"""A Scrapy project on this machine: its spiders, and the commands that run its jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Not `-m`: an interpreter without the package answers with one line instead of a traceback.
_ENTRY = """
import sys
try:
    from scrapinghub.scrapy.run_job import main
except ImportError as error:
    print(f'{sys.executable} cannot run jobs ({error}): install scrapinghub[scrapy] for it', file=sys.stderr)
    sys.exit(78)
sys.exit(main(sys.argv[1:]))
"""
#: Exit status of an interpreter that cannot run jobs: a configuration error, see ``sysexits.h``.
CANNOT_RUN = 78
LIST_SECONDS = 60


@dataclass(frozen=True)
class ScrapyProject:
    """A folder with ``scrapy.cfg``.

    Attributes:
        folder: The folder.
        python: The interpreter that runs the jobs.
    """

    folder: Path
    python: str = sys.executable

    def __post_init__(self) -> None:
        if not (self.folder / 'scrapy.cfg').is_file():
            raise ValueError(f'scrapy should be the folder of a Scrapy project, but {self.folder} has no scrapy.cfg')

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs the entry script, in the folder of the project."""
        return [self.python, '-c', _ENTRY, *arguments]

    def list_spiders(self) -> list[str]:
        """Return the names of the spiders.

        Raises:
            ValueError: The project cannot be loaded; the message holds the reason.
        """
        try:
            done = subprocess.run(  # noqa: S603 - the project of the user
                self.command('list'), cwd=self.folder, capture_output=True, text=True, timeout=LIST_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ValueError(f'the spiders of {self.folder} cannot be listed: {error}') from error
        if done.returncode:
            raise ValueError(f'the spiders of {self.folder} cannot be listed: {done.stderr.strip()[-2000:]}')
        names: list[str] = json.loads(done.stdout.splitlines()[-1])
        return names
