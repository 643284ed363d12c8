"""The tables of the store."""

from __future__ import annotations

from scrapinghub.sandbox.store import (
    activity,
    collections,
    deployments,
    frontiers,
    jobs,
    projects,
    records,
    settings,
    spiders,
)

SCHEMAS = tuple(
    module.SCHEMA
    for module in (projects, spiders, settings, jobs, records, activity, collections, frontiers, deployments)
)
