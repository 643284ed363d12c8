"""A worker that takes jobs from the queue and fills them, by the low-level client."""

import os

from scrapinghub import HubstorageClient
from scrapinghub.hubstorage.jobq import DuplicateJobError
from scrapinghub.hubstorage.utils import urlpathjoin

client = HubstorageClient(auth=os.environ['SH_APIKEY'], endpoint=os.environ['SHUB_STORAGE'], user_agent=None)
project = client.get_project('123')
print(project.projectid, len(project.auth), project.ids.spider('worker', create=1))
pushed = client.push_job('123', 'worker', priority=project.jobq.PRIO_HIGH, tags=['t1'], unique='once')
print(pushed.key)
try:
    project.push_job('worker', unique='once')
except DuplicateJobError as error:
    print('duplicate', error)
started = project.jobq.start(botgroup=None)
print(started['key'], started['state'], started['tags'], bool(started['auth']), project.jobq.start())
job = client.get_job(started['key'])
job.note = 'programs set what they like'
writer = client.batchuploader.create_writer(
    urlpathjoin(client.endpoint, 'items', job.key), content_encoding='gzip', size=20
)
for number in range(45):
    writer.write({'n': number})
writer.flush()
writer.close()
print(writer.maxitemsize, writer.offset, str(writer).endswith(job.key))
job.logs.info('first', ts=1480000000000)
job.logs.flush()
job.logs.close()
job.samples.write([1480000000000, 1])
job.requests.add('https://example.com', 200, 'GET', 5, None, 7, 1480000000000)
job.close_writers()
print(job.items.stats()['totals']['input_values'], [item['n'] for item in job.items.iter_values(count=3)])
print(next(job.items.iter_json(startafter=f'{job.key}/43', count=5)))
print([item['n'] for item in job.items.list(count=2, start=f'{job.key}/10')], job.items.get(5))
print(list(job.requests.iter_values(count=1)), list(job.samples.list()), len(list(job.logs.iter_values())))
print(list(project.jobq.finish(job, close_reason='done')))
print([(row['key'], row['state']) for row in project.jobq.list(count=3, state='finished', has_tag='t1')])
print([row['key'] for row in project.jobq.list(filter=['["state","=",["finished"]]', '["tags","haselement",["t1"]]'])])
print([row['key'] for row in project.spiders.lastjobsummary()], project.jobq.summary('finished', count=1)['count'])
print(project.jobsummary()['finished'], [row['finished'] for row in client.projects.jobsummaries()])
print([row['key'] for row in project.jobq.jobsummary([job.key], ['spider'])])
print(project.get_job((1, 1)).key, project.get_job('1/1').key, project.get_job(job.key).key)
job.purged()
print(job.metadata['state'], list(project.jobq.list()))
list(project.activity.add(event='note', text='done'))
print(next(project.activity.list(count=1)))
client.close()
