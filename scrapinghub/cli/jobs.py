"""Commands for jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from scrapinghub.cli.output import is_for_people, print_fields, print_rows
from scrapinghub.cli.support import Settings, common_options, connect, pairs, parse_duration

if TYPE_CHECKING:
    from scrapinghub.client.bulk import BulkResult
    from scrapinghub.client.jobs import Job
    from scrapinghub.client.selection import JobSelection

COLUMNS = ('key', 'spider', 'state', 'close_reason', 'ts', 'items', 'errors', 'tags')
STATES = click.Choice(['pending', 'running', 'finished', 'deleted'])


@click.command()
@click.argument('target', metavar='PROJECT[/SPIDER]')
@click.option('--spider', metavar='NAME', help='Only jobs of this spider.')
@click.option('--state', type=STATES, multiple=True, help='Only jobs in this state; repeatable.')
@click.option('--has-tag', metavar='TAG', multiple=True, help='Only jobs with this tag, or any of several.')
@click.option('--lacks-tag', metavar='TAG', multiple=True, help='Only jobs without this tag, or all of several.')
@click.option('--since', type=parse_duration, metavar='DURATION', help='Only jobs whose state changed since: 7d.')
@click.option('--before', type=parse_duration, metavar='DURATION', help='Only jobs whose state changed before: 30d.')
@click.option('--count', type=click.IntRange(0), default=20, show_default=True, help='Maximum number of jobs.')
@common_options
def jobs(settings: Settings, target: str, since: timedelta | None, before: timedelta | None, **filters: Any) -> None:
    """List jobs, those that changed their state last first.

    PROJECT is the id of a project; PROJECT/SPIDER selects a spider by its id.
    """
    project_id, _, spider_id = target.partition('/')
    with connect(settings) as client:
        project = client.get_project(project_id)
        if spider_id:
            filters['spider'] = project.spiders.get_name(spider_id)
        selection = project.jobs.select(startts=since, endts=before, **_given(filters))
        print_rows(selection, settings, COLUMNS if is_for_people(settings) else None, hide_empty=True)


def _given(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters without those that were not given; repeatable options are empty tuples then."""
    return {name: value for name, value in filters.items() if value not in (None, ())}


@click.command('run')
@click.argument('project')
@click.argument('spider')
@click.option('-a', 'arguments', metavar='NAME=VALUE', multiple=True, help='Argument of the spider; repeatable.')
@click.option('-s', 'job_settings', metavar='NAME=VALUE', multiple=True, help='Scrapy setting; repeatable.')
@click.option('--tag', 'tags', metavar='TAG', multiple=True, help='Tag of the job; repeatable.')
@click.option('--units', type=click.IntRange(1), help='Number of units.')
@click.option('--priority', type=click.IntRange(0, 4), help='Priority, from 0 to 4.')
@click.option('--wait', 'wait_for_end', is_flag=True, help='Wait until the job is finished.')
@click.option('--follow', is_flag=True, help='Print the log until the job is finished.')
@common_options
def run_job(
    settings: Settings,
    project: str,
    spider: str,
    arguments: tuple[str, ...],
    job_settings: tuple[str, ...],
    tags: tuple[str, ...],
    wait_for_end: bool,
    follow: bool,
    units: int | None,
    priority: int | None,
) -> int:
    """Schedule SPIDER in PROJECT and print the key of the job."""
    from scrapinghub.cli.records import print_log

    with connect(settings) as client:
        job = client.get_project(project).jobs.run(
            spider,
            job_args=pairs(arguments, '-a'),
            job_settings=pairs(job_settings, '-s') or None,
            add_tag=list(tags) or None,
            units=units,
            priority=priority,
        )
        if not follow and not wait_for_end:
            print_fields({'key': job.key, 'url': job.url}, settings)
            return 0
        click.echo(f'{job.key}  {job.url}', err=True)
        if follow:
            print_log(job.logs.follow(), settings)
        job.wait()
        return _print_end(job, settings)


def _print_end(job: Job, settings: Settings) -> int:
    """Print how a job ended; return the exit status."""
    found = job.metadata
    fields = {'key': job.key, 'state': found.get('state'), 'close_reason': found.get('close_reason')}
    print_fields(fields, settings)
    if fields['close_reason'] == 'finished':
        return 0
    click.echo(f'The log says why: scrapinghub logs {job.key}', err=True)
    return 1


@click.command()
@click.argument('keys', metavar='KEY...', nargs=-1, required=True)
@click.option('--timeout', type=click.FloatRange(0), metavar='SECONDS', help='Maximum time to wait.')
@common_options
def wait(settings: Settings, keys: tuple[str, ...], timeout: float | None) -> int:
    """Wait until jobs are finished; print each when it is."""
    status = 0
    with connect(settings) as client:
        for project_id, of_project in _by_project(keys).items():
            for job in client.get_project(project_id).jobs.as_completed(of_project, timeout):
                status = max(status, _print_end(job, settings))
    return status


def _by_project(keys: Sequence[str]) -> dict[str, list[str]]:
    """Return keys or URLs of jobs by project."""
    from scrapinghub.client.utils import parse_job_key

    by_project: dict[str, list[str]] = {}
    for key in map(parse_job_key, keys):
        by_project.setdefault(key.project_id, []).append(str(key))
    return by_project


