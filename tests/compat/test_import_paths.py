"""Every name that programs import is where they look for it."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import scrapinghub

PATHS = [
    'scrapinghub.ScrapinghubClient',
    'scrapinghub.HubstorageClient',
    'scrapinghub.Connection',
    'scrapinghub.Project',
    'scrapinghub.Job',
    'scrapinghub.JobSet',
    'scrapinghub.RequestProxyMixin',
    'scrapinghub.APIError',
    'scrapinghub.ScrapinghubAPIError',
    'scrapinghub.DuplicateJobError',
    'scrapinghub.BadRequest',
    'scrapinghub.NotFound',
    'scrapinghub.Unauthorized',
    'scrapinghub.ValueTooLarge',
    'scrapinghub.ServerError',
    'scrapinghub.__version__',
    'scrapinghub.client.exceptions.NotFound',
    'scrapinghub.client.exceptions.ServerError',
    'scrapinghub.client.exceptions.Unauthorized',
    'scrapinghub.client.exceptions.ScrapinghubAPIError',
    'scrapinghub.client.exceptions.BadRequest',
    'scrapinghub.client.exceptions.DuplicateJobError',
    'scrapinghub.client.exceptions.Forbidden',
    'scrapinghub.client.exceptions.ValueTooLarge',
    'scrapinghub.client.ScrapinghubClient',
    'scrapinghub.client.parse_auth',
    'scrapinghub.client.parse_job_key',
    'scrapinghub.client.parse_project_id',
    'scrapinghub.client.Projects',
    'scrapinghub.client.HubstorageClient',
    'scrapinghub.client.Connection',
    'scrapinghub.client.DEFAULT_CONNECTION_TIMEOUT',
    'scrapinghub.client.jobs.Job',
    'scrapinghub.client.jobs.JobMeta',
    'scrapinghub.client.jobs.Jobs',
    'scrapinghub.client.projects.Project',
    'scrapinghub.client.projects.Projects',
    'scrapinghub.client.projects.Settings',
    'scrapinghub.client.spiders.Spider',
    'scrapinghub.client.spiders.Spiders',
    'scrapinghub.client.items.Items',
    'scrapinghub.client.logs.Logs',
    'scrapinghub.client.requests.Requests',
    'scrapinghub.client.samples.Samples',
    'scrapinghub.client.activity.Activity',
    'scrapinghub.client.collections.Collection',
    'scrapinghub.client.collections.Collections',
    'scrapinghub.client.frontiers.Frontiers',
    'scrapinghub.client.frontiers.FrontierSlotQueue',
    'scrapinghub.client.utils.parse_job_key',
    'scrapinghub.client.utils.JobKey',
    'scrapinghub.client.utils.LogLevel',
    'scrapinghub.client.utils.parse_auth',
    'scrapinghub.client.utils.update_kwargs',
    'scrapinghub.client.utils.get_tags_for_update',
    'scrapinghub.hubstorage.HubstorageClient',
    'scrapinghub.hubstorage.ValueTooLarge',
    'scrapinghub.hubstorage.client.HubstorageClient',
    'scrapinghub.hubstorage.project.Project',
    'scrapinghub.hubstorage.job.Job',
    'scrapinghub.hubstorage.job.Items',
    'scrapinghub.hubstorage.job.Logs',
    'scrapinghub.hubstorage.job.JobMeta',
    'scrapinghub.hubstorage.jobq.JobQ',
    'scrapinghub.hubstorage.jobq.DuplicateJobError',
    'scrapinghub.hubstorage.activity.Activity',
    'scrapinghub.hubstorage.collectionsrt.Collections',
    'scrapinghub.hubstorage.collectionsrt.Collection',
    'scrapinghub.hubstorage.frontier.Frontier',
    'scrapinghub.hubstorage.resourcetype.ResourceType',
    'scrapinghub.hubstorage.resourcetype.DownloadableResource',
    'scrapinghub.hubstorage.resourcetype.ItemsResourceType',
    'scrapinghub.hubstorage.resourcetype.MappingResourceType',
    'scrapinghub.hubstorage.batchuploader.BatchUploader',
    'scrapinghub.hubstorage.batchuploader.ValueTooLarge',
    'scrapinghub.hubstorage.serialization.jsondefault',
    'scrapinghub.hubstorage.serialization.jsonencode',
    'scrapinghub.hubstorage.serialization.jlencode',
    'scrapinghub.hubstorage.serialization.jldecode',
    'scrapinghub.hubstorage.serialization.mpdecode',
    'scrapinghub.hubstorage.serialization.MSGPACK_AVAILABLE',
    'scrapinghub.hubstorage.utils.urlpathjoin',
    'scrapinghub.hubstorage.utils.xauth',
    'scrapinghub.hubstorage.utils.millitime',
    'scrapinghub.hubstorage.utils.sizeof_fmt',
    'scrapinghub.hubstorage.utils.iterqueue',
    'scrapinghub.hubstorage.utils.apipoll',
    'scrapinghub.legacy.Connection',
    'scrapinghub.legacy.APIError',
    'scrapinghub.legacy.Job',
    'scrapinghub.legacy.JobSet',
    'scrapinghub.legacy.Project',
    'scrapinghub.legacy.RequestProxyMixin',
]


@pytest.mark.parametrize('path', PATHS)
def test_a_name_is_where_programs_import_it(path: str) -> None:
    module, _, name = path.rpartition('.')
    assert getattr(importlib.import_module(module), name) is not None


# One process for each would take a minute.
BARE_IMPORT = ('scrapinghub.client.exceptions.NotFound', 'scrapinghub.legacy.Connection', 'scrapinghub.Project')


@pytest.mark.parametrize('path', BARE_IMPORT)
def test_a_bare_import_is_enough_to_reach_a_module(path: str) -> None:
    root = Path(scrapinghub.__file__).parents[1]
    subprocess.run([sys.executable, '-c', f'import scrapinghub; {path}'], check=True, timeout=60, cwd=root)


def test_a_too_large_value_is_one_class_under_all_paths() -> None:
    from scrapinghub.hubstorage import ValueTooLarge
    from scrapinghub.hubstorage.batchuploader import ValueTooLarge as Another

    assert ValueTooLarge is Another is scrapinghub.ValueTooLarge
    assert issubclass(ValueTooLarge, ValueError)


def test_the_clients_of_the_client_module_are_kinds_of_the_older_ones() -> None:
    from scrapinghub.client import Connection, HubstorageClient

    assert issubclass(HubstorageClient, scrapinghub.HubstorageClient)
    assert issubclass(Connection, scrapinghub.Connection)
