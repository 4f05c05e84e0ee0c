"""`Idempotency-Key`: the same request is answered again, another is refused, and a fault of ours frees the key."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MONEY = "tests/contract/test_money.py"
_KEYS = "tests/contract/test_keys.py"
_RACES = "tests/contract/test_key_races.py"
_FILE = "apps/core/idempotency.py"
_TEMPLATES = "apps/watermark/templates.py"
_PAYERS = "tests/payments/test_keys.py"
_PAID = "apps/payments/keys.py"
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
        "    for name in sorted(name for name, upload in uploads.items() if not upload.is_fetched):\n",
        "    for name in ():\n",
        f"{_MONEY}::test_same_key_for_another_request_is_a_422",
    ),
    Mutant(
        "what lies at an address counts",
        _FILE,
        " if not upload.is_fetched):",
        "):",
        f"{_RACES}::test_address_is_the_request_and_not_what_lies_there_today",
    ),
    Mutant(
        "another request gets the first one's answer",
        _FILE,
        "if first.row.fingerprint != ticket.fingerprint:",
        "if False:",
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
        "is_ours = job.state == State.FAILED and error_of(job).code.status >= 500",
        "is_ours = False",
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
        "what was deleted is answered as if it stood",
        _FILE,
        "if first.fate is Fate.GONE:",
        "if False:",
        f"{_KEYS}::test_deleted_is_a_410_until_the_key_has_lived",
    ),
    Mutant(
        "keys live for ever",
        _FILE,
        "if first.fate is Fate.FREE or row.created_at < timezone.now() - KEPT:",
        "if first.fate is Fate.FREE:",
        f"{_MONEY}::test_keys_belong_to_their_account_and_live_for_a_day",
    ),
    Mutant(
        "live and sandbox share keys",
        _FILE,
        '{"account_id": ticket.account_id, "mode": ticket.mode, "payer": ticket.payer}',
        '{"account_id": ticket.account_id, "payer": ticket.payer}',
        "tests/contract/test_modes.py::test_live_and_sandbox_never_share_an_idempotency_key",
    ),
    Mutant(
        "accounts share keys",
        _FILE,
        '{"account_id": ticket.account_id, "mode": ticket.mode, "payer": ticket.payer}',
        '{"mode": ticket.mode, "payer": ticket.payer}',
        f"{_MONEY}::test_keys_belong_to_their_account_and_live_for_a_day",
    ),
    Mutant(
        "a key may be taken beside its thing",
        _FILE,
        "    assert connection.in_atomic_block",
        "    assert True",
        f"{_RACES}::test_key_is_never_taken_beside_its_thing",
    ),
    Mutant(
        "nobody is told that an answer is a repeated one",
        _FILE,
        'response.headers["Idempotency-Replayed"] = "true"',
        "pass",
        f"{_MONEY}::test_same_key_gives_the_same_bytes_and_one_charge",
    ),
    Mutant(
        "a gateway is billed by the retry and by the first request",
        "apps/core/api/views.py",
        "if idempotency.note_answer(order.ticket, job, status=response.status_code, binary=form.binary):",
        "if [idempotency.note_answer(order.ticket, job, status=response.status_code, binary=form.binary)]:",
        f"{_RACES}::test_gateway_bills_one_of_two_requests_that_answer_at_once",
    ),
    Mutant(
        "two requests with one key are let in side by side",
        "apps/core/jobs.py",
        "if arrival.key is not None and any(arrival.has_key_of(other) for other in _arrivals):",
        "if False:",
        "tests/contract/test_mishaps.py::test_second_request_with_a_key_on_its_way_is_a_409",
    ),
    Mutant(
        "a template's deletion frees its key",
        _TEMPLATES,
        "        return Fate.GONE\n",
        "        return Fate.FREE\n",
        f"{_RACES}::test_key_is_gone_with_its_template_though_the_store_is_away",
    ),
    Mutant(
        "a template that a server left is nobody's",
        _TEMPLATES,
        "return Fate.LEFT if template.created_at < timezone.now() - _STORED_WITHIN else Fate.AT_WORK",
        "return Fate.AT_WORK",
        f"{_RACES}::test_retry_ends_what_a_dead_server_began",
    ),
    Mutant(
        "a template that could not be stored keeps its key",
        _TEMPLATES,
        "        forget(template)\n",
        "",
        f"{_RACES}::test_template_that_was_never_stored_frees_its_key_when_it_is_swept",
    ),
    Mutant(
        "whoever began to store a template may still give it up",
        _TEMPLATES,
        "filter(id=template.id, created_at=template.created_at)",
        "filter(id=template.id)",
        f"{_RACES}::test_who_was_only_slow_does_not_give_up_what_another_is_storing",
    ),
    Mutant(
        "payers share keys",
        _FILE,
        '{"account_id": ticket.account_id, "mode": ticket.mode, "payer": ticket.payer}',
        '{"account_id": ticket.account_id, "mode": ticket.mode}',
        f"{_KEYS}::test_another_owner_has_keys_of_his_own",
    ),
    Mutant(
        "a payment that moved no money keeps its key",
        _PAID,
        "    if payment.state in CLAIMABLE_STATES:\n        return Fate.FREE",
        "    if payment.state in CLAIMABLE_STATES:\n        return Fate.AT_WORK",
        f"{_PAYERS}::test_payment_that_moved_no_money_leaves_the_key_to_another",
    ),
    Mutant(
        "a key that was seen free is taken from the payment that came back with it",
        "apps/payments/book.py",
        "            idempotency.forget(row)\n            keys.bind(row, key)",
        "            with contextlib.suppress(idempotency.KeyTakenError):\n                keys.bind(row, key)",
        f"{_PAYERS}::test_payment_that_comes_back_keeps_its_key_from_who_has_seen_it_free",
    ),
    Mutant(
        "a used payment is not remembered under the key that it comes with",
        "apps/payments/x402_desk.py",
        "keys.remember(row, key)",
        "pass",
        f"{_PAYERS}::test_used_payment_answers_for_the_key_that_it_comes_with",
    ),
    Mutant(
        "a file that was refused is worked on again for the next payment",
        "apps/payments/book.py",
        "idempotency.hand_over(payment, payment.job)",
        "pass",
        f"{_PAYERS}::test_refused_file_is_told_again_before_anybody_pays",
    ),
    Mutant(
        "strangers who push share a key",
        _PAID,
        "return payment.payer or str(payment.id)",
        'return payment.payer or "nobody"',
        f"{_PAYERS}::test_strangers_who_push_with_one_key_do_not_meet"
        f" {_PAYERS}::test_of_two_pushes_that_are_found_paid_at_once_one_is_due_back",
    ),
    Mutant(
        "who paid twice under one key gets nothing back",
        "apps/payments/book.py",
        'owe_refund(payment, f"paid twice under one Idempotency-Key; the first was {earlier.id}")',
        "pass",
        f"{_PAYERS}::test_second_push_of_one_payer_under_one_key_is_answered_and_due_back",
    ),
    Mutant(
        "without a worker no payment's first answer is given again",
        "apps/payments/mpp_desk.py",
        "        if first := idempotency.first_answer(ticket):\n            return answer_first(visit, first)  # the",
        "        if False and (first := idempotency.first_answer(ticket)):\n            return answer_first(visit, first)  # the",
        f"{_PAYERS}::test_first_answer_is_given_again_though_no_worker_is_up",
    ),
)
