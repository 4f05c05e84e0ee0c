"""Whose turn it is, and his next job: the two statements by which workers claim. One that awaits its file has no turn."""

from __future__ import annotations

# Accounts that wait, the one with the fewest jobs in work first, then the one served longest ago. The recursive part
# hops from account to account along the partial index, so a queue of a hundred thousand costs no more than one of ten.
WHO_IS_NEXT = """
WITH RECURSIVE waiting AS (
    (SELECT account_id, created_at FROM core_job WHERE state = 'queued' AND NOT awaits_input ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT next.account_id, next.created_at
    FROM waiting, LATERAL (SELECT account_id, created_at FROM core_job
                           WHERE state = 'queued' AND NOT awaits_input AND account_id > waiting.account_id
                           ORDER BY account_id, created_at LIMIT 1) next
),
held AS (SELECT account_id, count(*) AS jobs FROM core_job WHERE state IN ('running', 'settling') GROUP BY account_id)
SELECT account_id FROM waiting LEFT JOIN held USING (account_id)
ORDER BY coalesce(held.jobs, 0),
         (SELECT max(started_at) FROM core_job turn WHERE turn.account_id = waiting.account_id) NULLS FIRST,
         waiting.created_at
LIMIT 20
"""
CLAIM = """
UPDATE core_job SET state = 'running', stage = 'decode', worker = %(worker)s, attempt = attempt + 1,
                    started_at = %(now)s, lease_until = %(lease_until)s
WHERE state = 'queued'
  AND id = (SELECT id FROM core_job WHERE state = 'queued' AND NOT awaits_input AND account_id = %(account_id)s
            ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""
