"""The OpenAPI paths of account and usage."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.parts import SECURITY, failures, json_content, named, nullable, success
from apps.core.openapi.removebg import removebg_failures

_COUNT = {"type": "integer", "minimum": 0}
_DAY = {"type": "string", "format": "date"}
_COMMON = failures("400", "401", "405", "429", "500", "503")


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_ACCOUNT = _object(
    {
        "account": {"type": "string"},
        "plan": {"type": "string"},
        "sandbox": {"type": "boolean"},
        "credits": {
            "description": "balance is what can still be spent, held is already taken off it; null where RapidAPI bills.",
            **nullable(named("Credits", _object({"balance": _COUNT, "held": _COUNT}))),
        },
        "limits": named("PlanLimits", _object({"requestsPerMinute": _COUNT, "jobsAtOnce": _COUNT})),
        "prices": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Price"}},
    }
)
_REMOVEBG_ATTRIBUTES = _object(
    {
        "credits": _object(dict.fromkeys(("total", "subscription", "payg", "enterprise"), _COUNT)),
        "api": _object({"free_calls": _COUNT, "sizes": {"type": "string"}}),
    }
)
_REMOVEBG_ACCOUNT = named("RemoveDotBgAccount", _object({"data": _object({"attributes": _REMOVEBG_ATTRIBUTES})}))
_USAGE = _object(
    {
        "from": _DAY,
        "to": _DAY,
        "days": {
            "type": "array",
            "items": named(
                "UsageDay",
                _object(
                    {
                        "day": _DAY,
                        "operation": {"type": "string"},
                        "succeeded": _COUNT,
                        "failed": _COUNT,
                        "credits": _COUNT,
                    }
                ),
            ),
        },
    }
)
_ROWS = success("The rows", "Usage", named("Usage", _USAGE))


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


BILLING_PATHS: dict[str, Any] = {
    "/v1/account": {
        "get": {
            "tags": ["account"],
            "security": SECURITY,
            "operationId": "get_account",
            "summary": "Plan, credits left, limits and prices",
            "responses": {"200": success("The account", "Account", named("Account", _ACCOUNT)), **_COMMON},
        }
    },
    "/v1.0/account": {
        "get": {
            "tags": ["compatible"],
            "security": SECURITY,
            "operationId": "get_removebg_account",
            "summary": "Credits left, in remove.bg's form",
            "responses": {
                "200": {
                    "description": "The account; 0 where RapidAPI bills.",
                    "content": json_content(_REMOVEBG_ACCOUNT),
                },
                **removebg_failures("400", "403", "405", "429", "500", "503"),
            },
        }
    },
    "/v1/usage": {
        "get": {
            "tags": ["account"],
            "security": SECURITY,
            "operationId": "get_usage",
            "summary": "Use by day (UTC) and operation",
            "parameters": [
                _query("from", "First day; 29 days before `to` when absent.", _DAY),
                _query("to", "Last day, included; today when absent.", _DAY),
                _query("format", "json or csv.", {"type": "string", "enum": ["json", "csv"], "default": "json"}),
            ],
            "responses": {
                "200": {
                    **_ROWS,
                    "content": {**_ROWS["content"], "text/csv": {"schema": {"type": "string"}}},
                },
                **_COMMON,
            },
        }
    },
}
