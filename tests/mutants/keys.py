"""`Idempotency-Key`: the same request is answered again, another is refused, and a fault of ours frees the key."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MONEY = "tests/contract/test_money.py"
_FILE = "apps/core/idempotency.py"
_SAME = "tests/core/test_idempotency.py::test_another_request_has_another_fingerprint"
_TOLD = "told = [request.method, request.path, sorted(request.GET.lists()), sorted(plain.items())]"

MUTANTS = (
    Mutant("the method does not count", _FILE, _TOLD, _TOLD.replace("request.method, ", ""), _SAME),
    Mutant(
        "the path does not count",
        _FILE,
        _TOLD,
        _TOLD.replace("request.path, ", ""),
        f"{_SAME} {_MONEY}::test_same_key_at_another_address_is_a_422",
    ),
    Mutant(
        "the query does not count",
        _FILE,
        _TOLD,
        _TOLD.replace("sorted(request.GET.lists()), ", ""),
        f"{_SAME} {_MONEY}::test_same_key_at_another_address_is_a_422",
    ),
    Mutant("the fields do not count", _FILE, _TOLD, _TOLD.replace(", sorted(plain.items())", ""), _SAME),
    Mutant(
        "the files do not count",
        _FILE,
        "    for name in sorted(uploads):\n",
        "    for name in ():\n",
        f"{_MONEY}::test_same_key_for_another_request_is_a_422",
    ),
    Mutant(
        "another request gets the first one's answer",
        _FILE,
        "if row.job is None or row.fingerprint != ticket.fingerprint:",
        "if row.job is None:",
        f"{_MONEY}::test_same_key_for_another_request_is_a_422",
    ),
    Mutant(
        "a key whose job still runs is answered with nothing",
        _FILE,
        "raise AppError(ErrorCode.CONFLICT, retry_after_s=2)",
        "return None",
        f"{_MONEY}::test_key_of_a_running_job_is_a_409_with_retry_after",
    ),
    Mutant(
        "a failure on our side uses the key up",
        _FILE,
        "return job.state == State.FAILED and error_of(job).code.status >= 500",
        "return False",
        f"{_MONEY}::test_final_400_is_kept_and_a_failure_on_our_side_is_not",
    ),
    Mutant(
        "a bad file leaves the key free",
        _FILE,
        "error_of(job).code.status >= 500",
        "error_of(job).code.status >= 400",
        f"{_MONEY}::test_final_400_is_kept_and_a_failure_on_our_side_is_not",
    ),
    Mutant(
        "keys live for ever",
        _FILE,
        "if row.created_at < timezone.now() - KEPT or (",
        "if (",
        f"{_MONEY}::test_keys_belong_to_their_account_and_live_for_a_day",
    ),
    Mutant(
        "live and sandbox share keys",
        _FILE,
        "filter(account_id=ticket.account_id, mode=ticket.mode, key=ticket.key)",
        "filter(account_id=ticket.account_id, key=ticket.key)",
        "tests/contract/test_modes.py::test_live_and_sandbox_never_share_an_idempotency_key",
    ),
    Mutant(
        "accounts share keys",
        _FILE,
        "filter(account_id=ticket.account_id, mode=ticket.mode, key=ticket.key)",
        "filter(mode=ticket.mode, key=ticket.key)",
        f"{_MONEY}::test_keys_belong_to_their_account_and_live_for_a_day",
    ),
    Mutant(
        "nobody is told that an answer is a repeated one",
        "apps/core/api/views.py",
        'response.headers["Idempotency-Replayed"] = "true"',
        "pass",
        f"{_MONEY}::test_same_key_gives_the_same_bytes_and_one_charge",
    ),
    Mutant(
        "two requests with one key are let in side by side",
        "apps/core/jobs.py",
        "if arrival.key is not None and any(arrival.has_key_of(other) for other in _arrivals):",
        "if False:",
        "tests/contract/test_mishaps.py::test_second_request_with_a_key_on_its_way_is_a_409",
    ),
)
