"""The web process's entry point under granian: an event loop receives the requests, threads serve them."""

from __future__ import annotations

import resource

from config.wsgi import application as django  # first: it sets Django up

from django.conf import settings  # isort: skip

from apps.core import jobs  # isort: skip
from apps.core.api.door import Door  # isort: skip
from apps.core.api.front import Front  # isort: skip
from apps.core.api.middleware import cap_of  # isort: skip
from apps.core.work.tables import wait_for_tables  # isort: skip

SPARE_THREADS = 8  # beyond the waiting requests: health, polls and refusals are answered at any time


def _allow_many_files() -> None:
    """Each connection is a descriptor, and so is the file of a large upload."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


_allow_many_files()
if settings.AWAIT_TABLES:
    wait_for_tables(needs_database=False)  # without one it answers all the same: 503, and that it lives
application = Front(django, cap_of=cap_of, terms_of=Door(), threads=jobs.PLACES + SPARE_THREADS)
