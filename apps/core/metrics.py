"""What `/metrics` tells beside the web process's own counters: jobs by the rows, workers and their pace by Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from apps.core import broker, counts
from apps.core.models import FINAL_STATES, IS_OPEN, Job, State
from apps.core.operations import all_operations

_ENDED_WITHIN = timedelta(days=1)


class ServiceCollector(Collector):
    """Asked anew at every scrape; what Redis knows is left out while it is away."""

    def collect(self) -> Iterator[Metric]:
        yield from _jobs()
        try:
            yield from [*_workers(), _paces(), *_counters(broker.counted())]
        except broker.BrokerAwayError:
            return


def _jobs() -> Iterator[Metric]:
    counts = dict.fromkeys(State, 0)
    ended = Job.objects.filter(finished_at__gt=timezone.now() - _ENDED_WITHIN, state__in=FINAL_STATES)
    for rows in (Job.objects.filter(IS_OPEN), ended):
        counts |= {State(state): n for state, n in rows.values_list("state").annotate(n=Count("id")).order_by()}
    jobs = GaugeMetricFamily(
        "keyline_jobs", "Open jobs by state, and those that ended in the last 24 h", labels=["state"]
    )
    for state, count in counts.items():
        jobs.add_metric([state.value], count)
    yield jobs
    oldest = Job.objects.filter(state=State.QUEUED).aggregate(at=Min("created_at"))["at"]
    yield GaugeMetricFamily(
        "keyline_oldest_queued_seconds",
        "Age of the job that has waited longest; 0 where none waits",
        value=(timezone.now() - oldest).total_seconds() if oldest else 0,
    )


def _workers() -> Iterator[Metric]:
    workers = broker.living_workers()
    slots = sum(worker.get("slots", 1) for worker in workers)
    yield GaugeMetricFamily("keyline_workers", "Workers whose heart beats", value=len(workers))
    yield GaugeMetricFamily("keyline_slots", "Jobs that all workers run at once", value=slots)


def _counters(counted: dict[str, float]) -> Iterator[Metric]:
    of = partial(counts.of_family, counted)
    ends = [(operation.slug, state.value) for operation in all_operations() for state in FINAL_STATES[:3]]
    jobs = dict.fromkeys(ends, 0.0) | of(counts.JOBS)
    yield _counter("keyline_jobs", "Jobs that ended", labels=["operation", "outcome"], values=jobs)
    yield _counter("keyline_credits", "Credits moved in the ledger", labels=["kind"], values=of(counts.CREDITS))
    yield _counter("keyline_payments", "Payments by state", labels=["rail", "state"], values=of(counts.PAYMENTS))
    for family, name, told in (
        (counts.WEBHOOKS, "keyline_webhook_deliveries", "Tries of webhooks"),
        (counts.UPLOADS, "keyline_uploads", "Tries to put a result where upload_url says"),
    ):
        tries = {(outcome,): 0.0 for outcome in counts.SENT_OUTCOMES} | of(family)
        yield _counter(name, told, labels=["outcome"], values=tries)
    queue = SummaryMetricFamily("keyline_queue_seconds", "From submit to the last worker's start", labels=["operation"])
    stages = SummaryMetricFamily("keyline_job_stage_seconds", "A success's stages", labels=["operation", "stage"])
    for summary, family in ((queue, counts.QUEUE), (stages, counts.STAGES)):
        for labels, (count, seconds) in counts.pairs_of(counted, family).items():
            summary.add_metric(list(labels), count_value=int(count), sum_value=seconds)
        yield summary


def _counter(name: str, told: str, *, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    counter = CounterMetricFamily(name, told, labels=labels)
    for each, value in values.items():
        counter.add_metric(list(each), value)
    return counter


def _paces() -> Metric:
    names = dict.fromkeys(name for operation in all_operations() for name in operation.pace_names)
    pace = GaugeMetricFamily(
        "keyline_pace_seconds", "Mean time of a job in its slot, lately; a guess of 2 s where none was done in an hour",
        labels=["operation"],
    )  # fmt: skip
    for name, seconds in broker.paces_s(names).items():
        pace.add_metric([name], seconds)
    return pace
