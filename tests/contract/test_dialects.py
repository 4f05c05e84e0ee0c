"""Every way to fail, in every wire form; and the tables of the forms that have codes of their own, to the letter."""

from __future__ import annotations

import json

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory

from apps.core.dialects.base import Dialect
from apps.core.dialects.code_message import CODE_MESSAGE
from apps.core.dialects.elements import ELEMENTS, TABLE
from apps.core.dialects.envelope import ENVELOPE
from apps.core.dialects.raw import RAW
from apps.core.dialects.removebg import REMOVEBG
from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid
from apps.core.request_facts import facts_of
from tests.api import Api

DIALECTS = {
    "envelope": ENVELOPE,
    "raw": RAW,
    "removebg": REMOVEBG,
    "elements": ELEMENTS,
    "code_message": CODE_MESSAGE,
}

# PRODUCT section 2.2, by our own codes and faults.
ELEMENTS_CODES = {
    ErrorCode.VALIDATION_ERROR: (400, "ERROR_INVALID_PARAMETER"),
    ErrorCode.UNAUTHENTICATED: (401, "ERROR_USER_NOT_EXISTS"),
    ErrorCode.INSUFFICIENT_CREDITS: (429, "ERROR_NOT_ENOUGH_CREDITS"),
    ErrorCode.PAYMENT_REQUIRED: (429, "ERROR_NOT_ENOUGH_CREDITS"),
    ErrorCode.FORBIDDEN: (403, "ERROR_USER_LOCKED"),
    ErrorCode.NOT_FOUND: (404, "ERROR_INVALID_PARAMETER"),
    ErrorCode.METHOD_NOT_ALLOWED: (405, "ERROR_INVALID_PARAMETER"),
    ErrorCode.CONFLICT: (409, "ERROR_INVALID_PARAMETER"),
    ErrorCode.GONE: (410, "ERROR_INVALID_PARAMETER"),
    ErrorCode.PAYLOAD_TOO_LARGE: (413, "FILE_SIZE_EXCEEDS_LIMIT"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, "UNSUPPORTED_FILE_TYPES"),
    ErrorCode.IDEMPOTENCY_MISMATCH: (422, "ERROR_INVALID_PARAMETER"),
    ErrorCode.RATE_LIMITED: (429, "EXCEEDING_LIMITS"),
    ErrorCode.INTERNAL_ERROR: (500, "SERVICE_INTERNAL_ERROR"),
    ErrorCode.PROCESSING_FAILED: (500, "PROCESSING_FAILURE"),
    ErrorCode.PROCESSING_TIMEOUT: (504, "AI_SERVICE_TIMEOUT"),
    ErrorCode.OVERLOADED: (503, "ERROR_INSUFFICIENT_RESOURCES"),
}
ELEMENTS_FAULTS = {
    Fault.MISSING: (400, "MISSING_PARAMETERS"),
    Fault.SEVERAL_SOURCES: (400, "ERROR_INVALID_PARAMETER"),
    Fault.INVALID_VALUE: (400, "ERROR_INVALID_PARAMETER"),
    Fault.UNSUPPORTED_VALUE: (400, "UNSUPPORTED_PARAMETER_VALUES"),
    Fault.EMPTY_FILE: (422, "ERROR_INVALID_FILE"),
    Fault.FILE_TOO_LARGE: (413, "FILE_SIZE_EXCEEDS_LIMIT"),
    Fault.UNSUPPORTED_FORMAT: (415, "UNSUPPORTED_FILE_TYPES"),
    Fault.UNREADABLE_FILE: (422, "FILE_DECODING_FAILURE"),
    Fault.RESOLUTION_TOO_HIGH: (413, "FILE_RESOLUTION_EXCEEDS_LIMITS"),
    Fault.RESOLUTION_TOO_LOW: (422, "ERROR_LOW_RESOLUTION"),
    Fault.BAD_URL: (400, "ERROR_INVALID_PARAMETER"),
    Fault.REFUSED_URL: (400, "ERROR_INVALID_PARAMETER"),
    Fault.DOWNLOAD_FAILED: (502, "ERROR_FILE_DOWNLOAD_FAILED"),
    Fault.EMPTY_REGION: (400, "ERROR_INVALID_PARAMETER"),
    Fault.NO_FOREGROUND: (422, "ERROR_NO_RECOGNITION_TARGET_DETECTED"),
    Fault.NO_GARMENT: (422, "ERROR_NO_RECOGNITION_TARGET_DETECTED"),
}

