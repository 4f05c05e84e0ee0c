"""What webhooks keep of a job: that they told of it, when and with what answer; never what they told."""

from __future__ import annotations

from collections.abc import Iterator

from apps.core.models import Job
from apps.core.traces import Trace
from apps.webhooks.models import Delivery, Event


def of_news(job: Job) -> Iterator[Trace]:
    """Bodies that lie in the outbox, where what is told of a job is made anew at every try."""
    bodies = Event.objects.filter(subject_id=str(job.id), data__isnull=False).count()
    tries = Delivery.objects.filter(subject_id=str(job.id)).count()
    yield Trace("bodies of its deliveries", left=bodies, note=f"{tries} deliveries, which keep none" if tries else "")
