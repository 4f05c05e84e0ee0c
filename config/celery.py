"""The Celery application: two queues, JSON messages, and a worker that loads its models before it takes work."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from celery import Celery
from celery.apps import worker as celery_worker
from celery.signals import setup_logging, worker_init, worker_shutdown
from django.conf import settings
from django.db import connection

from apps.parent_death import die_with_parent
from config.logs import speak_json
from ml.errors import GpuMissingError, PrecisionMissingError

if TYPE_CHECKING:
    from apps.core.work.engine import Engine, Runner
    from ml.models import Models
    from ml.sessions.slots import InferenceSlots

speak_json()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

log = logging.getLogger(__name__)
_SPARE_THREADS = 4
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


@setup_logging.connect
def leave_logging_alone(**_: Any) -> None:
    """Django's settings say how lines look; with a receiver here Celery adds no handlers and formats of its own."""


def _say(sentence: object, _file: object = None) -> None:
    log.info("%s", sentence)


celery_worker.safe_say = _say  # type: ignore[attr-defined]  # "Warm shutdown" and its like go past every log to the terminal


@worker_init.connect
def load_models(sender: Any, **_: Any) -> None:
    """
    Before the first message: everything that a job needs is in memory, and the heart beats.

    Args:
        sender: Celery's worker, whose pool of threads is made after this.

    Raises:
        SystemExit: it could not be loaded. Celery swallows any other exception and would go on as a worker without networks.
    """
    die_with_parent()
    try:
        places = _load_models()
    except (GpuMissingError, PrecisionMissingError) as error:
        log.error("the worker does not start: %s", error)  # noqa: TRY400 - the sentence says all, the trace nothing
        raise SystemExit(1) from error
    except Exception as error:
        log.exception("the worker cannot load what it needs")
        raise SystemExit(1) from error
    _make_room_for(places, sender)


def _load_models() -> int:
    """Load the runners and start the heart. Returns how many jobs this worker holds at once."""
    from apps.core.operations import all_operations
    from apps.core.tasks import wake_worker
    from apps.core.work.engine import Engine, facts_of, load_runners
    from apps.core.work.tables import wait_for_tables
    from apps.core.work.worker import inherit, start_worker, this_worker

    slots = _slots()
    inheriting = threading.Thread(target=inherit)  # the database may be starting, too
    inheriting.start()
    engine = Engine(_models(slots))
    runners = load_runners(all_operations(), engine)
    wait_for_tables()
    inheriting.join()
    start_worker(runners, facts_of(runners, engine))
    threading.Thread(target=_load_the_rest, args=(runners, engine), daemon=True).start()
    places: int = this_worker().places
    for _ in range(places):  # jobs may be waiting whose wake-ups a dead worker took along
        wake_worker()
    return places


def _slots() -> InferenceSlots:
    """Where networks run, and how many at once. Raises GpuMissingError."""
    from ml.sessions.gpu import choose_gpu
    from ml.sessions.slots import InferenceSlots

    jobs = settings.INFERENCE_SLOTS
    gpu = choose_gpu(
        cast(Any, settings.DEVICE), is_required=settings.REQUIRE_GPU, jobs=jobs, max_batch=settings.GPU_MAX_BATCH
    )
    return InferenceSlots(jobs or None, share=settings.SHARE_SLOT) if gpu is None else InferenceSlots(gpu=gpu)


def _models(slots: InferenceSlots) -> Models:
    from ml.models import Models, SamChoice

    sam = SamChoice(
        checkpoint=Path(settings.SAM_CHECKPOINT) if settings.SAM_CHECKPOINT else None,
        model_type=settings.SAM_MODEL_TYPE or None,
    )
    return Models(
        Path(settings.WEIGHTS_DIR),
        profile=settings.WEIGHTS_PROFILE,
        slots=slots,
        sam=sam,
        precision=cast(Any, settings.INFERENCE_PRECISION),
        compiled_dir=Path(settings.NETWORKS_DIR) if settings.NETWORKS_DIR else None,
    )


def _load_the_rest(runners: dict[str, Runner], engine: Engine) -> None:
    """What few requests need: it is loaded beside the first jobs, and who needs it sooner waits for it."""
    from apps.core.work.engine import facts_of
    from apps.core.work.worker import EXIT_FOR_RESTART, give_way, this_worker

    give_way()
    try:
        for runner in set(runners.values()):
            runner.load_the_rest()
    except Exception:
        log.exception("the worker cannot load what it needs")
        logging.shutdown()
        os._exit(EXIT_FOR_RESTART)
    this_worker().tell(facts_of(runners, engine))


def _make_room_for(places: int, worker: Any) -> None:
    """A thread and a database connection for each job in hand, and some for messages that are no jobs: a GPU has many."""
    wanted = places + _SPARE_THREADS
    worker.concurrency = max(worker.concurrency, wanted)
    pool = getattr(connection, "pool", None)
    if pool is not None and pool.max_size < wanted:
        pool.resize(pool.min_size, wanted)


@worker_shutdown.connect
def say_goodbye(**_: Any) -> None:
    """Leave the list of living workers at once rather than by silence."""
    from apps.core import broker
    from apps.core.work.worker import this_worker

    broker.forget(this_worker().name)
