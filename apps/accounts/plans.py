"""What each plan allows."""

from __future__ import annotations

from apps.accounts.models import Plan
from apps.core.limits import Limits

LIMITS = {
    Plan.FREE: Limits(requests_a_minute=60, jobs_at_once=4),
    Plan.BASIC: Limits(requests_a_minute=120, jobs_at_once=16),
    Plan.PRO: Limits(requests_a_minute=600, jobs_at_once=64),
    Plan.ULTRA: Limits(requests_a_minute=1200, jobs_at_once=128),
    Plan.MEGA: Limits(requests_a_minute=6000, jobs_at_once=256),
    Plan.CUSTOM: Limits(requests_a_minute=6000, jobs_at_once=256),
}
SANDBOX = Limits(requests_a_minute=30, jobs_at_once=2)
