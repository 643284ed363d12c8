"""Packaging of the library; tool settings are in pyproject.toml."""

import ast
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version() -> str:
    """Read ``__version__`` from the package's source, which need not be importable while it is built."""
    tree = ast.parse((HERE / 'scrapinghub' / '__init__.py').read_text(encoding='utf-8'))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ['__version__']:
            return str(ast.literal_eval(node.value))
    raise RuntimeError('scrapinghub/__init__.py assigns no __version__')


setup(
    name='scrapinghub',
    version=read_version(),
    description='Client for the Scrapy Cloud HTTP API, with a local Scrapy Cloud to test against',
    long_description=(HERE / 'README.rst').read_text(encoding='utf-8'),
    long_description_content_type='text/x-rst',
    author='The scrapinghub maintainers',
    url='https://github.com/scrapinghub/python-scrapinghub',
    project_urls={
        'Documentation': 'https://python-scrapinghub.readthedocs.io/',
        'Changelog': 'https://github.com/scrapinghub/python-scrapinghub/blob/master/CHANGES.rst',
        'Issues': 'https://github.com/scrapinghub/python-scrapinghub/issues',
        'Source': 'https://github.com/scrapinghub/python-scrapinghub',
    },
    keywords=['scrapinghub', 'scrapy', 'scrapy cloud', 'zyte', 'web scraping', 'api client'],
    license='BSD-3-Clause',
    license_files=['LICENSE'],
    packages=find_packages(include=['scrapinghub', 'scrapinghub.*']),
    package_data={'scrapinghub': ['py.typed']},
    zip_safe=False,
    python_requires='>=3.10',
    # urllib3 comes with requests; it is named because the transport needs its HTTPResponse.read1.
    # The tox environment `lowest` runs the tests with exactly these lower bounds.
    install_requires=[
        'msgpack>=1.0.3',
        # Earlier ones keep using a connection whose certificate was checked by other settings.
        'requests>=2.32.2',
        'retrying>=1.3.4',
        'six>=1.16.0',
        'urllib3>=2.2.0',
    ],
    extras_require={
        # Tables of records, and Parquet files.
        'arrow': ['pyarrow>=17.0.0'],
        # The command line.
        # tqdm: downloads and bulk operations show progress bars on a terminal.
        'cli': ['click>=8.1.7', 'tqdm>=4.66.0'],
        'dotenv': ['python-dotenv>=1.0.0'],
        # msgspec decodes records in about half of the time, and isal packs and unpacks gzip several times as fast; the
        # results are the same.
        'fast': ['isal>=1.9.0', 'msgspec>=0.19.0'],
        'msgpack': [],
        'pandas': ['pandas>=2.2.2', 'pyarrow>=17.0.0'],
        # Progress bars.
        'progress': ['tqdm>=4.66.0'],
        'sandbox': ['msgpack>=1.0.3', 'werkzeug>=3.0.6'],
        'scrapy': ['scrapy>=2.11.0'],
        # API keys from the files of shub.
        'yaml': ['pyyaml>=6.0.1'],
    },
    entry_points={
        'console_scripts': ['scrapinghub = scrapinghub.__main__:main'],
        'pytest11': ['scrapinghub_sandbox = scrapinghub.sandbox.pytest_plugin'],
    },
    classifiers=[
        'Development Status :: 5 - Production/Stable',
        'Intended Audience :: Developers',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Internet :: WWW/HTTP',
        'Typing :: Typed',
    ],
)
