"""Collections and frontiers by the low-level client."""

import os

from scrapinghub import HubstorageClient
from scrapinghub.hubstorage.serialization import jldecode, mpdecode

client = HubstorageClient(os.environ['SH_APIKEY'], os.environ['SHUB_STORAGE'])
project = client.get_project(123)
store = project.collections.new_store('records')
store.set([{'_key': f'r{number:02}', 'n': number} for number in range(20)])
writer = store.create_writer()
writer.write({'_key': 'written', 'n': -1})
writer.flush()
writer.close()
print(store.get('r03'), store.count())
print(list(store.get(count=[2], startafter=[None], start='', meta={'_key'}, prefix=['r1'], endts=None)))
print([record['n'] for record in store.iter_values(prefix=['r0'])])
print(list(jldecode(store.iter_json(prefix=['w']))))
packed = project.collections.iter_msgpack('s', 'records', prefix=['w'])
print(list(mpdecode(packed)))
try:
    store.get('nothing')
except KeyError as error:
    print('KeyError', error)
try:
    store.set({'n': 1})
except ValueError as error:
    print('ValueError', str(error).strip())
store.delete(['r00', 'r01'])
print(store.count(), list(project.collections.apiget('list')), project.collections.url.endswith('/collections/123'))
list(store.truncate())
print(list(store.iter_values()))
frontier = project.frontier
frontier.add('f', 's', [{'fp': 'one'}, {'fp': 'two', 'qdata': {'a': 1}}])
frontier.flush()
frontier.add('f', 's', [{'fp': 'one'}, {'fp': 'three'}])
frontier.flush()
print(frontier.newcount, sorted(r[0] for batch in frontier.read('f', 's', mincount=1) for r in batch['requests']))
frontier.delete('f', 's', [batch['id'] for batch in frontier.read('f', 's')])
print(list(frontier.read('f', 's')))
frontier.delete_slot('f', 's')
frontier.close()
client.close()
