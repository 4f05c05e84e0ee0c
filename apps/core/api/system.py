"""How the service is doing: version, health, readiness, metrics."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from rest_framework.request import Request

from apps.core import broker
from apps.core.answers import Envelope, Members, Part, about, as_json
from apps.core.api.exceptions import answer_in
from apps.core.api.pages import for_reading
from apps.core.api.views import EndpointView
from apps.core.dialects.envelope import ENVELOPE, envelope
from apps.core.errors import AppError, ErrorCode
from apps.core.metrics import ServiceCollector
from apps.core.openapi.endpoints import Endpoint
from apps.core.storage import result_store


class Version(Part):
    """What runs."""

    version: str
    models: list[str]
    devices: list[str]


class Health(Part):
    """Alive."""

    status: str


class Readiness(Part):
    """Whether all that a job needs is there; to who may look, also what it is."""

    ready: bool
    checks: Annotated[dict[str, str], about("ok, or what is wrong, by service.")] | UnsetType = UNSET
    workers: list[Members] | UnsetType = UNSET


class VersionView(EndpointView):
    """`GET /v1/version`: build and model versions."""

    authentication_classes = ()
    permission_classes = ()

    @Endpoint("get_version", "Build and model versions", Envelope[Version])
    def get(self, request: Request) -> HttpResponse:
        workers = broker.living_workers()
        models = sorted({model for worker in workers for model in worker.get("models", [])})
        devices = sorted({worker.get("device", "cpu") for worker in workers})
        return envelope(request, Version(version=settings.VERSION, models=models, devices=devices))


@for_reading
@Endpoint("get_health", "The process lives", Health)
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """The process lives."""
    return JsonResponse(as_json(Health(status="ok")))


@for_reading
@Endpoint(
    "get_readiness",
    "Database, broker, store and a worker with its models answer",
    Readiness,
    about="`ready`; with METRICS_TOKEN as a bearer token, or where none is set, which of them and the workers.",
    unready=Readiness,
)
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
    told = Readiness(ready=ready)
    if may_look(request):
        facts = ("name", "device", "precision", "models", "slots", "warnings")
        told = replace(told, checks=checks, workers=[{name: worker.get(name) for name in facts} for worker in workers])
    return JsonResponse(as_json(told), status=200 if ready else 503)


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


@for_reading
@Endpoint(
    "get_metrics",
    "Prometheus",
    done="Metrics",
    media={"text/plain": {"schema": {"type": "string"}}},
    about="Where METRICS_TOKEN is set, send it as a bearer token.",
    refusals=(ErrorCode.UNAUTHENTICATED, ErrorCode.OVERLOADED),
)
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus: the web process's counters, jobs as the rows say it, workers as Redis does."""
    if not may_look(request):
        error = AppError(ErrorCode.UNAUTHENTICATED, "Send METRICS_TOKEN as Authorization: Bearer.")
        return answer_in(ENVELOPE, error, request)
    registry = CollectorRegistry()
    registry.register(ServiceCollector())
    return HttpResponse(generate_latest(REGISTRY) + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
