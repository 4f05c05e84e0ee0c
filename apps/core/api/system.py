"""How the service is doing: version, health, readiness, metrics."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from rest_framework.request import Request

from apps.core import broker
from apps.core.api.exceptions import answer_in
from apps.core.api.views import EndpointView
from apps.core.dialects.envelope import ENVELOPE, envelope
from apps.core.errors import AppError, ErrorCode
from apps.core.metrics import ServiceCollector
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


@csrf_exempt  # else another method were a 403 and not a 405
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """The process lives."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker, store and a worker with its models answer; who may look is told which of them don't."""
    workers: list[dict[str, Any]] = []
    checks = {
        "database": _check(lambda: connection.cursor().execute("SELECT 1")),
        "broker": _check(lambda: workers.extend(broker.living_workers())),
        "store": _check(result_store().ping),
    }
    checks["worker"] = "ok" if workers else "no worker with its models is up"
    ready = all(result == "ok" for result in checks.values())
    told: dict[str, Any] = {"ready": ready}
    if may_look(request):
        facts = ("name", "device", "models", "slots", "warnings")
        told |= {"checks": checks, "workers": [{name: worker.get(name) for name in facts} for worker in workers]}
    return JsonResponse(told, status=200 if ready else 503)


def may_look(request: HttpRequest) -> bool:
    """Whether the inside is told: to everybody where no METRICS_TOKEN is set, else to who sends it as a bearer token."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    is_right = hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    return not settings.METRICS_TOKEN or (scheme.lower() == "bearer" and is_right)


def _check(probe: Callable[[], Any]) -> str:
    try:
        probe()
    except (AppError, DatabaseError):
        return "does not answer"
    return "ok"


@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus: the web process's counters, jobs as the rows say it, workers as Redis does."""
    if not may_look(request):
        error = AppError(ErrorCode.UNAUTHENTICATED, "Send METRICS_TOKEN as Authorization: Bearer.")
        return answer_in(ENVELOPE, error, request)
    registry = CollectorRegistry()
    registry.register(ServiceCollector())
    return HttpResponse(generate_latest(REGISTRY) + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
