"""Print the mean price of the items that are in stock, and of those that are not, computed by a Dask cluster.

Usage: python dask_items.py JOB_KEY [SCHEDULER]

SCHEDULER is the address of a Dask scheduler; without it, the program starts workers on this machine.
"""

import sys

import dask
import dask.dataframe
import distributed

from scrapinghub import ScrapinghubClient
from scrapinghub.client.partitions import Partition


def main(job_key: str, scheduler: str | None = None) -> None:
    """Compute and print the means."""
    job = ScrapinghubClient().get_job(job_key)
    schema = job.items.schema()
    partitions = job.items.partitions(16, schema=schema)
    # Otherwise Dask would replace nested values by their text.
    with distributed.Client(scheduler), dask.config.set({'dataframe.convert-string': False}):
        empty = job.items.to_pandas(schema, count=0)
        frame = dask.dataframe.from_map(Partition.to_pandas, partitions, meta=empty)
        print(frame.groupby('in_stock')['price'].mean().compute().sort_index().to_string())


if __name__ == '__main__':
    main(*sys.argv[1:])
