"""What the released package offers is here, or stands with its reason in the table."""

import pytest

from compat import comparing


@pytest.fixture(scope='module')
def own() -> list[str]:
    return comparing.own_snapshot()


@pytest.fixture(scope='module')
def released() -> list[str]:
    return comparing.RELEASED.read_text(encoding='utf-8').splitlines()


def test_nothing_is_missing_and_every_difference_has_a_reason(own: list[str], released: list[str]) -> None:
    found = comparing.problems(released, own)
    assert not found, '\n'.join(found)


def test_the_snapshot_holds_the_released_package(released: list[str]) -> None:
    agents = [line for line in released if 'DEFAULT_USER_AGENT' in line]
    assert agents
    assert all(line.endswith(f"'python-scrapinghub/{comparing.RELEASED_VERSION}'") for line in agents)
    assert len(released) > 700


@pytest.mark.parametrize(
    'change',
    [
        ('scrapinghub.legacy.JobSet.count(self)', None),
        (
            'scrapinghub.client.jobs.Job.update_tags(self, add=None, remove=None)',
            'scrapinghub.client.jobs.Job.update_tags(self, remove=None, add=None)',
        ),
        ('scrapinghub.hubstorage.jobq.JobQ.PRIO_HIGH = 3', 'scrapinghub.hubstorage.jobq.JobQ.PRIO_HIGH = 2'),
    ],
)
def test_a_difference_is_found(own: list[str], released: list[str], change: tuple[str, str | None]) -> None:
    was, becomes = change
    changed = [line for line in own if line != was] + ([becomes] if becomes else [])
    assert len(comparing.problems(released, changed)) == 1


def test_a_parameter_that_goes_is_found_although_the_path_has_a_reason(own: list[str], released: list[str]) -> None:
    path = 'scrapinghub.client.items.Items.iter'
    changed = [line for line in own if not line.startswith(f'{path}(')] + [f'{path}(self, count=None, **params)']
    (problem,) = comparing.problems(released, changed)
    assert problem.startswith('takes less than it did')
