"""What a stranger, a clerk or a slow sender finds closed: the admin, what tells of the inside, the door before a body."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ADMIN = "tests/contract/test_admin.py"
_OUTSIDE = "tests/contract/test_outside.py"
_SECRETS = "tests/contract/test_access_log.py::test_secrets_are_cut_and_the_rest_stays"
_FRONT = "tests/core/test_front.py"
_MAY_CHANGE = (
    "    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002\n        "
)

MUTANTS = (
    Mutant(
        "passwords may be guessed for ever",
        "apps/accounts/admin_site.py",
        "count_try(self.request, name)",
        "pass",
        f"{_ADMIN}::test_right_password_is_refused_while_its_address_is_locked_out",
    ),
    Mutant(
        "passwords may be guessed from many addresses",
        "apps/accounts/login_limits.py",
        '(f"login:name:{digest}", TRIES_OF_NAME)',
        '(f"login:name:{digest}", 10**9)',
        f"{_ADMIN}::test_user_is_locked_out_however_many_addresses_guess",
    ),
    Mutant(
        "a clerk makes keys",
        "apps/accounts/admin.py",
        'return request.user.has_perm("accounts.add_apikey")',
        "return True",
        f"{_ADMIN}::test_who_may_only_look_changes_nothing",
    ),
    Mutant(
        "a clerk revokes keys",
        "apps/accounts/admin.py",
        '(works at once, for good)", permissions=["change"])',
        '(works at once, for good)")',
        f"{_ADMIN}::test_who_may_only_look_changes_nothing",
    ),
    Mutant(
        "a clerk cancels jobs",
        "apps/core/admin.py",
        'return request.user.has_perm("core.change_job")',
        "return True",
        f"{_ADMIN}::test_who_may_only_look_changes_nothing",
    ),
    Mutant(
        "a key is made and nobody knows by whom",
        "apps/accounts/admin.py",
        'self.log_addition(request, row, "Made in the admin.")',
        "pass",
        f"{_ADMIN}::test_new_key_stands_on_its_page_and_nowhere_else",
    ),
    Mutant(
        "a key is revoked and nobody knows by whom",
        "apps/accounts/admin.py",
        'self.log_change(request, key, "Revoked.")',
        "pass",
        f"{_ADMIN}::test_history_tells_who_made_revoked_cancelled_priced_and_paid_back",
    ),
    Mutant(
        "whoever may change users gives himself every right",
        "apps/accounts/admin.py",
        f"{_MAY_CHANGE}return bool(request.user.is_superuser)",
        f"{_MAY_CHANGE}return True",
        f"{_ADMIN}::test_users_and_groups_are_the_superusers_affair",
    ),
    Mutant(
        "a form writes back what has changed meanwhile",
        "apps/core/rows_admin.py",
        "obj.save(update_fields=form.changed_data if change else None)",
        "obj.save()",
        f"{_ADMIN}::test_form_writes_what_was_changed_in_it_and_nothing_else",
    ),
    Mutant(
        "rows that only code may write are changed by hand",
        "apps/core/rows_admin.py",
        f"{_MAY_CHANGE}return False",
        f"{_MAY_CHANGE}return True",
        f"{_ADMIN}::test_what_money_and_work_are_written_in_is_written_by_code_alone",
    ),
    Mutant(
        "a body is kept whoever sends it",
        "apps/core/api/front.py",
        "if terms is None or full:",
        "if full:",
        f"{_FRONT}::test_nothing_is_kept_of_a_body_that_nobody_will_read",
    ),
    Mutant(
        "one caller fills the disk",
        "apps/core/api/front.py",
        "if self._taken[share.name] >= share.places), None)",
        "if False), None)",
        f"{_FRONT}::test_bodies_of_one_caller_find_so_many_places_and_no_more",
    ),
    Mutant(
        "a place once taken is taken for ever",
        "apps/core/api/front.py",
        "self._taken.subtract(names)",
        "pass",
        f"{_FRONT}::test_bodies_of_one_caller_find_so_many_places_and_no_more",
    ),
    Mutant(
        "anybody passes for our proxy's client by https",
        "apps/core/api/security.py",
        'if not is_trusted(request.META.get("REMOTE_ADDR", "")):',
        "if False:",
        f"{_OUTSIDE}::test_who_came_encrypted_is_told_by_our_proxies_alone",
    ),
    Mutant(
        "pages may load from anywhere",
        "apps/core/api/security.py",
        "response.headers.setdefault(_HEADER, ADMIN if is_admin else DATA_ONLY)",
        "pass",
        f"{_OUTSIDE}::test_every_answer_says_what_may_run_in_it",
    ),
    Mutant(
        "a settled job that was deleted in between is charged",
        "apps/core/lifecycle.py",
        "if not _end(job, OPEN_STATES, State.CANCELLED, any_attempt=True, **fields):",
        "if not _end(job, (State.QUEUED, State.RUNNING), State.CANCELLED, any_attempt=True, **fields):",
        "tests/contract/test_deletion.py::test_job_deleted_between_two_steps_is_free_and_leaves_nothing",
    ),
    Mutant(
        "what a late worker stores after a DELETE stays",
        "apps/core/lifecycle.py",
        "    if job.results_stored:\n        with contextlib.suppress(StoreAwayError):  # then",
        "    if False:\n        with contextlib.suppress(StoreAwayError):  # then",
        "tests/contract/test_deletion.py::test_worker_that_had_lost_its_job_takes_its_late_object_away",
    ),
    Mutant(
        "the ledger's guard sleeps for whoever plays a replica",
        "apps/billing/migrations/0004_ledger_refuses_truncate.py",
        "ENABLE ALWAYS TRIGGER billing_ledger_guard;",
        "ENABLE TRIGGER billing_ledger_guard;",
        "tests/contract/test_ledger_guard.py",
    ),
    Mutant(
        "figures of the inside are told to everybody",
        "apps/core/api/system.py",
        'return not settings.METRICS_TOKEN or (scheme.lower() == "bearer" and is_right)',
        "return True",
        f"{_OUTSIDE}::test_strangers_learn_yes_or_no_and_no_figures",
    ),
    Mutant(
        "a key stands in the log",
        "config/logs.py",
        'return _KEY.sub(r"\\g<prefix>...", _PASSWORD',
        "return (_PASSWORD",
        "tests/core/test_log_secrets.py::test_of_a_key_only_its_prefix_stands_in_a_line",
    ),
    Mutant(
        "a signed address stands in the log",
        "config/logs.py",
        'text = _QUERY.sub(r"\\g<address>?...", text)',
        "pass",
        _SECRETS,
    ),
)
