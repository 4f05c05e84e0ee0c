"""Credits: held, captured or given back once, never below zero, explained by the ledger, told to the gateway."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MONEY = "tests/contract/test_money.py"
_IDENTITIES = "tests/contract/test_identities.py"
_LEDGER = "apps/billing/ledger.py"
_FUNDING = "apps/billing/funding.py"
_LIFECYCLE = "apps/core/lifecycle.py"

MUTANTS = (
    Mutant(
        "a failed job keeps its hold",
        _LIFECYCLE,
        "funding_named(job.funding).release(job, ended_as=State.FAILED)",
        "pass",
        f"{_MONEY}::test_empty_result_and_bad_file_cost_nothing",
    ),
    Mutant(
        "a cancelled job keeps its hold",
        _LIFECYCLE,
        "funding_named(job.funding).release(job, ended_as=State.CANCELLED)",
        "pass",
        f"{_MONEY}::test_cancelled_job_is_never_paid",
    ),
    Mutant(
        "an empty result is charged",
        _LIFECYCLE,
        "if Outcome.from_json(row.outcome or {}).chargeable:",
        "if True:",
        f"{_MONEY}::test_empty_result_and_bad_file_cost_nothing",
    ),
    Mutant(
        "a job is settled as often as somebody tries",
        _LIFECYCLE,
        ".filter(id=job.id, state=State.SETTLING).first()",
        ".filter(id=job.id).first()",
        f"{_MONEY}::test_settling_twice_counts_once",
    ),
    Mutant(
        "a job that nobody waits for any longer keeps its hold",
        "apps/core/api/views.py",
        "job = jobs.give_up(job)",
        "pass",
        f"{_MONEY}::test_job_that_is_late_for_its_client_is_cancelled_and_free",
    ),
    Mutant(
        "a dry run runs",
        "apps/core/api/views.py",
        "        if is_dry_run(request, self.fields_of(request)):\n",
        "        if False:\n",
        f"{_MONEY}::test_dry_run_checks_and_quotes_and_does_nothing",
    ),
    Mutant(
        "an unclear dry run is taken for none",
        "apps/core/api/fields.py",
        "if any(word not in _DRY_RUN for _, word in stated):",
        "if False:",
        "tests/contract/test_dry_run.py::test_what_is_neither_true_nor_false_is_refused",
    ),
    Mutant(
        "a dry run in the form runs",
        "apps/core/api/fields.py",
        "for source in (request.GET, fields):",
        "for source in (request.GET,):",
        "tests/contract/test_dry_run.py::test_a_field_of_the_body_counts_as_well",
    ),
    Mutant(
        "an account may spend what it has not",
        _LEDGER,
        "AND balance + %(balance)s >= 0 AND held + %(held)s >= 0",
        "",
        "tests/contract/test_clothing.py::test_one_credit_is_too_few",
    ),
    Mutant(
        "the database lets a balance fall below zero",
        "apps/billing/migrations/0001_initial.py",
        "('balance__gte', 0)",
        "('balance__gte', -9)",
        f"{_MONEY}::test_balance_cannot_go_below_zero_even_by_hand",
    ),
    Mutant(
        "the database lets what is held fall below zero",
        "apps/billing/migrations/0001_initial.py",
        "('held__gte', 0)",
        "('held__gte', -9)",
        f"{_MONEY}::test_balance_cannot_go_below_zero_even_by_hand",
    ),
    Mutant(
        "the ledger can be rewritten",
        "apps/billing/migrations/0002_append_only_ledger.py",
        "BEFORE UPDATE OR DELETE ON",
        "BEFORE DELETE ON",
        f"{_MONEY}::test_ledger_cannot_be_rewritten",
    ),
    Mutant(
        "lines of the ledger can be taken out",
        "apps/billing/migrations/0002_append_only_ledger.py",
        "BEFORE UPDATE OR DELETE ON",
        "BEFORE UPDATE ON",
        f"{_MONEY}::test_ledger_cannot_be_rewritten",
    ),
    Mutant(
        "a hold ends more than once",
        _LEDGER,
        "AND NOT (%(kind)s IN ('capture', 'release')",
        "AND NOT (%(kind)s IN ('nothing')",
        f"{_MONEY}::test_hold_ends_once_whoever_ends_it_again",
    ),
    Mutant(
        "the database takes two ends of one hold",
        "apps/billing/migrations/0001_initial.py",
        "('kind__in', ['capture', 'release'])",
        "('kind__in', ['capture'])",
        f"{_MONEY}::test_database_takes_one_hold_and_one_end_a_job",
    ),
    Mutant(
        "the database takes two holds of one job",
        "apps/billing/migrations/0001_initial.py",
        "condition=models.Q(('kind', 'hold'))",
        "condition=models.Q(('kind', 'none'))",
        f"{_MONEY}::test_database_takes_one_hold_and_one_end_a_job",
    ),
    Mutant(
        "the admin's price is not asked",
        _FUNDING,
        "return priced.price_credits if row is None else row",
        "return priced.price_credits",
        f"{_MONEY}::test_price_is_data",
    ),
    Mutant(
        "a use with a price of its own costs the usual one",
        "apps/core/operations.py",
        "if tariff.applies(params)), self)",
        "if False), self)",
        "tests/contract/test_watermark.py::test_both_prices_are_the_admins",
    ),
    Mutant(
        "the sandbox is charged",
        _FUNDING,
        "def price(self, priced: Priced) -> int:  # noqa: ARG002 - every operation costs the same nothing\n        return 0",
        "def price(self, priced: Priced) -> int:\n        return price_of(priced)",
        f"{_IDENTITIES}::test_sandbox_key_is_free_and_its_results_are_marked",
    ),
    Mutant(
        "the sandbox's pictures bear no mark",
        "apps/core/work/execution.py",
        "if self._is_sandbox:",
        "if False:",
        f"{_IDENTITIES}::test_sandbox_key_is_free_and_its_results_are_marked",
    ),
    Mutant(
        "the gateway bills errors",
        "apps/core/request_facts.py",
        "billed_credits: int = 0",
        "billed_credits: int = 1",
        f"{_IDENTITIES}::test_gateway_bills_nothing_for_errors",
    ),
    Mutant(
        "what the gateway billed for nothing is not owed back",
        _FUNDING,
        "if Job.objects.filter(id=job.id, billed_early=True).exists():",
        "if False:",
        f"{_IDENTITIES}::test_gateway_bills_an_accepted_job_once_and_owes_it_back_when_it_gives_nothing",
    ),
    Mutant(
        "wrong books are no error to the shell",
        "apps/billing/management/commands/ledger_check.py",
        "sys.exit(1)",
        "sys.exit(0)",
        f"{_MONEY}::test_ledger_check_names_the_account_whose_books_are_wrong",
    ),
    Mutant(
        "nobody notices holds without jobs",
        "apps/billing/audit.py",
        "WHERE coalesce(w.held, 0) <> coalesce(j.price, 0)",
        "WHERE false",
        f"{_MONEY}::test_ledger_check_notices_every_kind_of_disagreement",
    ),
    Mutant(
        "nobody notices a charge that the ledger does not know",
        "apps/billing/audit.py",
        "AND j.charged_credits <> coalesce(-e.held_change, 0)",
        "AND false",
        f"{_MONEY}::test_ledger_check_notices_every_kind_of_disagreement",
    ),
    Mutant(
        "nobody notices the hold of a finished job",
        "apps/billing/audit.py",
        "AND NOT EXISTS (",
        "AND false AND NOT EXISTS (",
        f"{_MONEY}::test_ledger_check_notices_every_kind_of_disagreement",
    ),
)
