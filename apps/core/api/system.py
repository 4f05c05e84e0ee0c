"""How the service is doing: version, health, readiness, metrics, and the human reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from drf_spectacular.views import SpectacularRedocView
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest
from rest_framework.request import Request

from apps.core import broker
from apps.core.api.views import EndpointView
from apps.core.dialects.envelope import envelope
from apps.core.errors import AppError
from apps.core.models import IS_OPEN, Job
from apps.core.storage import result_store


class VersionView(EndpointView):
    """`GET /v1/version`: build and model versions."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> HttpResponse:
        workers = broker.living_workers()
        models = sorted({model for worker in workers for model in worker.get("models", [])})
        devices = sorted({worker.get("device", "cpu") for worker in workers})
        return envelope(request, data={"version": settings.VERSION, "models": models, "devices": devices})


class DocsView(SpectacularRedocView):
    """The human reference; its script is served from here."""

    authentication_classes = ()
    permission_classes = ()


@csrf_exempt  # else another method were a 403 and not a 405
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """The process lives."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_GET
def readyz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """Database, broker, store and a worker with its models answer; 503 names the ones that don't."""
    workers: list[dict[str, Any]] = []
    checks = {
        "database": _check(lambda: connection.cursor().execute("SELECT 1")),
        "broker": _check(lambda: workers.extend(broker.living_workers())),
        "store": _check(result_store().ping),
    }
    checks["worker"] = "ok" if workers else "no worker with its models is up"
    ready = all(result == "ok" for result in checks.values())
    facts = [
        {name: worker.get(name) for name in ("name", "device", "models", "slots", "warnings")} for worker in workers
    ]
    return JsonResponse({"ready": ready, "checks": checks, "workers": facts}, status=200 if ready else 503)


def _check(probe: Callable[[], Any]) -> str:
    try:
        probe()
    except (AppError, DatabaseError):
        return "does not answer"
    return "ok"


@csrf_exempt
@require_GET
def metrics(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Prometheus: the web process's counters, and the queue as the rows say it."""
    registry = CollectorRegistry()
    jobs = Gauge("keyline_jobs", "Open jobs by state and operation", ["state", "operation"], registry=registry)
    for state, operation, count in (
        Job.objects.filter(IS_OPEN).values_list("state", "operation").annotate(n=Count("id")).order_by()
    ):
        jobs.labels(state, operation).set(count)
    workers = broker.living_workers()
    Gauge("keyline_workers", "Workers whose heart beats", registry=registry).set(len(workers))
    Gauge("keyline_slots", "Inference slots of all workers", registry=registry).set(
        sum(worker.get("slots", 1) for worker in workers)
    )
    Gauge("keyline_pace_seconds", "Mean service time of a job, lately", registry=registry).set(broker.pace_s())
    return HttpResponse(generate_latest(REGISTRY) + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
