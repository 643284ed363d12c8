"""Commands for periodic jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scrapinghub.cli.output import print_fields, print_rows
from scrapinghub.cli.support import Settings, common_options, connect, pairs

if TYPE_CHECKING:
    from scrapinghub.client.periodic_jobs import PeriodicJob


@click.group('periodic-jobs')
@click.argument('project')
@click.pass_context
def periodic_jobs(context: click.Context, project: str) -> None:
    """Manage the periodic jobs of PROJECT."""
    context.obj = project


def _fields(periodic: PeriodicJob) -> dict[str, Any]:
    return {
        'id': periodic.id,
        'cron': periodic.cron,
        'tasks': [str(task.get('name')) for task in periodic.tasks],
        'tags': periodic.tags,
        'disabled': periodic.disabled,
        'next_run': periodic.next_run(),
        'description': periodic.description,
    }


@periodic_jobs.command('list')
@common_options
@click.pass_obj
def list_periodic_jobs(project: str, settings: Settings) -> None:
    """List the periodic jobs."""
    with connect(settings) as client:
        print_rows(map(_fields, client.get_project(project).periodic_jobs.iter()), settings)


@periodic_jobs.command()
@click.argument('spider')
@click.option('--cron', required=True, metavar='TEXT', help='When to run, in UTC: minute hour day month weekday.')
@click.option('-a', 'arguments', metavar='NAME=VALUE', multiple=True, help='Argument of the spider; repeatable.')
@click.option('--tag', 'tags', metavar='TAG', multiple=True, help='Tag of the jobs; repeatable.')
@click.option('--priority', type=click.IntRange(0, 4), help='Priority of the jobs, from 0 to 4.')
@click.option('--description', help='Description for people.')
@common_options
@click.pass_obj
def create(
    project: str,
    settings: Settings,
    spider: str,
    cron: str,
    arguments: tuple[str, ...],
    tags: tuple[str, ...],
    priority: int | None,
    description: str | None,
) -> None:
    """Create a periodic job that runs SPIDER."""
    with connect(settings) as client:
        periodic = client.get_project(project).periodic_jobs.create(
            spider,
            cron=cron,
            job_args=pairs(arguments, '-a') or None,
            add_tag=tags,
            priority=priority,
            description=description,
        )
        print_fields(_fields(periodic), settings)


def _acting(name: str, help_text: str) -> click.Command:
    """Return a command that calls one method of a periodic job."""

    @click.command(name, help=help_text)
    @click.argument('id', type=int)
    @common_options
    @click.pass_obj
    def act(project: str, settings: Settings, id: int) -> None:
        with connect(settings) as client:
            periodic = client.get_project(project).periodic_jobs.get(id)
            getattr(periodic, name)()
            if name != 'delete':
                print_fields(_fields(periodic), settings)

    return act


periodic_jobs.add_command(_acting('pause', 'Stop starting jobs, until resume.'))
periodic_jobs.add_command(_acting('resume', 'Start jobs again.'))
periodic_jobs.add_command(_acting('delete', 'Delete a periodic job; its jobs stay.'))
