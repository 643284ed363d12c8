"""The command that runs the local Scrapy Cloud."""

from __future__ import annotations

import click


@click.command(
    context_settings={'ignore_unknown_options': True, 'help_option_names': []},
    add_help_option=False,
    short_help='Run a local Scrapy Cloud.',
)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> int | None:
    """Run a local Scrapy Cloud: the same as ``python -m scrapinghub.sandbox``."""
    from scrapinghub.sandbox.__main__ import main

    return main(list(arguments))
