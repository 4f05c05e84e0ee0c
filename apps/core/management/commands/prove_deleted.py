"""Say what of a job is gone, and since when; exit 1 when something is left."""

from __future__ import annotations

import sys
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.models import Job
from apps.core.results import iso, visible_state
from apps.core.storage import StoreAwayError
from apps.core.traces import NEVER, Trace, traces_of


class Command(BaseCommand):
    help = "Look for all that could be left of a job, in the store and in the rows; exit 1 if there is anything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--job", type=uuid.UUID, required=True, help="its id")

    def handle(self, *args: Any, **options: Any) -> None:
        job = Job.objects.filter(id=options["job"]).first()
        if job is None:
            raise CommandError("There is no row of such a job; rows are kept when a job is deleted.")
        try:
            traces = list(traces_of(job))
        except StoreAwayError:
            raise CommandError("The store does not answer, so nothing is proven.") from None
        self.stdout.write(f"job {job.id}: {visible_state(job).value}, {_times(job)}")
        for trace in traces:
            self.stdout.write(f"  {trace.name}: {_told(trace)}{f' ({trace.note})' if trace.note else ''}")
        if not all(trace.is_gone for trace in traces):
            self.stdout.write("NOT deleted: see above.")
            sys.exit(1)
        self.stdout.write("All of it is gone.")


def _times(job: Job) -> str:
    times = {"made": job.created_at, "ended": job.finished_at, "expires": job.expires_at, "deleted": job.deleted_at}
    return ", ".join(f"{what} {iso(moment)}" for what, moment in times.items() if moment)


def _told(trace: Trace) -> str:
    if trace.left and trace.kept_until is None:
        return f"{trace.left} LEFT, and overdue"
    if trace.kept_until == NEVER:
        return f"{trace.left} there, still needed"
    if trace.kept_until:
        return f"{trace.left} there, kept until {iso(trace.kept_until)}"
    return f"none, gone since {iso(trace.gone_at)}" if trace.gone_at else "none"
