"""Who calls, what it may do, and whose things it sees."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_IDENTITIES = "tests/contract/test_identities.py"
_TENANTS = "tests/contract/test_tenants.py"
_MODES = "tests/contract/test_modes.py"
_USABLE = "return self.revoked_at is None and not expired and self.account.is_active"
_STOP = f"{_IDENTITIES}::test_revoked_expired_and_locked_keys_stop_at_once"
_VISIBLE = "filter(account_id=identity.account_id, mode=identity.mode, deleted_at=None)"

MUTANTS = (
    Mutant(
        "a revoked key works",
        "apps/accounts/models.py",
        _USABLE,
        _USABLE.replace("self.revoked_at is None and ", ""),
        _STOP,
    ),
    Mutant("an expired key works", "apps/accounts/models.py", _USABLE, _USABLE.replace("not expired and ", ""), _STOP),
    Mutant(
        "a locked account's key works",
        "apps/accounts/models.py",
        _USABLE,
        _USABLE.replace(" and self.account.is_active", ""),
        _STOP,
    ),
    Mutant(
        "a locked account of the gateway works",
        "apps/accounts/rapidapi.py",
        "if not account.is_active:",
        "if False:",
        f"{_IDENTITIES}::test_locked_account_of_the_gateway_is_a_401",
    ),
    Mutant(
        "any secret makes the gateway",
        "apps/accounts/rapidapi.py",
        "return bool(given) and any(matches)",
        "return bool(given)",
        f"{_IDENTITIES}::test_nothing_of_rapidapi_is_believed_without_the_secret",
    ),
    Mutant(
        "the gateway's second secret is not known",
        "apps/accounts/rapidapi.py",
        "for secret in settings.RAPIDAPI_SECRETS]",
        "for secret in settings.RAPIDAPI_SECRETS[:1]]",
        f"{_IDENTITIES}::test_either_secret_works_while_it_is_rotated",
    ),
    Mutant(
        "the gateway's word about the plan counts once alone",
        "apps/accounts/rapidapi.py",
        "if account.plan != plan:",
        "if False:",
        f"{_IDENTITIES}::test_gateway_makes_the_account_on_first_sight_with_its_plan",
    ),
    Mutant(
        "a client says its own plan",
        "apps/accounts/authentication.py",
        "        if rapidapi.is_gateway(request):",
        '        if "X-RapidAPI-Subscription" in request.headers:',
        f"{_IDENTITIES}::test_nothing_of_rapidapi_is_believed_without_the_secret",
    ),
    Mutant(
        "scopes bind nobody",
        "apps/core/identity.py",
        "return self.scopes is None or operation_slug in self.scopes",
        "return True",
        f"{_IDENTITIES}::test_scope_limits_operations_but_not_the_account",
    ),
    Mutant(
        "of two keys one is chosen",
        "apps/accounts/authentication.py",
        "if len(keys) > 1:",
        "if False:",
        f"{_IDENTITIES}::test_same_key_twice_is_fine_and_two_different_ones_are_not",
    ),
    Mutant(
        "a basic credential is taken for a key",
        "apps/accounts/authentication.py",
        'if scheme.lower() != "bearer":',
        "if False:",
        f"{_IDENTITIES}::test_bearer_is_taken_and_basic_is_not",
    ),
    Mutant(
        "a key is kept as it is",
        "apps/accounts/models.py",
        "prefix=secret[:12],",
        "prefix=secret[:12], label=secret or",
        f"{_IDENTITIES}::test_key_is_stored_as_a_hash_only",
    ),
    Mutant(
        "every account sees every job",
        "apps/core/jobs.py",
        _VISIBLE,
        _VISIBLE.replace("account_id=identity.account_id, ", ""),
        f"{_TENANTS}::test_foreign_job_cannot_be_deleted",
    ),
    Mutant(
        "events of every job are told to everybody",
        "apps/core/api/events.py",
        "job = own_job(request, job_id)",
        "job = Job.objects.get(id=job_id)",
        f"{_TENANTS}::test_foreign_job_tells_no_events",
    ),
    Mutant(
        "everybody deletes every job",
        "apps/core/api/views.py",
        "lifecycle.delete(own_job(request, job_id))",
        "lifecycle.delete(Job.objects.get(id=job_id))",
        f"{_TENANTS}::test_foreign_job_cannot_be_deleted",
    ),
    Mutant(
        "the sandbox sees live jobs",
        "apps/core/jobs.py",
        _VISIBLE,
        _VISIBLE.replace("mode=identity.mode, ", ""),
        f"{_MODES}::test_keys_of_one_mode_never_see_or_delete_jobs_of_the_other",
    ),
    Mutant(
        "a deleted job is still there",
        "apps/core/jobs.py",
        _VISIBLE,
        _VISIBLE.replace(", deleted_at=None", ""),
        f"{_TENANTS}::test_deleted_job_is_gone_for_its_owner_too",
    ),
    Mutant(
        "a key sees jobs outside its scopes",
        "apps/core/jobs.py",
        "return rows if identity.scopes is None else rows.filter(operation__in=identity.scopes)",
        "return rows",
        f"{_MODES}::test_key_sees_and_deletes_jobs_of_its_scopes_alone",
    ),
    Mutant(
        "every account sees every template",
        "apps/watermark/templates.py",
        "rows = WatermarkTemplate.objects.filter(account_id=owner.account_id, mode=owner.mode)",
        "rows = WatermarkTemplate.objects.filter(mode=owner.mode)",
        "tests/contract/test_watermark_templates.py::test_template_of_another_account_is_none",
    ),
)