# PRODUCT section 2.3, by our own codes; every fault of a field is a 1000 but for a download.
TASK_CODES = {
    ErrorCode.VALIDATION_ERROR: (400, 1000),
    ErrorCode.UNAUTHENTICATED: (401, 1002),
    ErrorCode.INSUFFICIENT_CREDITS: (402, 1003),
    ErrorCode.PAYMENT_REQUIRED: (402, 1003),
    ErrorCode.FORBIDDEN: (403, 1000),
    ErrorCode.NOT_FOUND: (404, 1000),
    ErrorCode.METHOD_NOT_ALLOWED: (405, 1001),
    ErrorCode.CONFLICT: (409, 1000),
    ErrorCode.GONE: (410, 1000),
    ErrorCode.PAYLOAD_TOO_LARGE: (413, 1000),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (400, 1000),
    ErrorCode.IDEMPOTENCY_MISMATCH: (422, 1000),
    ErrorCode.RATE_LIMITED: (429, 1000),
    ErrorCode.INTERNAL_ERROR: (500, 1100),
    ErrorCode.PROCESSING_FAILED: (502, 1100),
    ErrorCode.PROCESSING_TIMEOUT: (502, 1100),
    ErrorCode.OVERLOADED: (503, 1101),
}


# PRODUCT section 5: status, and whether the same request may succeed later.
ENVELOPE_CODES = {
    ErrorCode.VALIDATION_ERROR: (400, False),
    ErrorCode.UNAUTHENTICATED: (401, False),
    ErrorCode.INSUFFICIENT_CREDITS: (402, False),
    ErrorCode.PAYMENT_REQUIRED: (402, False),
    ErrorCode.FORBIDDEN: (403, False),
    ErrorCode.NOT_FOUND: (404, False),
    ErrorCode.METHOD_NOT_ALLOWED: (405, False),
    ErrorCode.CONFLICT: (409, True),
    ErrorCode.GONE: (410, False),
    ErrorCode.PAYLOAD_TOO_LARGE: (413, False),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, False),
    ErrorCode.IDEMPOTENCY_MISMATCH: (422, False),
    ErrorCode.RATE_LIMITED: (429, True),
    ErrorCode.INTERNAL_ERROR: (500, True),
    ErrorCode.PROCESSING_FAILED: (502, True),
    ErrorCode.PROCESSING_TIMEOUT: (502, True),
    ErrorCode.OVERLOADED: (503, True),
}
# PRODUCT section 2.1: as there, but for these.
RAW_CODES = ENVELOPE_CODES | {
    ErrorCode.PROCESSING_FAILED: (500, True),
    ErrorCode.PROCESSING_TIMEOUT: (503, True),
}


# PRODUCT section 2.4: 400, but for three. An Idempotency-Key is answered as everywhere; an unknown path is no form of theirs.
REMOVEBG_CODES = {code: status for code, (status, _) in ENVELOPE_CODES.items()} | {
    ErrorCode.UNAUTHENTICATED: 403,
    ErrorCode.METHOD_NOT_ALLOWED: 400,
    ErrorCode.PAYLOAD_TOO_LARGE: 400,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 400,
}


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().post("/")


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_error_code_has_an_answer_of_its_kind_in_every_dialect(
    dialect: Dialect, code: ErrorCode, request_: HttpRequest
) -> None:
    response = dialect.failure(AppError(code, "A sentence for people."), request_)

    assert response.status_code // 100 == code.status // 100
    assert "A sentence for people." in response.content.decode()
    assert isinstance(json.loads(response.content), dict)
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("code", ErrorCode)
def test_envelope_has_the_contracts_status_for_every_error(code: ErrorCode, request_: HttpRequest) -> None:
    response = ENVELOPE.failure(AppError(code), request_)

    error = json.loads(response.content)["error"]
    assert (response.status_code, error["retryable"]) == ENVELOPE_CODES[code]
    assert error["code"] == code.name


@pytest.mark.parametrize("code", ErrorCode)
def test_removebg_has_the_contracts_status_for_every_error(code: ErrorCode, request_: HttpRequest) -> None:
    assert REMOVEBG.failure(AppError(code), request_).status_code == REMOVEBG_CODES[code]


