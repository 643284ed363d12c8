"""A monitor: lists, counts, summaries, tags, cancelling, events."""

from scrapinghub import DuplicateJobError, ScrapinghubClient

client = ScrapinghubClient()
project = client.projects.get(123)
print(client.projects.list())
keys = []
for number, spider in enumerate(['alpha', 'beta', 'alpha', 'beta']):
    keys.append(project.jobs.run(spider, job_args={'n': number}, add_tag=['even' if number % 2 == 0 else 'odd']).key)
try:
    project.jobs.run('alpha', job_args={'n': 0})
except DuplicateJobError as error:
    print('duplicate', error)
client.get_job(keys[0]).update('running')
client.get_job(keys[1]).update('finished', close_reason='finished')
print(project.jobs.count(), project.jobs.count(state=['pending', 'running']))
print(project.jobs.count(spider='alpha', state='pending'))
print([(job['key'], job['state']) for job in project.jobs.iter(state=['pending', 'running', 'finished'], count=10)])
print([job['key'] for job in project.jobs.list(has_tag='even', state=['pending', 'running'])])
print([job['key'] for job in project.jobs.list(lacks_tag=['even'], state='pending', meta=['spider_args'])])
print(sorted(project.jobs.list(state='pending', meta=['spider', 'tags'])[0]))
print([(part['name'], part['count']) for part in project.jobs.summary()], project.jobs.summary('pending')['count'])
print([job['key'] for job in project.jobs.iter_last()], list(project.jobs.iter_last(spider='alpha')))
spider = project.spiders.get('alpha')
print(spider.key, spider.name, spider._id, [job['key'] for job in spider.jobs.list(state='running')])
print(sorted(entry['id'] for entry in project.spiders.list()))
print(spider.list_tags(), spider.update_tags(add=['daily']), spider.list_tags())
print(client.get_job(keys[2]).update_tags(add=['extra'], remove=['even']), client.get_job(keys[2]).metadata.get('tags'))
print(project.jobs.cancel(keys=[keys[2], keys[3]]))
try:
    project.jobs.cancel(keys=['456/1/1'])
except ValueError as error:
    print(error)
client.get_job(keys[0]).cancel()
print(client.get_job(keys[0]).metadata.get('state'))
events = [(event['event'], event['job']) for event in project.activity.list(count=4)]
print(events)
project.activity.add([{'event': 'check', 'job': keys[0]}])
print(project.activity.list(count=1))
client.close()
