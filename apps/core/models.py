"""The job: one row, and the one truth about a piece of work."""

from __future__ import annotations

import secrets
import uuid
from enum import StrEnum
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from apps.core.owner import Mode

MODES = [(mode.value, mode.value) for mode in Mode]


class State(StrEnum):
    """`queued -> running -> settling -> succeeded | failed | cancelled | expired`; only `lifecycle` moves a job along."""

    QUEUED = "queued"
    RUNNING = "running"
    SETTLING = "settling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN_STATES = (State.QUEUED, State.RUNNING, State.SETTLING)
HELD_STATES = (State.RUNNING, State.SETTLING)
IS_OPEN = Q(state=State.QUEUED) | Q(state__in=HELD_STATES)
"""Open, as a condition: each arm has its partial index, where one `IN` over all three would read the whole table."""
FINAL_STATES = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED)
IS_LEFTOVER = Q(results_stored=True) & (Q(deleted_at__isnull=False) | Q(state__in=[State.CANCELLED, State.FAILED]))
"""Results that nobody will ever ask for, though they have not expired."""


def object_token() -> str:
    """32 random hex digits: the unguessable part of the object names of one job."""
    return secrets.token_hex(16)


class Job(models.Model):
    """
    One operation on one upload.

    The objects of a job lie in the store under `inputs/{object_token}/` and `results/{object_token}/`;
    `inputs_stored` and `results_stored` stay true until the sweeper or the worker has seen them deleted; results are deleted
    a second time at `purge_again_at`, when no worker that had the job can store one any more.
    `attempt` counts claims and guards every write of a worker: a worker whose lease lapsed has an old number.
    `inputs_gone_at` and `results_gone_at` keep when they were deleted.
    `billed_early` says that a gateway was told the price with the 202, before the job had ended.
    `crashes` counts the workers that died with the job in hand.
    `pace_name` is what its time is measured under: the operation, or a use of it that takes another time.
    `delivery` says what became of `upload_url`, as answers show it; null without one (`Handover`).
    `key_prefix` names the key that sent it; it is empty for the gateway's and for payments.
    `awaits_input` says of a queued one that its file is still being fetched: no worker claims it yet.
    `in_batch` says that it was sent in a batch, whose items do not count against an account's jobs at once.
    """

    NO_INPUTS: ClassVar = {"inputs_stored": False, "inputs_gone_at": Coalesce("inputs_gone_at", Now())}
    NO_RESULTS: ClassVar = {"results_stored": False, "results_gone_at": Coalesce("results_gone_at", Now())}
    """What an update of a row says whose objects have been deleted; the time of the first deletion stays."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="jobs")
    operation = models.CharField(max_length=40)
    pace_name = models.CharField(max_length=40, blank=True, db_default="")
    params = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=36)
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE, db_default=Mode.LIVE.value)
    key_prefix = models.CharField(max_length=16, blank=True, db_default="")

    funding = models.CharField(max_length=20)
    price_credits = models.PositiveIntegerField()
    charged_credits = models.PositiveIntegerField(default=0)
    billed_early = models.BooleanField(default=False)

    state = models.CharField(
        max_length=10, choices=[(state.value, state.value) for state in State], default=State.QUEUED
    )
    stage = models.CharField(max_length=20, default="queued")
    progress = models.FloatField(default=0.0)
    attempt = models.PositiveIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    object_token = models.CharField(max_length=32, default=object_token, editable=False)
    inputs_stored = models.BooleanField(default=True)
    awaits_input = models.BooleanField(default=False, db_default=False)
    in_batch = models.BooleanField(default=False, db_default=False)
    results_stored = models.BooleanField(default=False)
    retention_s = models.PositiveIntegerField()

    outcome = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    delivery = models.JSONField(null=True, blank=True)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    purge_again_at = models.DateTimeField(null=True, blank=True)
    inputs_gone_at = models.DateTimeField(null=True, blank=True)
    results_gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["account", "created_at"], condition=Q(state="queued"), name="job_waiting"),
            models.Index(
                fields=["account", "created_at"], condition=Q(state="queued", awaits_input=False), name="job_claimable"
            ),
            models.Index(fields=["account"], condition=Q(state__in=["running", "settling"]), name="job_held"),
            models.Index(fields=["lease_until"], condition=Q(state__in=["running", "settling"]), name="job_leases"),
            models.Index(fields=["account", "-started_at"], name="job_turns"),
            models.Index(
                fields=["account", "mode", "operation", "state", "-created_at", "-id"],
                condition=Q(deleted_at=None),
                name="job_listed",
            ),
            models.Index(fields=["expires_at"], condition=Q(results_stored=True), name="job_results"),
            models.Index(fields=["finished_at"], condition=Q(inputs_stored=True), name="job_inputs"),
            models.Index(fields=["finished_at"], condition=IS_LEFTOVER, name="job_leftovers"),
            models.Index(
                fields=["finished_at"], include=["state"], condition=Q(finished_at__isnull=False), name="job_ended"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.id}"

    @property
    def log_facts(self) -> dict[str, Any]:
        """What every log line about the job says: the request's id leads from the client's answer to it."""
        return {"job": str(self.id), "request_id": self.request_id}

    @property
    def input_prefix(self) -> str:
        return f"inputs/{self.object_token}/"

    @property
    def result_prefix(self) -> str:
        return f"results/{self.object_token}/"

    @property
    def attempt_prefix(self) -> str:
        """Of the results of this attempt alone: two workers never write the same object."""
        return f"{self.result_prefix}{self.attempt}/"


class Handover(models.Model):
    """
    Where a job's result is still to be put (`handover`); the row goes when that is done, and the address with it.

    Due at `next_attempt_at`, null until the job has succeeded; who claims it moves that to the end of its lease.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE, related_name="+", db_index=False)
    sealed_url = models.TextField(editable=False)
    next_attempt_at = models.DateTimeField(null=True, db_index=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["account"], condition=Q(lease_until__isnull=False), name="handover_held")]

    def __str__(self) -> str:
        return str(self.job_id)


class IdempotencyKey(models.Model):
    """
    A client's `Idempotency-Key` and what it stands for; `idempotency` says what that means.

    Its owner is an account in one of its modes, or, without an account, the payer of a machine payment: an address, or the
    payment's own id until the chain has said who paid.
    `kind` and `made_id` name the row of what was made; it may be gone, which is told as well. `answered_*` say in which form
    a job was answered.
    """

    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE, null=True, related_name="+")
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE, db_default=Mode.LIVE.value)
    payer = models.CharField(max_length=42, blank=True, db_default="")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    kind = models.CharField(max_length=20)
    made_id = models.UUIDField(db_index=True)
    answered_status = models.PositiveSmallIntegerField(null=True)
    answered_binary = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "mode", "key"], name="idempotency_key_once"),
            models.UniqueConstraint(
                fields=["key", "payer"], condition=Q(account=None), name="idempotency_key_once_a_payer"
            ),
            models.CheckConstraint(
                condition=Q(account__isnull=False, payer="") | (Q(account=None) & ~Q(payer="")),
                name="idempotency_key_of_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.key
