"""The worker of the queue `io`: deliveries, fetching and whatever else waits for other machines; no networks, no pixels."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery.signals import worker_init

from apps.parent_death import die_with_parent
from config.celery import app, make_room_for

__all__ = ["app"]

log = logging.getLogger(__name__)
_SPARE_THREADS = 4
_BEAT_EVERY_S = 5.0
# Clients' names are looked up here, as in the web process (config/wsgi.py).
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")


@worker_init.connect
def begin(sender: Any, **_: Any) -> None:
    """
    Before the first message: the tables are there, every errand has its threads, and what is due is begun.

    Raises:
        SystemExit: something is wrong. Celery swallows any other exception and would go on as a worker that does nothing.
    """
    from apps.core.errands import all_errands, wake
    from apps.core.work.tables import wait_for_tables

    die_with_parent()
    try:
        wait_for_tables()
        errands = all_errands()
        make_room_for(sum(errand.places for errand in errands) + _SPARE_THREADS, sender)
        for errand in errands:  # rows may be due whose wake-ups a dead worker took along
            wake(errand.name)
    except Exception as error:  # Celery would swallow it and go on doing nothing
        log.exception("the io worker cannot start")
        raise SystemExit(1) from error
    threading.Thread(target=_keep_beating, name="heart", daemon=True).start()


def _keep_beating() -> None:
    from apps.core.work.heart import show_life

    while True:
        show_life()
        time.sleep(_BEAT_EVERY_S)
