"""A crawl that keeps its queue in a frontier."""

from scrapinghub import ScrapinghubClient

client = ScrapinghubClient()
frontiers = client.get_project(123).frontiers
frontier = frontiers.get('crawl')
slot = frontier.get('example.com')
slot.q.add([{'fp': f'/page/{number}', 'p': number % 2, 'qdata': {'depth': number}} for number in range(30)])
slot.flush()
print(slot.newcount, frontier.newcount, frontiers.newcount)
slot.queue.add([{'fp': '/page/1'}, {'fp': '/page/new'}])
frontier.flush()
print(slot.newcount, frontiers.newcount)
slot.f.add(['/seen/1', '/seen/2'])
frontiers.flush()
print(frontiers.list(), frontier.list(), frontiers.newcount)
batches = slot.q.list(mincount=None)
print(sorted(request[0] for batch in batches for request in batch['requests'])[:5], len(batches))
print(sum(len(batch['requests']) for batch in slot.q.iter(mincount=10)) >= 10)
slot.q.delete([batch['id'] for batch in batches])
print(slot.q.list(), len(slot.fingerprints.list()))
slot.delete()
print(frontier.list())
frontiers.close()
client.close()
