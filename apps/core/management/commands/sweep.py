"""The sweeper: one round, or round after round."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections

from apps.core.errors import AppError
from apps.core.sweeper import registered_rounds, sweep
from apps.core.work.heart import show_life

log = logging.getLogger(__name__)
_EVERY_S = 5.0


class Command(BaseCommand):
    help = "Take back lapsed jobs, wake workers for forgotten ones, delete what has expired."
    requires_system_checks = ()  # `make check` asks them; they load every view, for a third of a second of CPU

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="a round every 5 seconds, until stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            done = sweep() | {name: run() for name, run in registered_rounds().items()}
            self.stdout.write(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in done.items()))
            return
        for run in registered_rounds().values():
            threading.Thread(target=_repeat, args=[run], daemon=True).start()
        _repeat(_sweep_and_show_life)


def _sweep_and_show_life() -> None:
    show_life()  # before the round: one that fails for want of a server is tried again, and that is life as well
    sweep()


def _repeat(run: Callable[[], Any]) -> None:
    while True:
        try:
            run()
        except (DatabaseError, redis.RedisError, AppError):
            log.warning("a backing service does not answer; the next round tries again", exc_info=True)
        close_old_connections()
        time.sleep(_EVERY_S)
