"""The Celery application: two queues (`config/inference_worker.py`, `config/io_worker.py`), and JSON messages."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery
from celery.apps import worker as celery_worker
from celery.signals import setup_logging
from django.db import connection

from config.logs import speak_json

speak_json()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

log = logging.getLogger(__name__)
app = Celery("keyline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue="io",
    # A message is a wake-up; the row decides, so early acknowledgement loses nothing and prefetching gains nothing.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 5, "visibility_timeout": 3600},
)
app.autodiscover_tasks(["apps.core"])
app.autodiscover_tasks(["apps.core"], related_name="errands")


@setup_logging.connect
def leave_logging_alone(**_: Any) -> None:
    """Django's settings say how lines look; with a receiver here Celery adds no handlers and formats of its own."""


def _say(sentence: object, _file: object = None) -> None:
    log.info("%s", sentence)


celery_worker.safe_say = _say  # type: ignore[attr-defined]  # "Warm shutdown" and its like go past every log to the terminal


def make_room_for(threads: int, worker: Any) -> None:
    """
    A database connection for each thread of this worker, too.

    Args:
        worker: Celery's, whose pool of threads is made later.
    """
    worker.concurrency = max(worker.concurrency, threads)
    pool = getattr(connection, "pool", None)
    if pool is not None and pool.max_size < threads:
        pool.resize(pool.min_size, threads)
