"""Build sdist and wheel, install each into an empty environment and import every module.

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
# The first ones run programs, the other one needs pytest.
NOT_IMPORTED = ('__main__', 'pytest_plugin')

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
    """List the files of the package, as paths below the root."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


# Modules that need an extra with another name than their folder.
NEEDED = {'scrapinghub.export.tables': {'arrow'}, 'scrapinghub.export.types': {'arrow'}}


def modules(files: set[str], extras: list[str], installed: tuple[str, ...]) -> list[str]:
    """List the modules that can be imported.

    Args:
        files: The files of the package.
        extras: All extras. A folder with the name of an extra needs that extra.
        installed: The extras that are installed.
    """
    names = []
    for file in sorted(files):
        name = file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')
        needed = {*name.split('.')[1:2]} & {*extras} | NEEDED.get(name, set())
        if file.endswith('.py') and name.rpartition('.')[2] not in NOT_IMPORTED and needed <= {*installed}:
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
    """List the extras of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return email.message_from_bytes(archive.read(metadata)).get_all('Provides-Extra', [])


def check_contents(archive: Path, expected: set[str]) -> None:
    """Fail unless the archive has the whole package, and a wheel has nothing else."""
    packed = packed_files(archive)
    problems = [f'missing: {name}' for name in sorted(expected - packed)]
    if archive.suffix == '.whl':
        unexpected = sorted(name for name in packed - expected if '.dist-info/' not in name)
        problems += [f'unexpected: {name}' for name in unexpected]
    if f'{PACKAGE}/py.typed' not in packed:
        problems.append('missing: py.typed')
    if problems:
        raise SystemExit('\n'.join([f'{archive.name}:', *problems]))


def check_installed(archive: Path, scratch: Path, version: str, names: list[str], *extras: str) -> None:
    """Install the archive with extras into a new environment and import modules there."""
    environment = scratch / '-'.join([archive.name, *extras])
    venv.create(environment, with_pip=True)
    python = environment / ('Scripts' if sys.platform == 'win32' else 'bin') / 'python'
    probe = environment / 'probe.py'
    probe.write_text(PROBE, encoding='utf-8')
    brackets = f'[{",".join(extras)}]' if extras else ''
    run(python, '-m', 'pip', 'install', '-q', f'{archive}{brackets}', cwd=scratch)
    run(python, '-m', 'pip', 'check', cwd=scratch)
    run(python, '-I', probe, version, *names, cwd=scratch)


def main() -> None:
    """Build the archives and check them."""
    scratch = Path(sys.argv[1]).resolve() / 'check_package'
    shutil.rmtree(scratch, ignore_errors=True)
    source, dist = scratch / 'source', scratch / 'dist'
    # A copy, so that files of an earlier build in the checkout have no effect.
    shutil.copytree(ROOT, source, ignore=LEFT_OUT_OF_THE_COPY)
    run(sys.executable, '-m', 'build', '--outdir', dist, source, cwd=scratch)
    archives = sorted(dist.iterdir())
    run(sys.executable, '-m', 'twine', 'check', '--strict', *archives, cwd=scratch)

    (wheel,) = dist.glob('*.whl')
    (sdist,) = dist.glob('*.tar.gz')
    version = wheel.name.split('-')[1]
    expected = package_files()
    extras = declared_extras(wheel)
    for archive in (wheel, sdist):
        check_contents(archive, expected)
        check_installed(archive, scratch, version, modules(expected, extras, ()))
    for chosen in (*((extra,) for extra in extras), tuple(extras)):
        check_installed(wheel, scratch, version, modules(expected, extras, chosen), *chosen)
    print(f'{wheel.name} and {sdist.name}: {len(expected)} files each, installed and imported')


if __name__ == '__main__':
    main()
