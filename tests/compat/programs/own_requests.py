"""Programs that put their own way of sending into both older clients."""

import os

from scrapinghub import Connection, HubstorageClient, ScrapinghubClient


class Counting(HubstorageClient):
    """Sends by the session, and counts."""

    calls = ()

    def request(self, is_idempotent=False, **kwargs):
        self.calls += ((kwargs['method'], kwargs['url'].replace(self.endpoint, ''), is_idempotent),)
        kwargs.setdefault('timeout', self.connection_timeout)

        def send():
            response = self.session.request(**kwargs)
            response.raise_for_status()
            return response

        return self.retrier.call(send) if is_idempotent else send()


class Watched(Connection):
    """Asks by the session, and decodes as ever."""

    def _request(self, url, data, headers, format, raw, files=None):
        print('asked', url.split('/api/')[1], data)
        method = 'GET' if data is None and files is None else 'POST'
        response = self._session.request(
            method, url, headers=headers, data=data, files=files, timeout=self._connection_timeout
        )
        return self._decode_response(response, format, raw)


counting = Counting(os.environ['SH_APIKEY'], os.environ['SHUB_STORAGE'])
job = counting.push_job(123, 'mine')
job.items.write({'a': 1})
job.items.close()
print(list(job.items.iter_values()), list(job.items.iter_json()), job.items.stats()['totals']['input_values'])
print(list(job.items.list()), job.metadata['state'], job.metadata.liveget('spider'))
store = counting.get_project(123).collections.new_store('mine')
store.set({'_key': 'a', 'v': 1})
print(store.get('a'), list(store.iter_values()), store.count())
print(counting.calls)
watched = Watched(os.environ['SH_APIKEY'], url=os.environ['SHUB_APIURL'])
print(watched.project_ids(), [found.id for found in watched[123].jobs(state='pending')])
print(list(watched[123].job(job.key).items()), watched[123].schedule('mine', x=1))

client = ScrapinghubClient()
seen = []
inner = client._hsclient.request


def recorded(*args, **kwargs):
    """Count and go on."""
    seen.append(kwargs['method'])
    return inner(*args, **kwargs)


client._hsclient.request = recorded
print(list(client._hsclient.get_job(job.key).items.iter_values()), seen)
print(client._connection.url == os.environ['SHUB_APIURL'], client._connection._session.auth[1] == '')
client._hsclient.use_msgpack = False
print(client.get_job(job.key).items.list())
client.close()
counting.close()
