"""x402 and MPP: what is not signed, not ours, not enough, not now or not yet paid buys nothing, and nobody pays twice."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_REFUSALS = "tests/payments/test_refusals.py"
_CHALLENGE = "tests/payments/test_challenge.py"
_PATHS = "tests/payments/test_money_paths.py"
_X402 = "apps/payments/x402.py"
_MPP = "apps/payments/mpp.py"
_TEMPO = "apps/payments/tempo.py"
_WRONG_X402 = f"{_REFUSALS}::test_wrong_x402_payment_is_refused"
_WRONG_MPP = f"{_REFUSALS}::test_wrong_mpp_credential_is_a_problem_with_a_fresh_challenge"
_PUSHED = f"{_REFUSALS}::test_pushed_transaction_that_did_something_else_buys_nothing"
_OTHER = f"{_REFUSALS}::test_pushed_transaction_to_another_or_for_another_challenge_buys_nothing"

_OFFERED = (
    Mutant(
        "x402: another price in the 402",
        _X402,
        '"maxAmountRequired": str(amount),',
        '"maxAmountRequired": "1",',
        f"{_CHALLENGE}::test_price_follows_the_price_list",
    ),
    Mutant(
        "x402: version 2 names another price",
        _X402,
        '        "amount": str(amount),',
        '        "amount": "1",',
        f"{_CHALLENGE}::test_one_402_offers_both_versions_and_mpp",
    ),
    Mutant(
        "MPP: a challenge for anybody's purse",
        _MPP,
        '"recipient": rail.recipient,\n    }',
        '"recipient": rail.currency,\n    }',
        f"{_REFUSALS}::test_credential_pays_once_and_gives_the_same_picture_again",
    ),
    Mutant(
        "MPP: a challenge may be kept and shown to others",
        "apps/payments/challenge.py",
        '_NO_STORE = {"Cache-Control": "no-store"}',
        "_NO_STORE: dict[str, str] = {}",
        f"{_CHALLENGE}::test_one_402_offers_both_versions_and_mpp",
    ),
    Mutant(
        "somebody is asked to pay while nobody works",
        "apps/payments/visit.py",
        "if not broker.living_workers():",
        "if False:",
        f"{_CHALLENGE}::test_without_a_worker_nobody_is_asked_to_pay",
    ),
)
_SIGNED = (
    Mutant(
        "x402: no signature is checked",
        _X402,
        "return timing_fault(authorization) or signature_fault(payment, rail)",
        "return timing_fault(authorization)",
        _WRONG_X402,
    ),
    Mutant(
        "x402: anybody's signature is good",
        _X402,
        'return "" if signer == payment.authorization.payer else',
        'return "" if signer else',
        _WRONG_X402,
    ),
    Mutant(
        "x402: a signature twice, mirrored",
        "apps/payments/signatures.py",
        'if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:',
        "if False:",
        _WRONG_X402,
    ),
    Mutant("x402: another scheme", _X402, 'if payment.scheme != "exact":', "if False:", _WRONG_X402),
    Mutant(
        "x402: another network",
        _X402,
        "if payment.network != (network.v1_name if payment.version == 1 else network.caip2):",
        "if False:",
        _WRONG_X402,
    ),
    Mutant(
        "x402: other terms",
        _X402,
        "if payment.accepted is not None and not _is_ours(",
        "if False and not _is_ours(",
        _WRONG_X402,
    ),
    Mutant("x402: another payee", _X402, "if authorization.to != rail.pay_to.lower():", "if False:", _WRONG_X402),
    Mutant("x402: another amount", _X402, "if authorization.value != amount:", "if False:", _WRONG_X402),
    Mutant(
        "x402: too much is taken as well",
        _X402,
        "if authorization.value != amount:",
        "if authorization.value < amount:",
        _WRONG_X402,
    ),
    Mutant(
        "x402: an expired authorization",
        _X402,
        "if not now + LEAST_LEFT_S <= authorization.valid_before <=",
        "if not authorization.valid_before <=",
        _WRONG_X402,
    ),
    Mutant(
        "x402: an authorization for ever",
        _X402,
        "<= authorization.valid_before <= now + LONGEST_WINDOW_S:",
        "<= authorization.valid_before:",
        _WRONG_X402,
    ),
    Mutant(
        "x402: an authorization before its time",
        _X402,
        "if authorization.valid_after > now else",
        "if False else",
        _WRONG_X402,
    ),
    Mutant(
        "x402: whoever knows a payment gets its picture",
        "apps/payments/x402_desk.py",
        "if reason := x402.signature_fault(paid, x402_rail()):",
        'if reason := "":',
        f"{_REFUSALS}::test_what_was_paid_is_given_again_to_the_payers_own_signature_alone",
    ),
    Mutant(
        "x402: one payment, any number of pictures",
        "apps/payments/x402_desk.py",
        "    if row.fingerprint == visit.fingerprint:\n        keys.remember(",
        "    if True:\n        keys.remember(",
        f"{_REFUSALS}::test_one_nonce_buys_one_picture",
    ),
    Mutant(
        "x402: a nonce does not name the money",
        _X402,
        "|{authorization.payer}|{authorization.nonce}",
        "|{authorization.payer}|{time.time_ns()}",
        f"{_REFUSALS}::test_one_nonce_buys_one_picture",
    ),
    Mutant(
        "x402: the picture leaves before the money comes",
        "apps/payments/x402_desk.py",
        "            return _refuse(visit, paid, done.reason)\n",
        "            return picture(visit, job)\n",
        f"{_REFUSALS}::test_picture_leaves_only_when_the_money_has_come",
    ),
    Mutant(
        "x402: an empty result is charged",
        "apps/payments/visit.py",
        "return job.state == State.SUCCEEDED and not outcome_of(job).chargeable",
        "return False",
        f"{_REFUSALS}::test_empty_result_moves_no_money",
    ),
    Mutant(
        "x402: settled although it ran out meanwhile",
        "apps/payments/x402_desk.py",
        "if reason := x402.timing_fault(paid.authorization):",
        "if reason := None:",
        f"{_REFUSALS}::test_signature_that_ran_out_while_the_work_was_done_is_not_settled",
    ),
    Mutant(
        "x402: a doubt is taken for a refusal",
        "apps/payments/x402_desk.py",
        "if again.outcome is Outcome.SETTLED or again.transaction:",
        "if True:",
        f"{_PATHS}::test_settlement_that_nobody_heard_stays_unclear_whatever_the_second_try_says",
    ),
)
_CHALLENGED = (
    Mutant(
        "MPP: the challenge's HMAC is not checked",
        _MPP,
        "if sum(hmac.compare_digest(challenge.id.encode(), each.encode()) for each in ids) == 0:",
        "if False:",
        f"{_WRONG_MPP} {_REFUSALS}::test_challenge_that_anybody_can_write_is_not_one_of_ours",
    ),
    Mutant(
        "MPP: the HMAC does not cover the price",
        _MPP,
        "challenge.intent, challenge.request, challenge.expires,",
        "challenge.intent, challenge.expires,",
        _WRONG_MPP,
    ),
    Mutant(
        "MPP: the HMAC does not cover the expiry",
        _MPP,
        "challenge.request, challenge.expires,",
        "challenge.request,",
        _WRONG_MPP,
    ),
    Mutant(
        "MPP: the secret before is forgotten at once",
        _MPP,
        "for secret in settings.MPP_SECRETS]",
        "for secret in settings.MPP_SECRETS[:1]]",
        f"{_REFUSALS}::test_challenge_of_the_secret_before_is_good_and_of_no_other",
    ),
    Mutant(
        "MPP: a challenge is good at any address",
        _MPP,
        '_decoded(challenge.opaque)["route"] != route:',
        "False:",
        f"{_REFUSALS}::test_challenge_pays_for_the_body_and_the_address_that_it_was_written_for",
    ),
    Mutant(
        "MPP: a challenge is good for any body",
        _MPP,
        "if not hmac.compare_digest(challenge.digest, digest_of(body_sha256)):",
        "if False:",
        f"{_REFUSALS}::test_challenge_pays_for_the_body_and_the_address_that_it_was_written_for",
    ),
    Mutant(
        "MPP: terms of yesterday are good today",
        _MPP,
        "if ours != theirs or",
        "if",
        f"{_REFUSALS}::test_challenge_is_void_when_the_purse_has_changed",
    ),
    Mutant(
        "MPP: a challenge never ends",
        "apps/payments/mpp_desk.py",
        "if challenge.is_expired:",
        "if False:",
        f"{_REFUSALS}::test_challenge_ends_after_ten_minutes",
    ),
    Mutant(
        "MPP: signed for another payee", _TEMPO, '        and data[4:36] == word(terms["recipient"])\n', "", _WRONG_MPP
    ),
    Mutant(
        "MPP: signed for another amount",
        _TEMPO,
        '        and data[36:68] == word(int(terms["amount"]))\n',
        "",
        _WRONG_MPP,
    ),
    Mutant(
        "MPP: signed for another challenge",
        _TEMPO,
        "        and is_bound(data[68:], challenge_id=challenge.id, realm=challenge.realm)\n",
        "",
        _WRONG_MPP,
    ),
    Mutant(
        "MPP: signed in another token", _TEMPO, 'to == bytes.fromhex(terms["currency"][2:])\n', "True\n", _WRONG_MPP
    ),
    Mutant(
        "MPP: signed for another chain",
        _TEMPO,
        'if int.from_bytes(chain_id, "big") != credential.challenge.terms["methodDetails"]["chainId"]:',
        "if False:",
        _WRONG_MPP,
    ),
    Mutant(
        "MPP: mined, and failed",
        _TEMPO,
        'if int(receipt["status"], 16) != 1:',
        "if False:",
        f"{_REFUSALS}::test_transaction_that_failed_on_the_chain_buys_nothing",
    ),
    Mutant("MPP: mined, in another token", _TEMPO, 'log["address"].lower() == currency.lower()', "True", _PUSHED),
    Mutant("MPP: mined, another event", _TEMPO, "            and topics[0] == EVENT\n", "", _PUSHED),
    Mutant("MPP: mined, another amount", _TEMPO, '            and int(log["data"][:66], 16) == amount\n', "", _PUSHED),
    Mutant("MPP: mined, to another", _TEMPO, '            and topics[2] == "0x" + word(recipient).hex()\n', "", _OTHER),
    Mutant(
        "MPP: mined, for another challenge",
        _TEMPO,
        "            and is_bound(bytes.fromhex(topics[3][2:]), challenge_id=challenge_id, realm=realm)\n",
        "",
        _OTHER,
    ),
    Mutant(
        "MPP: a challenge is paid with another's transaction the second time",
        "apps/payments/mpp_desk.py",
        "    if row.transaction != transaction:\n        return _already_used(visit)",
        "    if False:\n        return _already_used(visit)",
        f"{_REFUSALS}::test_paid_challenge_is_answered_to_its_own_transaction_alone",
    ),
)
MUTANTS = (*_OFFERED, *_SIGNED, *_CHALLENGED)