@click.command()
@click.argument('keys', metavar='KEY...', nargs=-1, required=True)
@common_options
def cancel(settings: Settings, keys: tuple[str, ...]) -> int:
    """Ask jobs to stop."""
    status = 0
    with connect(settings) as client:
        for project_id, of_project in _by_project(keys).items():
            result = client.get_project(project_id).jobs.select(key=of_project).cancel()
            status = max(status, _print_result(result, 'cancelled', settings))
            missing = set(of_project).difference(result.planned, result.skipped)
            for key in sorted(missing):
                click.echo(f'{key}: the job does not exist', err=True)
            status = 1 if missing else status
    return status


def _print_result(result: BulkResult, done: str, settings: Settings) -> int:
    """Print what a bulk operation did to each job; return the exit status."""
    outcomes = {
        **dict.fromkeys(result.done, done),
        **dict.fromkeys(result.skipped, 'skipped'),
        **dict.fromkeys(result.unknown, 'unknown: the response was lost'),
        **{key: f'failed: {error}' for key, error in result.failed.items()},
    }
    print_rows([{'key': key, 'result': outcome} for key, outcome in outcomes.items()], settings)
    return 1 if result.failed or result.unknown else 0


@click.command()
@click.argument('key')
@common_options
def show(settings: Settings, key: str) -> None:
    """Show the metadata, statistics and field coverage of a job."""
    from scrapinghub.exceptions import NotFound

    with connect(settings) as client:
        job = client.get_job(key)
        metadata = dict(job.metadata.iter())
        if not metadata:
            raise NotFound(f'job {job.key} does not exist')
        fields = {'key': job.key, 'url': job.url, **metadata}
        fields['stats'] = job.items.stats().get('totals', {})
        fields['field_coverage'] = {name: f'{share:.1%}' for name, share in job.items.field_coverage().items()}
        print_fields(fields, settings)


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that change the jobs of a selection."""
    for option in (
        click.option('--yes', is_flag=True, help='Do not prompt.'),
        click.option('--dry-run', is_flag=True, help='Only list the jobs.'),
        click.option('--before', type=parse_duration, metavar='DURATION', help='If the state changed before: 30d.'),
        click.option('--since', type=parse_duration, metavar='DURATION', help='If the state changed since: 7d.'),
        click.option('--lacks-tag', metavar='TAG', multiple=True, help='Only jobs without this tag.'),
        click.option('--has-tag', metavar='TAG', multiple=True, help='Only jobs with this tag, or any of several.'),
        click.option('--state', type=STATES, multiple=True, help='Only jobs in this state; repeatable.'),
        click.option('--spider', metavar='NAME', help='Only jobs of this spider.'),
    ):
        command = option(command)
    return command


@click.command()
@click.argument('project')
@_selecting
@common_options
def delete(settings: Settings, project: str, yes: bool, dry_run: bool, **filters: Any) -> int:
    """Delete finished jobs with their data.

    Lists the jobs, and prompts before it deletes exactly these. Needs at least one filter other than --state.
    """
    if _given(filters).keys() <= {'state'}:
        raise click.UsageError(
            f'all finished jobs of project {project} match: give --spider, --has-tag, --lacks-tag, --since or --before'
        )
    return _change(
        settings, project, filters, yes, dry_run, 'Delete', 'deleted', lambda jobs, dry: jobs.delete(dry_run=dry)
    )


@click.command()
@click.argument('project')
@_selecting
@click.option('--add', metavar='TAG', multiple=True, help='Tag to add; repeatable.')
@click.option('--remove', metavar='TAG', multiple=True, help='Tag to remove; repeatable.')
@common_options
def tag(
    settings: Settings,
    project: str,
    yes: bool,
    dry_run: bool,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    **filters: Any,
) -> int:
    """Add and remove tags of jobs.

    Lists the jobs, and prompts before it changes exactly these.
    """
    if not add and not remove:
        raise click.UsageError('give at least one tag with --add or --remove')

    def change(jobs: JobSelection, dry: bool) -> BulkResult:
        return jobs.update_tags(add=list(add) or None, remove=list(remove) or None, dry_run=dry)

    return _change(settings, project, filters, yes, dry_run, 'Change the tags of', 'changed', change)


def _change(
    settings: Settings,
    project_id: str,
    filters: dict[str, Any],
    yes: bool,
    dry_run: bool,
    question: str,
    done: str,
    change: Callable[[JobSelection, bool], BulkResult],
) -> int:
    """List jobs, prompt, and change exactly the jobs that were listed."""
    names: dict[str, str] = {'since': 'startts', 'before': 'endts'}
    given = _given({names.get(name, name): value for name, value in filters.items()})
    with connect(settings) as client:
        project = client.get_project(project_id)
        selection = project.jobs.select(**given)
        planned = change(selection, True).planned
        if not planned:
            click.echo('No jobs match.', err=True)
            return 0
        listed = project.jobs.select(key=planned, state=given.get('state'))
        if dry_run or not yes:
            print_rows(listed, settings, COLUMNS if is_for_people(settings) else None, hide_empty=True)
        if dry_run:
            return 0
        if not yes:
            _confirm(f'{question} {len(planned)} jobs?')
        return _print_result(change(listed, False), done, settings)


def _confirm(question: str) -> None:
    """Prompt the user; end the command if the answer is no, or if there is no terminal."""
    if not sys.stdin.isatty():
        raise click.UsageError(f'{question} Without a terminal, confirm with --yes.')
    click.confirm(question, abort=True, err=True)
