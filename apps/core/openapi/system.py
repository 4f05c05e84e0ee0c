"""The OpenAPI paths that do not come from the table of operations: jobs, version, health."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.parts import SECURITY, failures, json_content, named, ref, success

_JOB_ID = [{"$ref": "#/components/parameters/JobId"}]
_COMMON = failures("400", "401", "404", "405", "429", "500", "503")
_JOB = ref("Job")
_STRINGS = {"type": "array", "items": {"type": "string"}}
_VERSION = {
    "type": "object",
    "required": ["version", "models", "devices"],
    "properties": {"version": {"type": "string"}, "models": _STRINGS, "devices": _STRINGS},
}
_OPEN_TO_ALL = {"tags": ["system"], "security": []}
_PLAIN = {"content": json_content({"type": "object", "additionalProperties": True})}

JOB_PATHS: dict[str, Any] = {
    "/v1/jobs/{job_id}": {
        "get": {
            "parameters": _JOB_ID,
            "tags": ["jobs"],
            "security": SECURITY,
            "operationId": "get_job",
            "summary": "A job's state, and its result when it has one",
            "responses": {"200": success("The job; a failed one has its error in data.error.", "Job", _JOB), **_COMMON},
        },
        "delete": {
            "parameters": _JOB_ID,
            "tags": ["jobs"],
            "security": SECURITY,
            "operationId": "delete_job",
            "summary": "Delete a job and its objects; an open one is cancelled and not charged",
            "responses": {"204": {"description": "Gone"}, **_COMMON},
        },
    },
    "/v1/jobs/{job_id}/events": {
        "get": {
            "parameters": _JOB_ID,
            "tags": ["jobs"],
            "security": SECURITY,
            "operationId": "get_job_events",
            "summary": "Server-sent events: the job at every change, until it ends or 60 s have passed",
            "responses": {
                "200": {
                    "description": "`event: state`, `data:` the job as in GET /v1/jobs/{job_id}.",
                    "content": {"text/event-stream": {}},
                },
                **_COMMON,
            },
        },
    },
}

SYSTEM_PATHS: dict[str, Any] = {
    "/v1/version": {
        "get": {
            **_OPEN_TO_ALL,
            "operationId": "get_version",
            "summary": "Build and model versions",
            "responses": {
                "200": success("Versions", "Version", named("Version", _VERSION)),
                **failures("405", "429", "500", "503"),
            },
        }
    },
    "/healthz": {
        "get": {
            **_OPEN_TO_ALL,
            "operationId": "get_health",
            "summary": "The process lives",
            "responses": {"200": {"description": "Alive", **_PLAIN}},
        }
    },
    "/readyz": {
        "get": {
            **_OPEN_TO_ALL,
            "operationId": "get_readiness",
            "summary": "Database, broker, store and a worker with its models answer",
            "description": "`ready`; with METRICS_TOKEN as a bearer token, or where none is set, which of them and the workers.",
            "responses": {"200": {"description": "Ready", **_PLAIN}, "503": {"description": "Not ready", **_PLAIN}},
        }
    },
    "/metrics": {
        "get": {
            **_OPEN_TO_ALL,
            "operationId": "get_metrics",
            "summary": "Prometheus",
            "description": "Where METRICS_TOKEN is set, send it as a bearer token.",
            "responses": {
                "200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
                "401": {"description": "Not the token", "content": json_content(ref("ErrorEnvelope"))},
                "503": {"description": "Redis does not answer", "content": json_content(ref("ErrorEnvelope"))},
            },
        }
    },
}
