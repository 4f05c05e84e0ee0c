"""The Celery application: two queues, JSON messages, and a worker that loads its models before it takes work."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutdown
from django.conf import settings

from apps.stack.parent_death import die_with_parent

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
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 5, "visibility_timeout": 3600},
)
app.autodiscover_tasks(["apps.core"])


@worker_init.connect
def load_models(**_: Any) -> None:
    """
    Before the first message: everything that a job needs is in memory, and the heart beats.

    Raises:
        SystemExit: it could not be loaded. Celery swallows any other exception and would go on as a worker without networks.
    """
    die_with_parent()
    try:
        _load_models()
    except Exception as error:
        log.exception("the worker cannot load what it needs")
        raise SystemExit(1) from error


def _load_models() -> None:
    from apps.core.engine import Engine, facts_of, load_runners
    from apps.core.operations import all_operations
    from apps.core.worker import inherit, start_worker
    from ml.sessions.onnx import InferenceSlots

    inherit()
    slots = InferenceSlots(settings.INFERENCE_SLOTS or None)
    engine = Engine(profile=settings.WEIGHTS_PROFILE, weights_dir=Path(settings.WEIGHTS_DIR), slots=slots)
    runners = load_runners(all_operations(), engine)
    start_worker(runners, facts_of(runners, engine))


@worker_shutdown.connect
def say_goodbye(**_: Any) -> None:
    """Leave the list of living workers at once rather than by silence."""
    from apps.core import broker
    from apps.core.worker import this_worker

    broker.forget(this_worker().name)
