"""A scanner over stores, with every way to write and to read them."""

from scrapinghub import ScrapinghubClient
from scrapinghub.client.exceptions import BadRequest, NotFound

client = ScrapinghubClient()
collections = client.get_project('123').collections
store = collections.get_store('pages')
store.set({'_key': 'a', 'url': 'https://example.com/a', 'n': 1})
store.set([{'_key': f'k{number}', 'n': number} for number in range(12)])
writer = store.create_writer()
for number in range(5):
    writer.write({'_key': f'w{number}', 'n': number})
writer.flush()
writer.close()
print(store.get('a'), store.count())
print([record['_key'] for record in store.iter()])
print([record['_key'] for record in store.iter(prefix=['k1', 'w'])])
print(store.list(key=['k2', 'a']), store.list(key='k3'))
print([record['n'] for record in store.list(filter=['["n", ">", [9]]'])])
print([record['_key'] for record in store.iter(startafter='k9', count=3)])
store.delete('k0')
store.delete(['k1', 'k2', 'nothing'])
print(store.count())
try:
    store.get('k0')
except NotFound as error:
    print('not found', str(error).strip())
for name in ('get_cached_store', 'get_versioned_store', 'get_versioned_cached_store'):
    getattr(collections, name)('others').set({'_key': name})
print(collections.list())
store.truncate()
print(store.list(), [entry['name'] for entry in collections.iter()])
try:
    collections.get_store('a-b')
except ValueError as error:
    print(error)
try:
    store.set({'n': 1})
except BadRequest as error:
    print(type(error).__name__, str(error).strip())
client.close()
