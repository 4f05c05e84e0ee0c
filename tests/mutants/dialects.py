"""The wire: codes, statuses and headers of each form, and what an error never tells."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_DIALECTS = "tests/contract/test_dialects.py"
_ENVELOPE = "apps/core/dialects/envelope.py"
_FACTS = "apps/core/dialects/base.py"
_REMOVE_BACKGROUND = "tests/contract/test_remove_background.py"
_ERRORS = "apps/core/api/exceptions.py"

MUTANTS = (
    Mutant(
        "the envelope: a lost job is a 500",
        "apps/core/errors.py",
        "GONE = auto(), 410,",
        "GONE = auto(), 500,",
        f"{_DIALECTS}::test_envelope_has_the_contracts_status_for_every_error",
    ),
    Mutant(
        "the envelope: what may be repeated is said to be final",
        "apps/core/errors.py",
        '"The service is busy; try again shortly.", True',
        '"The service is busy; try again shortly.", False',
        f"{_DIALECTS}::test_envelope_has_the_contracts_status_for_every_error",
    ),
    Mutant(
        "the envelope: no warnings",
        _ENVELOPE,
        "for code in warnings),",
        "for code in ()),",
        f"{_REMOVE_BACKGROUND}::test_nothing_found_is_free_and_fully_transparent",
    ),
    Mutant(
        "the envelope: a fifth member",
        "apps/core/answers.py",
        "    error: ApiError | None  # null",
        "    status: int | None = None\n    error: ApiError | None = None  # null",
        f"{_REMOVE_BACKGROUND}::test_json_answer_has_a_link_that_works_and_dies_when_tampered_with",
    ),
    Mutant(
        "the envelope: faults without their fields",
        _ENVELOPE,
        "for detail in error.details],",
        "for detail in ()],",
        f"{_REMOVE_BACKGROUND}::test_wrong_values_name_their_field_and_cost_nothing",
    ),
    Mutant(
        "images: axios gets an envelope",
        "apps/core/api/negotiation.py",
        "if json is not None and json > max(image or 0.0, anything):",
        "if json is not None and json >= max(image or 0.0, anything):",
        "tests/contract/test_answer.py::test_axios_gets_the_default_of_each_address",
    ),
    Mutant(
        "images: the field answer says nothing",
        "apps/core/api/negotiation.py",
        'binary = wanted if answer is None else answer == "image"',
        "binary = wanted",
        "tests/contract/test_answer.py::test_answer_wins_over_accept_wherever_it_stands",
    ),
    Mutant(
        "HEAD: a body where none may be",
        "apps/core/api/middleware.py",
        'if request.method == "HEAD":',
        "if False:",
        "tests/contract/test_head.py::test_answer_to_head_has_its_length_and_no_body",
    ),
    Mutant(
        "images: no word of the charge",
        _FACTS,
        '"x_credits_charged": str(job.charged_credits)',
        '"x_credits_charged": "0"',
        f"{_REMOVE_BACKGROUND}::test_binary_answer_carries_its_facts_as_headers",
    ),
    Mutant(
        "images: no word of warnings",
        _FACTS,
        '"x_warnings": told or UNSET',
        '"x_warnings": UNSET',
        f"{_REMOVE_BACKGROUND}::test_nothing_found_is_free_and_fully_transparent",
    ),
    Mutant(
        "images: the box's sides change places",
        _FACTS,
        '("left", "top", "width", "height")',
        '("top", "left", "width", "height")',
        f"{_REMOVE_BACKGROUND}::test_binary_answer_carries_its_facts_as_headers",
    ),
    Mutant(
        "an answer without its request's id",
        "apps/core/api/middleware.py",
        'response.headers["X-Request-Id"] = facts.request_id',
        'response.headers["X-Request-Id"] = "another"',
        f"{_REMOVE_BACKGROUND}::test_json_answer_has_a_link_that_works_and_dies_when_tampered_with",
    ),
    Mutant(
        "a 202 that says nothing of where",
        _ENVELOPE,
        'response.headers["Location"] = f"/v1/jobs/{answer.job.id}"',
        "pass",
        "tests/contract/test_money.py::test_accepted_answer_is_replayed_as_accepted",
    ),
    Mutant(
        "a 401 that says nothing of how",
        _ERRORS,
        'response.headers.setdefault("WWW-Authenticate", \'Bearer realm="keyline"\')',
        "pass",
        "tests/contract/test_identities.py::test_wrong_key_is_a_401_and_says_how_to_authenticate",
    ),
    Mutant(
        "an error that says nothing of when",
        _ERRORS,
        'response.headers.setdefault("Retry-After", str(error.retry_after_s))',
        "pass",
        f"{_REMOVE_BACKGROUND}::test_more_waiting_requests_than_places_are_told_so",
    ),
    Mutant(
        "a bug tells of the inside",
        _ERRORS,
        "return AppError(ErrorCode.INTERNAL_ERROR)",
        "return AppError(ErrorCode.INTERNAL_ERROR, str(exc))",
        "tests/contract/test_costume.py::test_bug_is_a_500_that_tells_nothing",
    ),
    Mutant(
        "a database that is away is a bug",
        _ERRORS,
        "case OperationalError() | InterfaceError() | redis.RedisError():",
        "case InterfaceError() | redis.RedisError():",
        "tests/contract/test_mishaps.py::test_only_a_database_that_is_away_is_a_503",
    ),
    Mutant(
        "remove.bg: a wrong key is a 401",
        "apps/core/dialects/removebg.py",
        "ErrorCode.UNAUTHENTICATED: 403,",
        "ErrorCode.UNAUTHENTICATED: 401,",
        "tests/contract/test_removebg.py::test_credentials_and_credits_have_their_own_statuses",
    ),
    Mutant(
        "remove.bg: nothing found has another name",
        "apps/core/dialects/removebg.py",
        'Fault.NO_FOREGROUND: "unknown_foreground",',
        'Fault.NO_FOREGROUND: "no_foreground",',
        "tests/contract/test_removebg.py::test_nothing_found_is_unknown_foreground_and_free",
    ),
    Mutant(
        "raw: failed work is a 502",
        "apps/core/dialects/raw.py",
        "ErrorCode.PROCESSING_FAILED: 500",
        "ErrorCode.PROCESSING_FAILED: 502",
        f"{_DIALECTS}::test_raw_has_the_contracts_status_for_every_error",
    ),
    Mutant(
        "raw: a late answer is a 502",
        "apps/core/dialects/raw.py",
        "ErrorCode.PROCESSING_TIMEOUT: 503",
        "ErrorCode.PROCESSING_TIMEOUT: 502",
        f"{_DIALECTS}::test_raw_has_the_contracts_status_for_every_error",
    ),
    Mutant(
        "AILabTools: too few credits is a 402",
        "apps/core/dialects/elements.py",
        "ErrorCode.INSUFFICIENT_CREDITS: (429,",
        "ErrorCode.INSUFFICIENT_CREDITS: (402,",
        f"{_DIALECTS}::test_elements_have_the_tables_code_for_every_error",
    ),
    Mutant(
        "AILabTools: a damaged file has the code of a wrong one",
        "apps/core/dialects/elements.py",
        'Fault.UNREADABLE_FILE: (422, "FILE_DECODING_FAILURE"),',
        'Fault.UNREADABLE_FILE: (422, "ERROR_INVALID_FILE"),',
        f"{_DIALECTS}::test_elements_have_the_tables_code_for_every_fault",
    ),
    Mutant(
        "tasks: a full queue is an unexpected error",
        "apps/core/dialects/code_message.py",
        "ErrorCode.OVERLOADED: QUEUE_UNAVAILABLE,",
        "ErrorCode.OVERLOADED: UNEXPECTED,",
        f"{_DIALECTS}::test_tasks_have_the_tables_code_for_every_error",
    ),
    Mutant(
        "every web page may call with its visitor's browser",
        "apps/core/api/middleware.py",
        'response.headers["X-Request-Id"] = facts.request_id',
        'response.headers["X-Request-Id"] = facts.request_id; response.headers["Access-Control-Allow-Origin"] = "*"',
        f"{_DIALECTS}::test_no_web_page_may_read_what_a_key_gets",
    ),
)