@pytest.mark.parametrize("code", ErrorCode)
def test_raw_has_the_contracts_status_for_every_error(code: ErrorCode, request_: HttpRequest) -> None:
    response = RAW.failure(AppError(code), request_)

    body = json.loads(response.content)
    assert (response.status_code, body["error"]["retryable"]) == RAW_CODES[code]
    assert ("Retry-After" in response.headers) == (response.status_code == 503)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_fault_of_a_field_has_an_answer_in_every_dialect(
    dialect: Dialect, fault: Fault, request_: HttpRequest
) -> None:
    response = dialect.failure(invalid("image", "Send another one.", fault), request_)

    assert 400 <= response.status_code <= 502
    assert "Send another one." in response.content.decode()


@pytest.mark.parametrize("code", ErrorCode)
def test_elements_have_the_tables_code_for_every_error(code: ErrorCode, request_: HttpRequest) -> None:
    assert_told(AppError(code), request_, *ELEMENTS_CODES[code])


@pytest.mark.parametrize("fault", Fault)
def test_elements_have_the_tables_code_for_every_fault(fault: Fault, request_: HttpRequest) -> None:
    assert_told(invalid("image", "Send another one.", fault), request_, *ELEMENTS_FAULTS[fault])


def test_elements_body_that_cannot_be_read_is_no_damaged_file(request_: HttpRequest) -> None:
    error = invalid("body", "The form cannot be read.", Fault.UNREADABLE_FILE)

    assert_told(error, request_, 400, "ERROR_INVALID_PARAMETER")


def test_elements_name_every_field_at_fault(request_: HttpRequest) -> None:
    error = AppError(ErrorCode.VALIDATION_ERROR, details=[Detail("a", "One thing."), Detail("b", "Another.")])

    body = json.loads(ELEMENTS.failure(error, request_).content)

    assert body["error_detail"]["message"] == "a: One thing. b: Another."


@pytest.mark.parametrize("code", ErrorCode)
def test_tasks_have_the_tables_code_for_every_error(code: ErrorCode, request_: HttpRequest) -> None:
    response = CODE_MESSAGE.failure(AppError(code), request_)

    body = json.loads(response.content)
    assert (response.status_code, body["code"]) == TASK_CODES[code]
    assert (list(body), body["data"]) == (["code", "message", "data"], None)
    assert body["message"] == code.sentence


@pytest.mark.parametrize("fault", Fault)
def test_tasks_tell_a_failed_download_from_every_other_fault(fault: Fault, request_: HttpRequest) -> None:
    response = CODE_MESSAGE.failure(invalid("smear_url", "Send another one.", fault), request_)

    expected = (502, 1102) if fault is Fault.DOWNLOAD_FAILED else (400, 1000)
    assert (response.status_code, json.loads(response.content)["code"]) == expected
    assert json.loads(response.content)["message"] == "smear_url: Send another one."


def assert_told(error: AppError, request: HttpRequest, status: int, code: str) -> None:
    response = ELEMENTS.failure(error, request)
    body = json.loads(response.content)

    assert list(body) == ["request_id", "log_id", "error_code", "error_msg", "error_detail"]
    assert list(body["error_detail"]) == ["status_code", "code", "code_message", "message"]
    assert (response.status_code, body["error_code"], body["error_detail"]["status_code"]) == (status, status, status)
    assert body["error_detail"]["code"] == code
    assert body["error_detail"]["code_message"] == TABLE[code]
    assert body["request_id"] == facts_of(request).request_id
    assert body["error_msg"]
    assert body["error_detail"]["message"]


# --- over the wire ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "/v1/remove-bg/universal", {"POST"}),
        ("put", "/v1.0/removebg", {"POST"}),
        ("post", "/v1/account", {"GET"}),
        ("put", "/v1/jobs/00000000-0000-0000-0000-000000000000", {"GET", "DELETE"}),
    ],
)
def test_wrong_method_is_told_the_right_ones(api: Api, method: str, path: str, allowed: set[str]) -> None:
    response = getattr(Client(), method)(path, headers={"X-Api-Key": api.key})

    assert response.status_code == (400 if path == "/v1.0/removebg" else 405)
    assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == allowed
    told = response.content.decode()
    assert all(name in told for name in allowed)
    assert f"not {method.upper()}." in told


def test_no_web_page_may_read_what_a_key_gets(api: Api) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}

    for response in (
        api.remove(),
        api.post("/v1/remove-bg/universal", {}, Origin="https://elsewhere.example"),
        api.get("/v1/account", Origin="https://elsewhere.example"),
        Client().options("/v1/remove-bg/universal", headers=asked),
    ):
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]
