"""Build sdist and wheel, and try each in an environment that holds nothing else.

Usage: python .ci/check_package.py SCRATCH_FOLDER

Needs ``build`` and ``twine`` in the running interpreter.
"""

import email
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = 'scrapinghub'
LEFT_OUT_OF_THE_COPY = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', '_build', 'build', 'dist')
NOT_IMPORTED = ('__main__', 'pytest_plugin')  # the one runs a server, the other belongs to pytest

PROBE = """\
import importlib
import importlib.metadata
import sys

import scrapinghub

version, *modules = sys.argv[1:]
for module in modules:
    importlib.import_module(module)
if 'site-packages' not in scrapinghub.__file__:
    sys.exit(f'imported from the wrong place: {scrapinghub.__file__}')
if not version == scrapinghub.__version__ == importlib.metadata.version('scrapinghub'):
    sys.exit(f'the archive says {version}, the package {scrapinghub.__version__}')
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run one command, showing it; fail when it fails."""
    print('>', *command, flush=True)
    if subprocess.run([str(part) for part in command], cwd=cwd, check=False).returncode != 0:
        raise SystemExit(f'failed: {command[0]} {command[1]} …')


def package_files() -> set[str]:
    """List what belongs to the package, as paths below the root."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def modules(files: set[str], *, optional: bool) -> list[str]:
    """Name the modules among ``files``, those that need the extra ``sandbox`` only when ``optional``."""
    names = []
    for file in sorted(files):
        name = file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')
        needs_an_extra = f'{name}.'.startswith(f'{PACKAGE}.sandbox.')
        if file.endswith('.py') and name.rpartition('.')[2] not in NOT_IMPORTED and (optional or not needs_an_extra):
            names.append(name)
    return names


def packed_files(archive: Path) -> set[str]:
    """List the files in a wheel, or in an sdist without its top folder."""
    if archive.suffix == '.whl':
        with zipfile.ZipFile(archive) as wheel:
            return set(wheel.namelist())
    with tarfile.open(archive) as sdist:
        return {member.name.partition('/')[2] for member in sdist.getmembers() if member.isfile()}


def declared_extras(wheel: Path) -> list[str]:
    """Name the extras that the wheel offers."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return email.message_from_bytes(archive.read(metadata)).get_all('Provides-Extra', [])


def check_contents(archive: Path, expected: set[str]) -> None:
    """Fail unless the archive holds the whole package, and a wheel nothing beside it."""
    packed = packed_files(archive)
    problems = [f'missing: {name}' for name in sorted(expected - packed)]
    if archive.suffix == '.whl':
        strangers = sorted(name for name in packed - expected if '.dist-info/' not in name)
        problems += [f'does not belong there: {name}' for name in strangers]
    if f'{PACKAGE}/py.typed' not in packed:
        problems.append('missing: the mark of a typed package, py.typed')
    if problems:
        raise SystemExit('\n'.join([f'{archive.name}:', *problems]))


def check_installed(archive: Path, scratch: Path, expected: set[str], version: str, *extras: str) -> None:
    """Install the archive into a new environment and import every module that must work there."""
    environment = scratch / '-'.join([archive.name, *extras])
    venv.create(environment, with_pip=True)
    python = environment / ('Scripts' if sys.platform == 'win32' else 'bin') / 'python'
    probe = environment / 'probe.py'
    probe.write_text(PROBE, encoding='utf-8')
    wanted = f'[{",".join(extras)}]' if extras else ''
    run(python, '-m', 'pip', 'install', '-q', f'{archive}{wanted}', cwd=scratch)
    run(python, '-m', 'pip', 'check', cwd=scratch)
    run(python, '-I', probe, version, *modules(expected, optional='sandbox' in extras), cwd=scratch)


def main() -> None:
    """Build, look inside, install and import."""
    scratch = Path(sys.argv[1]).resolve() / 'check_package'
    shutil.rmtree(scratch, ignore_errors=True)
    source, dist = scratch / 'source', scratch / 'dist'
    # A copy, so that no file list of an earlier build in the checkout can add or hide anything.
    shutil.copytree(ROOT, source, ignore=LEFT_OUT_OF_THE_COPY)
    run(sys.executable, '-m', 'build', '--outdir', dist, source, cwd=scratch)
    archives = sorted(dist.iterdir())
    run(sys.executable, '-m', 'twine', 'check', '--strict', *archives, cwd=scratch)

    (wheel,) = dist.glob('*.whl')
    (sdist,) = dist.glob('*.tar.gz')
    version = wheel.name.split('-')[1]
    expected = package_files()
    for archive in (wheel, sdist):
        check_contents(archive, expected)
        check_installed(archive, scratch, expected, version)
    extras = declared_extras(wheel)
    for chosen in (*([extra] for extra in extras), extras):
        check_installed(wheel, scratch, expected, version, *chosen)
    print(f'{wheel.name} and {sdist.name}: {len(expected)} files each, installed and imported')


if __name__ == '__main__':
    main()
