"""How often, how much at once, how large: every number that keeps one caller from taking what is everybody's."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MONEY = "tests/contract/test_money.py"
_INSPECTION = "tests/core/test_inspection.py"
_FETCH = "tests/core/test_fetch.py"
_WHOLE = "tests/core/test_wholeness.py"
_CLOTHING = "tests/contract/test_clothing.py"
_OVER = f"{_MONEY}::test_requests_over_the_plan_get_429_with_the_drafts_headers"

MUTANTS = (
    Mutant(
        "twice the plan's requests",
        "apps/core/limits.py",
        "return self.used > self.limit",
        "return self.used > 2 * self.limit",
        _OVER,
    ),
    Mutant(
        "a FREE plan as large as PRO",
        "apps/accounts/plans.py",
        "Limits(requests_a_minute=60,",
        "Limits(requests_a_minute=600,",
        _OVER,
    ),
    Mutant(
        "whoever went over the limit once stays there",
        "apps/core/limits.py",
        "if left < 0 then",
        "if left < -9 then",
        f"{_MONEY}::test_window_ends_a_minute_after_its_first_request",
    ),
    Mutant(
        "every request begins the minute anew",
        "apps/core/limits.py",
        "if left < 0 then",
        "if true then",
        f"{_MONEY}::test_window_ends_a_minute_after_its_first_request",
    ),
    Mutant(
        "nobody is told when to come again",
        "apps/core/limits.py",
        "retry_after_s=quota.resets_in_s,",
        "retry_after_s=None,",
        _OVER,
    ),
    Mutant(
        "wrong keys may be tried without end",
        "apps/core/api/views.py",
        "                count_anonymous(request._request)",
        "                pass",
        f"{_MONEY}::test_wrong_keys_are_counted_by_address",
    ),
    Mutant(
        "X-Forwarded-For is believed from everybody",
        "apps/core/api/throttles.py",
        "while forwarded and is_trusted(peer):",
        "while forwarded:",
        f"{_MONEY}::test_nobody_becomes_somebody_else_by_a_header",
    ),
    Mutant(
        "X-Forwarded-For is believed from its first address on",
        "apps/core/api/throttles.py",
        "peer = forwarded.pop()",
        "peer = forwarded.pop(0)",
        f"{_MONEY}::test_a_trusted_proxy_says_who_asks_and_the_client_before_it_nothing",
    ),
    Mutant(
        "of one subscriber every address has limits of its own",
        "apps/core/api/throttles.py",
        "return str(ipaddress.ip_network((int(address), _ONE_SUBSCRIBER), strict=False))",
        "return str(address)",
        "tests/core/test_addresses.py::test_subscriber_counts_once_however_many_addresses_he_has",
    ),
    Mutant(
        "any number of jobs at once",
        "apps/core/limits.py",
        ".count() > jobs_at_once:",
        ".count() > 10**9:",
        f"{_MONEY}::test_jobs_at_once_are_held_to_the_plan",
    ),
    Mutant(
        "the queue has no end",
        "apps/core/jobs.py",
        "if waiting.total() + arrival.jobs > settings.MAX_QUEUED_JOBS:",
        "if False:",
        "tests/contract/test_mishaps.py::test_request_whose_row_is_not_there_yet_is_counted",
    ),
    Mutant(
        "one account takes all places",
        "apps/core/places.py",
        "return left > 0 and mine < (of_one or self._of_one) and is_for_all",
        "return left > 0 and mine < (of_one or self._of_one)",
        "tests/core/test_places.py::test_one_caller_never_has_the_last_places",
    ),
    Mutant(
        "one account's slow servers hold up all fetches",
        "apps/core/places.py",
        "return left > 0 and mine < (of_one or self._of_one) and is_for_all",
        "return left > 0 and is_for_all",
        f"{_FETCH}::test_slow_names_of_one_caller_hold_up_nobody_else",
    ),
    Mutant(
        "a client waits in vain",
        "apps/core/jobs.py",
        "if expected_s > deadline_s:",
        "if False:",
        "tests/contract/test_mishaps.py::test_client_that_takes_a_202_is_not_refused_for_being_late",
    ),
    Mutant(
        "a client holds its thread as long as it likes",
        "apps/core/api/negotiation.py",
        "wait_s = min(float(wait[1]), limit_s)",
        "wait_s = float(wait[1])",
        "tests/core/test_negotiation.py::test_wait_ends_at_the_synchronous_limit",
    ),
    Mutant(
        "a body of any size",
        "apps/core/api/middleware.py",
        "if cap is not None and declared > cap:",
        "if False:",
        f"{_CLOTHING}::test_body_over_the_cap_is_a_413",
    ),
    Mutant(
        "a file of any size",
        "apps/core/pictures/inspection.py",
        "if size_bytes > limits.max_bytes:",
        "if False:",
        f"{_INSPECTION}::test_too_many_bytes_are_stated_and_never_rounded_down_to_the_limit",
    ),
    Mutant(
        "a file of just the limit is refused",
        "apps/core/pictures/inspection.py",
        "if size_bytes > limits.max_bytes:",
        "if size_bytes >= limits.max_bytes:",
        f"{_CLOTHING}::test_file_of_exactly_5_mb_is_taken_and_one_byte_more_is_not",
    ),
    Mutant(
        "any number of pixels",
        "apps/core/pictures/inspection.py",
        "if width * height > limits.max_pixels:",
        "if False:",
        f"{_INSPECTION}::test_dimensions_outside_the_limits",
    ),
    Mutant(
        "any width",
        "apps/core/pictures/inspection.py",
        "if width > limits.max_width_px or height > limits.max_height_px:",
        "if height > limits.max_height_px:",
        f"{_INSPECTION}::test_dimensions_outside_the_limits",
    ),
    Mutant(
        "any height, however small",
        "apps/core/pictures/inspection.py",
        "if width < limits.min_width_px or height < limits.min_height_px:",
        "if width < limits.min_width_px:",
        f"{_INSPECTION}::test_dimensions_outside_the_limits",
    ),
    Mutant(
        "a decoder may find more pixels than the header promised",
        "apps/core/pictures/decoding.py",
        "if found_wh != header.stored_wh:",
        "if False:",
        "tests/core/test_decoding.py::test_a_decoder_that_sees_another_size_is_stopped",
    ),
    Mutant(
        "the worker decodes what the header forbids",
        "apps/core/pictures/decoding.py",
        "header = inspect(io.BytesIO(data), limits=limits, field=field)",
        "header = inspect(io.BytesIO(data), limits=ImageLimits(limits.formats, 10**9, 10**5, 10**5, 10**9), field=field)",
        "tests/core/test_decoding.py::test_limits_are_checked_again_before_decoding",
    ),
    Mutant(
        "a JPEG may have any number of scans",
        "apps/core/pictures/jpeg_layout.py",
        "if len(self.scans) > jpeg.MAX_SCANS or self.visits > MAX_BLOCK_VISITS:",
        "if self.visits > MAX_BLOCK_VISITS:",
        f"{_WHOLE}::test_scans_that_would_keep_a_worker_are_refused_from_the_header_on",
    ),
    Mutant(
        "a large JPEG may have hundreds of scans",
        "apps/core/pictures/jpeg_layout.py",
        "if len(self.scans) > jpeg.MAX_SCANS or self.visits > MAX_BLOCK_VISITS:",
        "if len(self.scans) > jpeg.MAX_SCANS:",
        f"{_WHOLE}::test_scans_that_would_keep_a_worker_are_refused_from_the_header_on",
    ),
    Mutant(
        "a PNG is inflated to its end",
        "apps/core/pictures/wholeness.py",
        "self._end = min(end, MAX_INFLATED_BYTES)",
        "self._end = end",
        f"{_WHOLE}::test_no_more_than_its_bound_is_inflated_of_a_png",
    ),
    Mutant(
        "a PNG is inflated beyond its picture",
        "apps/core/pictures/wholeness.py",
        "rows.take(inflater.decompress(piece, min(_PIECE_BYTES, rows.wanted)))",
        "rows.take(inflater.decompress(piece))",
        f"{_WHOLE}::test_a_png_is_inflated_until_its_picture_is_full",
    ),
    Mutant(
        "a server may send without end",
        "apps/core/intake/fetch.py",
        "        if size > max_bytes:",
        "        if False:",
        f"{_FETCH}::test_exactly_the_limit_is_taken_and_one_byte_more_is_not",
    ),
    Mutant(
        "unpaid requests are not counted",
        "apps/payments/views.py",
        "self._refuse_too_many(request, pays=rail is not None)",
        "pass",
        "tests/payments/test_challenge.py::test_unpaid_requests_are_limited_by_address_and_bad_files_count",
    ),
    Mutant(
        "a profile of any size is inflated",
        "apps/core/pictures/stripping.py",
        "profile = inflater.decompress(chunk[start + 2 :], MAX_PROFILE_BYTES)",
        "profile = inflater.decompress(chunk[start + 2 :])",
        "tests/core/test_decoding.py::test_a_profile_is_inflated_no_further_than_the_largest_one",
    ),
)
