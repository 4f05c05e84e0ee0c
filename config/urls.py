"""URL patterns: the operations from the table of routes, and everything around them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path, re_path

from apps.batches.events import BatchEventsView
from apps.batches.views import ArchiveView, BatchesView, BatchView
from apps.billing.views import AccountView, RemoveBgAccountView, UsageView
from apps.core.api import docs, errors, system
from apps.core.api.events import JobEventsView
from apps.core.api.job_list import JobsView
from apps.core.api.submitted import TaskResultView
from apps.core.api.views import JobView
from apps.core.dialects.code_message import CODE_MESSAGE
from apps.core.dialects.elements import ELEMENTS
from apps.core.dialects.removebg import REMOVEBG
from apps.payments import discovery
from apps.watermark.operation import WATERMARK_TASK
from apps.watermark.views import TemplatesView, TemplateView
from apps.webhooks import views as webhooks
from config.routes import ROUTES

_UUID = r"(?P<job_id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"

urlpatterns = [
    *(
        path(
            route.path,
            route.view.as_view(operation=route.operation, dialect=route.dialect),
            name=route.path,
        )
        for route in ROUTES
    ),
    path("v1/jobs", JobsView.as_view(), name="jobs"),
    re_path(rf"^v1/jobs/{_UUID}$", JobView.as_view(), name="job"),
    re_path(rf"^v1/jobs/{_UUID}/events$", JobEventsView.as_view(), name="job-events"),
    path("v1/batches", BatchesView.as_view(), name="batches"),
    path("v1/batches/<uuid:batch_id>", BatchView.as_view(), name="batch"),
    path("v1/batches/<uuid:batch_id>/events", BatchEventsView.as_view(), name="batch-events"),
    path("v1/batches/<uuid:batch_id>/archive", ArchiveView.as_view(), name="batch-archive"),
    path("v1/account", AccountView.as_view(), name="account"),
    path("v1.0/account", RemoveBgAccountView.as_view(), name="removebg-account"),
    path("v1/watermark-templates", TemplatesView.as_view(), name="watermark-templates"),
    path("v1/watermark-templates/<uuid:template_id>", TemplateView.as_view(), name="watermark-template"),
    path(
        "api/ext/v1/get_task_result",
        TaskResultView.as_view(operation_slug=WATERMARK_TASK.slug),
        name="get-task-result",
    ),
    re_path(r"^api/ext/", errors.nothing_here(CODE_MESSAGE)),
    re_path(r"^v1\.0/", errors.nothing_here(REMOVEBG)),
    re_path(r"^api/cutout/", errors.nothing_here(ELEMENTS)),
    path("v1/webhooks", webhooks.WebhooksView.as_view(), name="webhooks"),
    path("v1/webhooks/<uuid:webhook_id>", webhooks.WebhookView.as_view(), name="webhook"),
    path("v1/webhooks/<uuid:webhook_id>/rotate-secret", webhooks.RotateSecretView.as_view(), name="webhook-rotate"),
    path("v1/webhooks/<uuid:webhook_id>/test", webhooks.TestView.as_view(), name="webhook-test"),
    path("v1/webhooks/<uuid:webhook_id>/deliveries", webhooks.DeliveriesView.as_view(), name="webhook-deliveries"),
    path(
        "v1/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/replay",
        webhooks.ReplayView.as_view(),
        name="webhook-replay",
    ),
    path("v1/usage", UsageView.as_view(), name="usage"),
    path("v1/version", system.VersionView.as_view(), name="version"),
    path("healthz", system.healthz, name="healthz"),
    path("readyz", system.readyz, name="readyz"),
    path("metrics", system.metrics, name="metrics"),
    path("openapi.json", docs.openapi, name="openapi"),
    path("llms.txt", discovery.llms_txt, name="llms"),
    path(".well-known/x402", discovery.well_known_x402, name="well-known-x402"),
    path("docs", docs.docs, name="docs"),
    path("docs/redoc.js", docs.docs_script, name="docs-script"),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
