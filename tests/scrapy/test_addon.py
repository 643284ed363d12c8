from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from scrapy.exceptions import NotConfigured
from scrapy.settings import Settings
from scrapy.utils.test import get_crawler

from scrapinghub.scrapy import Addon
from scrapinghub.scrapy.environment import find_job, find_project
from scrapinghub.scrapy.session import Session

EXTENSION = 'scrapinghub.scrapy.extension.JobExtension'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ('SCRAPINGHUB_PROJECT', 'SCRAPY_CHECK', 'SHUB_FIFO_PATH', 'SHUB_JOBAUTH', 'SHUB_JOBKEY'):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def updated(**given: Any) -> Settings:
    """Return settings that the add-on has updated."""
    settings = Settings({'SCRAPINGHUB_PROJECT': 123, **given})
    crawler = get_crawler(Spider, {'SCRAPINGHUB_PROJECT': 123})
    try:
        Addon.from_crawler(crawler).update_settings(settings)
    finally:
        Session.of(crawler).log.stop()
    return settings


def test_the_add_on_enables_its_components() -> None:
    settings = updated()
    assert EXTENSION in settings['EXTENSIONS']
    assert any('scrapinghub' in name for name in settings['DOWNLOADER_MIDDLEWARES'])
    assert any('scrapinghub' in name for name in settings['SPIDER_MIDDLEWARES'])


def test_a_component_that_the_project_has_placed_stays_there() -> None:
    assert updated(EXTENSIONS={EXTENSION: None, 'other.Extension': 1})['EXTENSIONS'][EXTENSION] is None


@pytest.mark.parametrize('given', [{'SCRAPINGHUB_ENABLED': '0'}, {'KEEP_ALIVE': True}])
def test_the_add_on_is_disabled_without_a_crawl(given: dict[str, Any]) -> None:
    with pytest.raises(NotConfigured):
        updated(**given)


def test_the_add_on_is_disabled_while_callbacks_are_tested(environment: pytest.MonkeyPatch) -> None:
    environment.setenv('SCRAPY_CHECK', 'true')
    with pytest.raises(NotConfigured):
        updated()


def test_the_components_are_not_enabled_where_the_platform_stores(environment: pytest.MonkeyPatch) -> None:
    environment.setenv('SHUB_FIFO_PATH', 'pipe')
    assert EXTENSION not in updated()['EXTENSIONS']


@pytest.mark.parametrize(
    ('setting', 'variables', 'project'),
    [
        (123, {'SCRAPINGHUB_PROJECT': '4', 'SHUB_JOBKEY': '5/1/1'}, 123),
        ('123', {}, 123),
        (None, {'SCRAPINGHUB_PROJECT': '4', 'SHUB_JOBKEY': '5/1/1'}, 4),
        (None, {'SHUB_JOBKEY': '5/1/1'}, 5),
    ],
)
def test_the_setting_wins_over_the_environment(
    environment: pytest.MonkeyPatch, setting: Any, variables: dict[str, str], project: int
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert find_project(Settings({'SCRAPINGHUB_PROJECT': setting})) == project


def test_the_project_has_to_be_given() -> None:
    with pytest.raises(NotConfigured, match='SCRAPINGHUB_PROJECT'):
        find_project(Settings())
    with pytest.raises(ValueError, match=r"SCRAPINGHUB_PROJECT.*'mine'"):
        find_project(Settings({'SCRAPINGHUB_PROJECT': 'mine'}))


def test_a_job_is_given_by_its_key_and_its_credentials(environment: pytest.MonkeyPatch) -> None:
    environment.setenv('SHUB_JOBKEY', '5/1/1')
    assert find_job() is None
    environment.setenv('SHUB_JOBAUTH', '00')
    assert find_job() == '5/1/1'
