"""Names and order of the positional arguments: programs rely on both."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from scrapinghub.client import ScrapinghubClient, utils
from scrapinghub.client.activity import Activity
from scrapinghub.client.jobs import Job, JobMeta, Jobs
from scrapinghub.client.projects import Project, Projects, Settings
from scrapinghub.client.spiders import Spider, Spiders

LISTING = 'count start spider state has_tag lacks_tag startts endts meta'
SIGNATURES: list[tuple[Callable[..., Any], str]] = [
    (ScrapinghubClient, 'auth dash_endpoint connection_timeout dotenv_path'),
    (ScrapinghubClient.get_project, 'project_id'),
    (ScrapinghubClient.get_job, 'job_key'),
    (ScrapinghubClient.close, 'timeout'),
    (Projects, 'client'),
    (Projects.get, 'project_id'),
    (Projects.list, ''),
    (Projects.iter, ''),
    (Projects.summary, 'state **params'),
    (Project, 'client project_id'),
    (Settings, 'cls client key'),
    (JobMeta, 'cls client key'),
    *(
        signature
        for kind in (Settings, JobMeta)
        for signature in ((kind.set, 'key value'), (kind.update, 'values'), (kind.delete, 'key'), (kind.iter, ''))
    ),
    (Spiders, 'client project_id'),
    (Spiders.get, 'spider **params'),
    (Spiders.list, ''),
    (Spiders.iter, ''),
    (Spider, 'client project_id spider_id spider'),
    (Spider.list_tags, ''),
    (Spider.update_tags, 'add remove'),
    (Jobs, 'client project_id spider'),
    (Jobs.count, 'spider state has_tag lacks_tag startts endts **params'),
    (Jobs.iter, f'{LISTING} **params'),
    (Jobs.list, f'{LISTING} **params'),
    (Jobs.run, 'spider units priority meta add_tag job_args job_settings cmd_args environment **params'),
    (Jobs.get, 'job_key'),
    (Jobs.cancel, 'keys count **params'),
    (Jobs.summary, 'state spider **params'),
    (Jobs.iter_last, 'start start_after count spider **params'),
    (Jobs.update_tags, 'add remove spider'),
    (Job, 'client job_key'),
    (Job.update, 'state **params'),
    (Job.start, '**params'),
    (Job.finish, '**params'),
    (Job.delete, '**params'),
    (Job.cancel, ''),
    (Job.update_tags, 'add remove'),
    (Job.close_writers, ''),
    (Activity, 'cls client key'),
    (Activity.iter, 'count **params'),
    (Activity.list, 'count **params'),
    (Activity.add, 'values **kwargs'),
    (utils.JobKey, 'project_id spider_id job_id'),
    (utils.parse_auth, 'auth dotenv_path'),
    (utils.parse_project_id, 'project_id'),
    (utils.parse_job_key, 'job_key'),
    (utils.get_tags_for_update, '**kwargs'),
    (utils.update_kwargs, 'kwargs **params'),
]


@pytest.mark.parametrize(
    ('function', 'expected'), SIGNATURES, ids=lambda value: getattr(value, '__qualname__', None) or 'names'
)
def test_positional_arguments(function: Callable[..., Any], expected: str) -> None:
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.append(f'**{parameter.name}')
        elif parameter.kind is not parameter.KEYWORD_ONLY and parameter.name not in ('self', '_cls'):
            found.append(parameter.name)
    assert ' '.join(found) == expected
