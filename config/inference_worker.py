"""The worker of the queue `inference`: it loads its networks before it takes work."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from celery.signals import worker_init, worker_shutdown
from django.conf import settings

from apps.parent_death import die_with_parent
from config.celery import app, make_room_for
from ml.errors import GpuMissingError, PrecisionMissingError

if TYPE_CHECKING:
    from apps.core.work.engine import Engine, Runner
    from ml.models import Models
    from ml.sessions.slots import InferenceSlots

__all__ = ["app"]

log = logging.getLogger(__name__)
_SPARE_THREADS = 4
"""Beside one for each job in hand, for messages that find no place: a GPU has many places."""


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
    except Exception as error:  # Celery would swallow it and go on without networks
        log.exception("the worker cannot load what it needs")
        raise SystemExit(1) from error
    make_room_for(places + _SPARE_THREADS, sender)


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
    return InferenceSlots(jobs or None) if gpu is None else InferenceSlots(gpu=gpu)


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
    except Exception:  # in a thread of its own nobody would hear of it: the supervisor starts the worker anew
        log.exception("the worker cannot load what it needs")
        logging.shutdown()
        os._exit(EXIT_FOR_RESTART)
    this_worker().tell(facts_of(runners, engine))


@worker_shutdown.connect
def say_goodbye(**_: Any) -> None:
    """Leave the list of living workers at once rather than by silence."""
    from apps.core import broker
    from apps.core.work.worker import this_worker

    broker.forget(this_worker().name)
