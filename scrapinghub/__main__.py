"""The command line: ``python -m scrapinghub``, or the console script ``scrapinghub``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from scrapinghub.cli.main import run
    except ModuleNotFoundError as error:
        if error.name != 'click':
            raise
        sys.exit('the command line needs click: install it with pip install "scrapinghub[cli]"')
    sys.exit(run(sys.argv[1:]))


if __name__ == '__main__':
    main()
