"""What goes wrong, and how programs see it."""

import os

import requests

import scrapinghub
from scrapinghub import ScrapinghubClient


def attempt(what, call):
    """Print what a call raises."""
    try:
        print(what, call())
    except scrapinghub.client.exceptions.ScrapinghubAPIError as error:
        print(what, type(error).__name__, str(error).strip().splitlines()[0], type(error.http_error).__name__)
    except requests.HTTPError as error:
        print(what, 'HTTPError', error.response.status_code)
    except (ValueError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
        print(what, type(error).__name__, str(error))


endpoints = {'endpoint': os.environ['SHUB_STORAGE'], 'dash_endpoint': os.environ['SHUB_APIURL']}
client = ScrapinghubClient(**endpoints)
wrong = ScrapinghubClient('0' * 32, **endpoints)
project = client.get_project(123)
job = project.jobs.run('one')
attempt('unauthorized', lambda: wrong.get_job(job.key).items.list())
attempt('unauthorized metadata', lambda: wrong.get_job(job.key).metadata.get('state'))
attempt('unauthorized dash', lambda: wrong.projects.list())
attempt('spider', lambda: project.spiders.get('nobody'))
attempt('unknown collection', lambda: project.collections.get_store('nobody').list())
attempt('record', lambda: project.collections.get_store('nobody').get('x'))
attempt('duplicate', lambda: project.jobs.run('one'))
attempt('no spider', lambda: project.jobs.run())
attempt('arguments', lambda: project.jobs.run('one', job_args='x'))
attempt('update', lambda: client.get_job('123/9/9').finish())
attempt('project id', lambda: client.get_project('abc'))
attempt('job key', lambda: client.get_job('1/2'))
attempt('other project', lambda: project.jobs.get('456/1/1'))
attempt('tags', lambda: project.spiders.get('one').update_tags())
attempt('cancel', lambda: project.jobs.cancel(keys='123/1/1'))
attempt('cancel both', lambda: project.jobs.cancel(keys=['123/1/1'], count=2))
attempt('level', lambda: job.logs.list(level='LOUD'))
attempt('filter', lambda: job.items.list(filter=[5]))
attempt('samples', lambda: job.samples.stats())
attempt('large', lambda: job.items.write({'x': 'y' * 1100000}))
attempt('old unauthorized', lambda: list(wrong._hsclient.get_job(job.key).items.list()))
attempt('old key', lambda: client._hsclient.get_job('1/2'))
attempt('old project', lambda: client._hsclient.get_project('1/2'))
attempt('old absent', lambda: client._hsclient.get_project(123).collections.new_store('nobody').get('x'))
raw = scrapinghub.HubstorageClient('0' * 32, os.environ['SHUB_STORAGE'])
attempt('raw', lambda: list(raw.get_job(job.key).items.list()))
attempt('raw stream', lambda: list(raw.get_job(job.key).items.iter_values()))
attempt('raw push', lambda: raw.push_job(123, 'one'))
