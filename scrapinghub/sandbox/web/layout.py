"""The layout of the page: style, script and headers. It loads no other resources."""

from __future__ import annotations

import base64
import hashlib

from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.web.markup import Markup, join, tag

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #5b6675; --line: #dfe3e9; --link: #0b5cad;
  --pending: #8a5a00; --running: #0b6b3a; --finished: #3d4a5c; --bad: #b3261e;
  --pending-back: #fff1d6; --running-back: #d9f5e4; --finished-back: #e6eaf0; --bad-back: #fde3e1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1b2129; --ink: #e4e8ee; --soft: #9aa6b5; --line: #303944; --link: #7db7f5;
    --pending: #f1c16b; --running: #74d69c; --finished: #b9c4d2; --bad: #ff9a92;
    --pending-back: #3b2e12; --running-back: #12372a; --finished-back: #2a333f; --bad-back: #45201d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; padding-top: 1.1rem; }
header h1 { font-size: 1.15rem; margin: 0; }
header p { margin: 0; color: var(--soft); }
#live { margin-left: auto; font-size: .85rem; }
#live.lost { color: var(--bad); font-weight: 600; }
h2 { font-size: 1.25rem; margin: 1.6rem 0 .6rem; overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 0 0 .5rem; }
h3 small { font-weight: 400; color: var(--soft); }
h2 + p { margin: -.4rem 0 .8rem; color: var(--soft); }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: 0 0 .9rem;
}
.several {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 0 .9rem;
  align-items: start;
}
main { padding-bottom: 3rem; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; white-space: nowrap; }
th, td { padding: .28rem .9rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; }
td > div { min-width: 3.2rem; }
td.number, time, .key { overflow-wrap: normal; white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: .85em/1.45 ui-monospace, monospace; }
code { overflow-wrap: anywhere; white-space: pre-wrap; }
code.name { display: inline-block; min-width: 9rem; }
.empty { color: var(--soft); margin: 0; }
.badge { display: inline-block; padding: 0 .55em; border-radius: 1em; font-size: .82rem; white-space: nowrap; }
nav { display: flex; gap: 1rem; }
.pending { color: var(--pending); background: var(--pending-back); }
.running { color: var(--running); background: var(--running-back); }
.finished, .deleted, .tag { color: var(--finished); background: var(--finished-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.tag { margin-right: .3em; white-space: normal; }
@media (max-width: 40rem) {
  .scroll thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  .scroll tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line); }
  .scroll tr:last-child { border-bottom: 0; }
  .scroll td { display: grid; grid-template-columns: 6.5rem 1fr; gap: .6rem; padding: .1rem 0; }
  .scroll td { border: 0; text-align: left; }
  .scroll td::before { content: attr(data-label); color: var(--soft); }
  .scroll td:empty { display: none; }
}
"""

SCRIPT = """
'use strict';
const live = document.getElementById('live');
async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, {headers: {Accept: 'text/html'}, cache: 'no-store'});
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
      const shown = document.querySelector('main');
      if (fresh && fresh.innerHTML !== shown.innerHTML && !String(getSelection())) {
        shown.replaceWith(document.adoptNode(fresh));
      }
      live.textContent = 'live';
      live.className = '';
    } catch (error) {
      live.textContent = 'the sandbox does not answer';
      live.className = 'lost';
    }
  }
  setTimeout(refresh, 1500);
}
setTimeout(refresh, 1500);
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    # The page shows scraped data; if any of it were not escaped, it still must not run.
    'Content-Security-Policy': (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def page(title: str, *content: Markup, status: int = 200) -> Response:
    """Answer a whole page."""
    head = tag(
        'head',
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<link rel="icon" href="data:,">'),
        tag('title', title),
        Markup(f'<style>{STYLE}</style>'),
    )
    header = tag(
        'header',
        tag('h1', tag('a', 'Scrapy Cloud sandbox', href='/')),
        tag('p', 'data of the local Scrapy Cloud'),
        tag('span', '', id='live', role='status'),
    )
    body = tag('body', header, tag('main', *content), Markup(f'<script>{SCRIPT}</script>'))
    document = join(Markup('<!DOCTYPE html>'), tag('html', head, body, lang='en'))
    return Response(status, headers=dict(HEADERS), body=document.encode('utf-8', 'replace'))
