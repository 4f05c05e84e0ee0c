"""`credits.low`: told once, when the balance falls below a fifth of the last grant; the next grant makes it ready again."""

from __future__ import annotations

from django.db.models import F

from apps.billing.models import Wallet
from apps.core.answers import Count, Part, as_json
from apps.core.happenings import Happening, announce
from apps.core.owner import Mode

KIND = "credits.low"
SHARE = 5
"""Low is less than one part of so many of the last grant."""


class CreditsLow(Part):
    """What the account has left."""

    balance: Count
    last_grant: Count


def note_grant(account_id: int, credits: int) -> None:
    """From now on this is the grant that counts; inside the grant's transaction."""
    Wallet.objects.filter(account_id=account_id).update(last_grant=credits, low_told=False)


def tell_if_low(account_id: int) -> None:
    """Inside the transaction that took something off the balance, whose row is locked already."""
    low = Wallet.objects.filter(account_id=account_id, low_told=False, last_grant__gt=F("balance") * SHARE)
    if not low.update(low_told=True):
        return
    wallet = Wallet.objects.get(account_id=account_id)
    told = CreditsLow(balance=wallet.balance, last_grant=wallet.last_grant)
    announce(Happening(KIND, account_id, Mode.LIVE, subject_id=str(account_id), data=as_json(told)))
