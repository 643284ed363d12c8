"""What ``run`` sends, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.parameters import form_value
from scrapinghub.client._support.reading import uncertain
from scrapinghub.client._support.responses import field
from scrapinghub.client.utils import update_kwargs
from scrapinghub.exceptions import BadRequest, DuplicateJobError
from scrapinghub.transport.http.retries import Repeat


def run_form(
    project_id: str,
    spider: str,
    options: Mapping[str, Any],
    job_args: Mapping[str, Any] | None,
    further: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the form that schedules a job.

    Args:
        project_id: Id of the project.
        spider: Name of the spider.
        options: The fields of the call: ``units``, ``meta`` and so on; None is left out, dicts become JSON text.
        job_args: Arguments of the spider.
        further: Further fields, which win over arguments of the same name.

    Returns:
        The form.

    Raises:
        ValueError: An argument of the spider has the name of a field of the call, which would take its place.
    """
    form: dict[str, Any] = {}
    update_kwargs(form, project=project_id, spider=spider, **options)
    for name, value in {**(job_args or {}), **further}.items():
        if name in form and value is not None:
            raise ValueError(
                f'{name!r} cannot be an argument of the spider here: the service takes it as a field of the call'
            )
        if value is not None:
            form[name] = form_value(value)
    return form


def schedule(dash: Dash, form: Mapping[str, Any]) -> str:
    """Schedule a job.

    Args:
        dash: The dash.
        form: What :func:`run_form` made.

    Returns:
        The key of the job.

    Raises:
        DuplicateJobError: The same spider with the same arguments is waiting or running.
        BadRequest: The dash refuses.
    """
    spider = str(form['spider'])
    told = (
        'The service may have scheduled the job although its answer was lost, so the request was not repeated. Look '
        f"with project.jobs.iter(spider={spider!r}, state=['pending', 'running', 'finished']) before running it again."
    )
    try:
        with uncertain(told):
            answer = dash.post(('run.json',), form, repeat=Repeat.UNRECEIVED)
    except BadRequest as error:
        if 'already scheduled' in (error.message or ''):
            raise _duplicate(error) from error
        raise
    return field(answer, 'jobid', str, 'POST run.json')


def _duplicate(error: BadRequest) -> DuplicateJobError:
    duplicate = DuplicateJobError(error.message)
    duplicate.status_code, duplicate.method, duplicate.url = error.status_code, error.method, error.url
    duplicate.hint = (
        'A job of the spider with the same arguments is waiting or running. Other arguments make another job; tags, '
        'units, priority and meta do not.'
    )
    return duplicate
