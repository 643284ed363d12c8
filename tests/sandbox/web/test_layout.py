"""The layout of the page in a browser, where one is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from scrapinghub.sandbox import Sandbox
from support.caller import Caller

BROWSER = shutil.which('chromium') or shutil.which('google-chrome')
# Wider than its box: an element of which a part is not visible.
MEASURE = """<script>
const all = [...document.querySelectorAll('body, .scroll, section, h2')];
const wide = all.filter(one => one.scrollWidth > one.clientWidth);
document.title = 'wide:' + wide.map(one => one.textContent.slice(0, 40)).join('|');
</script>"""


@pytest.mark.skipif(BROWSER is None, reason='needs Chromium')
def test_no_column_is_cut(cloud: Sandbox, caller: Caller, tmp_path: Path) -> None:
    assert BROWSER is not None
    tags = ['nightly', 'a-customer-with-a-long-name', 'looked-at', 'x' * 60]
    for number in range(5):
        caller.push(project=2, spider=f'a_spider_with_quite_a_long_name_{number}', tags=tags, state='finished')
    caller.call('PATCH', 'api/v2/projects/2/spiders/1/tags', json={'add': tags})
    caller.post('collections/2/vcs/a_collection_with_quite_a_long_name', {'_key': 'k' * 200, 'value': 'v' * 500})
    caller.post('hcf/2/a_frontier_with_quite_a_long_name/s/a_slot_with_quite_a_long_name', {'fp': '/'})
    page = requests.get(cloud.url, headers={'Accept': 'text/html'}, timeout=30).text
    file = tmp_path / 'page.html'
    # Without the script of the page, which would try to refresh it.
    page = re.sub('<script>.*?</script>', '', page, flags=re.DOTALL)
    file.write_text(page.replace('</body>', f'{MEASURE}</body>'), encoding='utf-8')
    command = [BROWSER, '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={tmp_path}/profile']
    command += ['--window-size=1300,2000', '--dump-dom', file.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    assert re.findall('<title>(wide:.*)</title>', shown) == ['wide:']
