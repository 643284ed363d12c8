"""Commands for collections."""

from __future__ import annotations

import click

from scrapinghub.cli.output import print_fields, print_rows, shows_progress
from scrapinghub.cli.support import Settings, common_options, connect


@click.group()
@click.argument('project')
@click.pass_context
def collections(context: click.Context, project: str) -> None:
    """Read and copy the collections of PROJECT."""
    context.obj = project


@collections.command('list')
@common_options
@click.pass_obj
def list_collections(project: str, settings: Settings) -> None:
    """List the collections."""
    with connect(settings) as client:
        print_rows(client.get_project(project).collections.iter(), settings)


@collections.command()
@click.argument('store')
@click.argument('key')
@common_options
@click.pass_obj
def get(project: str, settings: Settings, store: str, key: str) -> None:
    """Print the record KEY of STORE."""
    with connect(settings) as client:
        print_fields(client.get_project(project).collections.get_store(store).get(key), settings)


@collections.command()
@click.argument('store')
@click.option('--prefix', help='Only records whose keys begin with this text.')
@click.option('--count', type=click.IntRange(0), help='Maximum number of records.')
@common_options
@click.pass_obj
def scan(project: str, settings: Settings, store: str, prefix: str | None, count: int | None) -> None:
    """Print the records of STORE in the order of their keys."""
    with connect(settings) as client:
        records = client.get_project(project).collections.get_store(store).iter(prefix=prefix, count=count)
        print_rows(records, settings)


@collections.command()
@click.argument('store')
@click.argument('path', type=click.Path())
@click.option('--overwrite', is_flag=True, help='Replace an existing file.')
@common_options
@click.pass_obj
def download(project: str, settings: Settings, store: str, path: str, overwrite: bool) -> None:
    """Store the records of STORE in a file; continues an interrupted download."""
    with connect(settings) as client:
        collection = client.get_project(project).collections.get_store(store)
        click.echo(collection.download(path, progress=shows_progress(settings), overwrite=overwrite))


@collections.command()
@click.argument('store')
@click.argument('target', metavar='PROJECT/STORE')
@common_options
@click.pass_obj
def copy(project: str, settings: Settings, store: str, target: str) -> None:
    """Copy the records of STORE to the store of another project."""
    other_project, separator, other_store = target.partition('/')
    if not separator or not other_store:
        raise click.BadParameter(f'{target!r} is not PROJECT/STORE', param_hint='target')
    with connect(settings) as client:
        source = client.get_project(project).collections.get_store(store)
        other = client.get_project(other_project).collections.get_store(other_store)
        print_fields({'copied': source.copy_to(other)}, settings)
