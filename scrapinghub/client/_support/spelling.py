"""Suggest the parameter that is meant by a name that does not exist."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping

from scrapinghub.config.credentials import user_level

# Frequent guesses. Where an endpoint has none of the names on the right, the most similar name is suggested.
GUESSES: Mapping[str, tuple[str, ...]] = {
    name: tuple(meant.split())
    for names, meant in {
        'tag tags with_tag with_tags has_tags include_tag include_tags': 'has_tag add_tag add',
        'add_tag add_tags': 'add',
        'remove_tag remove_tags': 'remove',
        'without_tag without_tags no_tag not_tag lacks_tags exclude_tag exclude_tags': 'lacks_tag',
        'limit max maximum max_count max_items max_results n num number size page_size per_page top': 'count',
        'before until end to older_than end_date end_time date_to max_ts': 'endts',
        'since after from_ begin newer_than start_date start_time date_from min_ts': 'startts',
        'status statuses states job_state': 'state',
        'filters where condition conditions query': 'filter',
        'skip': 'offset start',
        'spider_name name spiders': 'spider',
        'keys job_key job_keys job': 'key',
        'prefixes key_prefix startswith starts_with': 'prefix',
        'metadata meta_fields': 'meta',
        'columns': 'fields',
        'workers num_workers n_workers threads processes connections concurrency': 'max_workers',
        'force replace exist_ok clobber': 'overwrite',
        'dryrun dry simulate': 'dry_run',
        'chunksize chunk_size batchsize': 'batch_size',
        'levels log_level loglevel min_level': 'level',
        'indexes indices numbers': 'index',
        'start_key from_key': 'start',
        'after_key start_after_key cursor': 'startafter',
        'apikey api_key token sh_apikey user': 'auth',
        'url base_url endpoint_url storage': 'endpoint',
        'timeout': 'connection_timeout',
        'retries': 'max_retries',
    }.items()
    for name in names.split()
}

# Guesses at the arguments of ``run``, which become arguments of the spider.
RUN_GUESSES: Mapping[str, str] = {
    name: meant
    for names, meant in {
        'tag tags add_tags has_tag': 'add_tag',
        'unit': 'units',
        'setting settings job_setting': 'job_settings',
        'env environ environment_variables': 'environment',
        'spider_args spider_arguments args arguments job_arg': 'job_args',
        'cmd_arg command': 'cmd_args',
        'prio': 'priority',
    }.items()
    for name in names.split()
}


def suggest_parameter(name: str, accepted: Collection[str]) -> str | None:
    """Return the accepted parameter that is most likely meant; None if there is no likely one.

    Example:
        >>> suggest_parameter('limit', {'count', 'start'})
        'count'
        >>> suggest_parameter('cuont', {'count', 'start'})
        'count'
    """
    for meant in GUESSES.get(name.lower(), ()):
        if meant in accepted:
            return meant
    # Imported here: it is needed only for names that do not exist.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name.lower(), sorted(accepted), n=1, cutoff=0.75)), None)


def warn_user(message: str) -> None:
    """Issue a warning that names the line of the program that called the package."""
    warnings.warn(message, UserWarning, stacklevel=user_level())
