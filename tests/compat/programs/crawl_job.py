"""A job's life as a runner sees it: scheduled, started, filled, finished, read back."""

from scrapinghub import ScrapinghubClient

client = ScrapinghubClient()
project = client.get_project(123)
job = project.jobs.run(
    'books',
    units=2,
    priority=3,
    job_args={'category': 'poetry', 'limit': 5},
    job_settings={'DOWNLOAD_DELAY': 1},
    meta={'batch': 'b1'},
    add_tag=['nightly', 'poetry'],
    cmd_args='--loglevel=INFO',
    environment={'STAGE': 'test'},
)
print('scheduled', job.key, job.metadata.get('state'))
print('previous', job.start(started_for='test'))
for number in range(25):
    assert job.items.write({'title': f'Book {number}', 'price': number * 1.5, 'tags': ['x', None]}) == number
job.items.flush()
job.items.close()
job.logs.info('opened', ts=1480000000000)
job.logs.log('slow page', level=30, ts=1480000000001)
job.logs.error('failed page', ts=1480000000002)
job.logs.flush()
job.logs.close()
parent = job.requests.add('https://example.com/', 200, 'GET', 100, 12, 1480000000000)
job.requests.add('https://example.com/1', 404, 'GET', 10, 3, 1480000000001, parent=parent, fp='abc')
job.requests.flush()
job.requests.close()
job.samples.write([1480000000000, 1, 2])
job.samples.flush()
job.samples.close()
print('previous', job.finish(close_reason='finished'))

print(len(job.items.list()), list(job.items.iter(count=2)))
print(job.items.list(start=f'{job.key}/23', meta='_key'))
print(job.items.list(filter=[('price', '>', [33])]), job.items.list(offset=24), job.items.get(7))
print([len(chunk) for chunk in job.items.list_iter(chunksize=10)], next(job.items.list_iter(chunksize=2, start=3)))
print([(line['level'], line['message']) for line in job.logs.iter()])
print([line['message'] for line in job.logs.list(level='WARNING', count=1)])
print(job.requests.list(), job.samples.list())
print(sorted(job.items.stats()['totals']), job.items.stats()['totals']['input_values'], job.logs.stats()['counts'])
meta = dict(job.metadata.iter())
hidden = ('pending_time', 'running_time', 'finished_time', 'api_url', 'portia_url')
print(sorted((name, value) for name, value in meta.items() if name not in hidden))
client.close()
