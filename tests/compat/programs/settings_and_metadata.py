"""Settings of a project and metadata of a job, from both clients."""

import datetime as dt

from scrapinghub import HubstorageClient, ScrapinghubClient

client = ScrapinghubClient()
project = client.get_project(123)
project.settings.set('job_runtime_limit', 20)
project.settings.update({'default_job_units': 2, 'note': 'x'})
print(sorted(project.settings.iter()), project.settings.get('note'), project.settings.get('nothing'))
project.settings.delete('note')
print(sorted(project.settings.list()))
try:
    project.settings.update(5)
except TypeError as error:
    print(error)
job = project.jobs.run('books', meta={'a': 1})
job.metadata.set('b', {'deep': [1, None, 'x']})
job.metadata.update({'c': 3.5})
print(job.metadata.get('b'), job.metadata.get('c'), job.metadata.get('nothing'))
job.metadata.delete('c')
print(job.metadata.get('c'), 'b' in dict(job.metadata.list()))

hubstorage = HubstorageClient(auth=client._hsclient.auth, endpoint=client._hsclient.endpoint)
low = hubstorage.get_job(job.key)
print(low.metadata['state'], low.metadata.get('a'), bool(low.metadata))
low.metadata['when'] = dt.datetime(2020, 1, 2, 3, 4, 5)
del low.metadata['a']
low.metadata.save()
low.metadata.expire()
print(low.metadata['when'], 'a' in low.metadata, low.metadata.liveget('when'), low.metadata.liveget('nothing'))
low.update_metadata({'d': 4}, e=5)
print(low.metadata['d'], low.metadata['e'])
list(low.metadata.apipost('f', data='"text"'))
print(low.metadata.liveget('f'))
settings = hubstorage.get_project('123').settings
settings['low'] = True
settings.save()
print(sorted(settings.items()), len(settings))
hubstorage.close()
client.close()
