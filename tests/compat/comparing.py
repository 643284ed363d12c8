"""What of the released package is different here, and why: the table, and the comparison that keeps it true."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import scrapinghub

HERE = Path(__file__).parent
#: Facts about the released package, taken by ``tox -e signatures``.
RELEASED = HERE / 'released.txt'
RELEASED_VERSION = '2.9.0'

_NAMED = 'parameters of the service that were only **params have names now; all others are passed on as before'
_INCIDENTAL = 'a name that the module imported for its own use; its own path has it'
_LISTED = 'takes what iter of the same object takes, as before, and says so'

#: Pattern of a path, and why what stands there is not what it was. The first pattern that fits is taken.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    ('scrapinghub.client.ScrapinghubClient', 'the keyword arguments have names, and spool and max_outage are new'),
    ('scrapinghub.client.HubstorageClient.request', 'the arguments have names'),
    ('scrapinghub.client.proxy', 'the inner classes of the older client are gone'),
    ('scrapinghub.client.proxy.*', 'the inner classes of the older client are gone'),
    ('scrapinghub.client.*.update_kwargs', _INCIDENTAL),
    ('scrapinghub.client.frontiers.urlpathjoin', _INCIDENTAL),
    ('scrapinghub.client.exceptions.APIError', _INCIDENTAL),
    ('scrapinghub.client.jobs.BadRequest', _INCIDENTAL),
    ('scrapinghub.client.jobs.DuplicateJobError', _INCIDENTAL),
    ('scrapinghub.client.jobs.Items', _INCIDENTAL),
    ('scrapinghub.client.jobs.Logs', _INCIDENTAL),
    ('scrapinghub.client.jobs.NotFound', _INCIDENTAL),
    ('scrapinghub.client.jobs.Requests', _INCIDENTAL),
    ('scrapinghub.client.jobs.Samples', _INCIDENTAL),
    ('scrapinghub.client.spiders.NotFound', _INCIDENTAL),
    ('scrapinghub.client.frontiers.Frontiers', 'the three arguments have names'),
    ('scrapinghub.client.*.*.get', 'a default for what is absent, and meta by name'),
    ('scrapinghub.client.*.*.list', _LISTED),
    ('scrapinghub.client.*.*.iter', _NAMED),
    ('scrapinghub.client.items.Items.list_iter', _NAMED),
    ('scrapinghub.client.collections.Collection.count', _NAMED),
    ('scrapinghub.client.jobs.Jobs.summary', _NAMED),
    ('scrapinghub.client.*.*.stats', 'parameters of the service are passed on'),
    ('scrapinghub.client.utils.LogLevel', 'an enumeration of integers; the names are the same'),
    ('scrapinghub.hubstorage.batchuploader.BatchUploader.create_writer', 'shared, by keyword, is new'),
    ('scrapinghub.hubstorage.batchuploader.ValueTooLarge', 'the class of scrapinghub.exceptions, still a ValueError'),
    ('scrapinghub.hubstorage.batchuploader.[a-z]*', _INCIDENTAL),
    ('scrapinghub.hubstorage.client.MSGPACK_AVAILABLE', _INCIDENTAL),
    ('scrapinghub.hubstorage.*.urlpathjoin', _INCIDENTAL),
    ('scrapinghub.hubstorage.project.xauth', _INCIDENTAL),
    ('scrapinghub.hubstorage.resourcetype.*decode', _INCIDENTAL),
    ('scrapinghub.*.DEFAULT_USER_AGENT', 'it holds the version'),
    ('scrapinghub.hubstorage.collectionsrt.COLLECTIONS_MSGPACK_REGEX', 'an inner constant that no program uses'),
    ('scrapinghub.hubstorage.collectionsrt.Collections.count', 'progress has a name'),
    ('scrapinghub.hubstorage.job.JobMeta', 'cached has a name'),
    ('scrapinghub.hubstorage.project.Settings', 'cached has a name'),
    ('scrapinghub.hubstorage.resourcetype.MappingResourceType', 'cached has a name'),
    ('scrapinghub.hubstorage.serialization.jsondefault', 'its one argument has another name'),
    ('scrapinghub.hubstorage.utils.sizeof_fmt', 'its one argument has another name'),
)


def own_snapshot(python: str = sys.executable) -> list[str]:
    """Return the snapshot of the package that an interpreter has."""
    return _run(python, '--everywhere', PYTHONPATH=str(Path(scrapinghub.__file__).parents[1]))


def released_snapshot(python: str) -> list[str]:
    """Return the snapshot of a released package, whose classes are described only where they are defined."""
    return _run(python)


def _run(python: str, *arguments: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [python, str(HERE / 'signatures.py'), *arguments],
        env={**{name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}, **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


def path_of(line: str) -> str:
    """Return the path that a line of a snapshot is about."""
    return re.split(r'[( ]', line, maxsplit=1)[0]


def differences(released: list[str], own: list[str]) -> dict[str, tuple[str, list[str]]]:
    """Return lines of the released snapshot that are not here, with what is here instead.

    Returns:
        For each released line its path, and the lines of ours about that path.
    """
    here = set(own)
    about = defaultdict(list)
    for line in own:
        about[path_of(line)].append(line)
    return {line: (path_of(line), about[path_of(line)]) for line in released if line not in here}


def reason_for(path: str) -> str | None:
    """Return why a path is different; None if nobody has said so."""
    return next((reason for pattern, reason in DIFFERENCES if fnmatchcase(path, pattern)), None)


def problems(released: list[str], own: list[str]) -> list[str]:
    """Return differences without a reason, parameters that are gone, and reasons without a difference."""
    found = []
    used = set()
    for line, (path, ours) in differences(released, own).items():
        pattern = next((pattern for pattern, _ in DIFFERENCES if fnmatchcase(path, pattern)), None)
        used.add(pattern)
        if pattern is None:
            found.append(f'{"changed" if ours else "missing"}: {line}  here: {" | ".join(ours) or "nothing"}')
        elif ours and not any(takes_what(mine, line) for mine in ours):
            found.append(f'takes less than it did: {line}  here: {" | ".join(ours)}')
    found += [f'no longer different: {pattern}' for pattern, _ in DIFFERENCES if pattern not in used]
    return found


def takes_what(own: str, released: str) -> bool:
    """Tell whether a callable takes by position what the released one took, and further keywords if that did."""
    if '(' not in own or '(' not in released:
        return path_of(own) == path_of(released)
    mine, theirs = _parameters(own), _parameters(released)
    positional = [name for name in _before_star(theirs) if not name.startswith('*')]
    if [_without_name(text) for text in _before_star(mine)[: len(positional)]] != [
        _without_name(text) for text in positional
    ]:
        return False
    if '*args' in theirs or not theirs[-1:] or not theirs[-1].startswith('**'):
        # What *args and **kwargs were handed on to has its own line.
        return True
    return len(mine) > len(theirs) or mine[-1].startswith('**')


def _without_name(text: str) -> str:
    return text.partition('=')[2]


def _before_star(parameters: list[str]) -> list[str]:
    names = [position for position, text in enumerate(parameters) if text.startswith('*')]
    return parameters[: names[0]] if names else parameters


def _parameters(line: str) -> list[str]:
    inner = line.partition('(')[2][:-1]
    return inner.split(', ') if inner else []
