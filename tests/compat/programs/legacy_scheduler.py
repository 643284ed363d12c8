"""A scheduler of the first days."""

import os
import warnings

from scrapinghub import APIError, Connection, HubstorageClient

connection = Connection(os.environ['SH_APIKEY'], url=os.environ['SHUB_APIURL'])
print(connection.project_ids())
project = connection[123]
key = project.schedule('books', category='x', add_tag=['a', 'b'], priority=1)
print(key, project.id)
try:
    project.schedule('books', category='x')
except APIError as error:
    print(error, error._type)
hubstorage = HubstorageClient(os.environ['SH_APIKEY'], os.environ['SHUB_STORAGE'])
job = hubstorage.get_job(key)
for number in range(8):
    job.items.write({'n': number})
job.logs.warning('careful', ts=1480000000000)
job.close_writers()
list(hubstorage.get_project(123).jobq.finish(key))

jobs = project.jobs(state='finished')
print([found.id for found in jobs], list(jobs))
print(project.jobs(state='finished').count(), len(list(project.jobs(state='pending'))))
found = project.job(key)
print(found.id, found.info['spider'], found.info['state'], found.info['tags'], project.job('123/1/99'))
print(list(found.items()), list(found.items(offset=5, count=2)), [line['message'] for line in found.log()])
print(found.update(add_tag='c', remove_tag='a'), project.job(key).info['tags'])
print(project.jobs(has_tag='c').update(add_tag='d'), [spider['id'] for spider in project.spiders()])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    connection.project_names()
    print(connection.auth[1] == '', project.name, [warning.category.__name__ for warning in caught])
try:
    connection._get('nothing', 'json')
except APIError as error:
    print(error, error._type)
print(connection._post('jobs_stop', 'json', {'project': 123, 'job': key})['status'], found.stop())
found.add_report('summary', 'All is well', 'text/plain')
print(found.delete(), [job.id for job in project.jobs()])
hubstorage.close()
