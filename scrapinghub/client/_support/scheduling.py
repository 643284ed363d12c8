"""Schedule jobs: the form of the request, and the meaning of its response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapinghub.client._support.dash import Dash
from scrapinghub.client._support.parameters import encode_form_value
from scrapinghub.client._support.spelling import RUN_GUESSES, warn_user
from scrapinghub.client._support.streams import explain_lost_response
from scrapinghub.client._support.validation import expect_field
from scrapinghub.client.utils import update_kwargs
from scrapinghub.exceptions import BadRequest, DuplicateJobError
from scrapinghub.transport.http.retries import Repeat


def build_run_form(
    project_id: str,
    spider: str,
    options: Mapping[str, Any],
    job_args: Mapping[str, Any] | None,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the form that schedules a job.

    Args:
        project_id: Id of the project.
        spider: Name of the spider.
        options: The other fields of the request, such as ``units`` and ``meta``.
        job_args: Arguments of the spider.
        params: Further arguments of the spider, which override those.

    Raises:
        ValueError: An argument of the spider has the name of a field of the request, and would replace it.
    """
    form: dict[str, Any] = {}
    update_kwargs(form, project=project_id, spider=spider, **options)
    for name in params.keys() & RUN_GUESSES.keys():
        if params[name] is not None:
            warn_user(f'{name!r} becomes an argument of the spider: did you mean {RUN_GUESSES[name]!r}?')
    for name, value in {**(job_args or {}), **params}.items():
        if value is None:
            continue
        if name in form:
            raise ValueError(
                f'{name!r} cannot be an argument of the spider: the service reads it as a field of the request'
            )
        form[name] = encode_form_value(value)
    return form


def schedule_job(dash: Dash, form: Mapping[str, Any]) -> str:
    """Schedule a job.

    Args:
        dash: Sends the request.
        form: The form that :func:`build_run_form` returned.

    Returns:
        The key of the job.

    Raises:
        DuplicateJobError: The same spider with the same arguments is already pending or running.
        BadRequest: The service refuses the request.
    """
    spider = str(form['spider'])
    advice = (
        'The service may have scheduled the job although its response was lost, so the request was not repeated. Look '
        f"at project.jobs.iter(spider={spider!r}, state=['pending', 'running', 'finished']) before running it again."
    )
    try:
        with explain_lost_response(advice):
            response = dash.post(('run.json',), form, repeat=Repeat.UNRECEIVED)
    except BadRequest as error:
        if 'already scheduled' in (error.message or ''):
            raise _duplicate_of(error) from None
        raise
    return expect_field(response, 'jobid', str, 'POST run.json')


def _duplicate_of(error: BadRequest) -> DuplicateJobError:
    duplicate = DuplicateJobError(error.message)
    vars(duplicate).update(vars(error))
    duplicate.hint = (
        'A job of this spider with the same arguments is pending or running. Only different arguments make a different '
        'job: tags, units, priority and meta do not count.'
    )
    return duplicate
