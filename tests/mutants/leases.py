"""Work in hand: leases, attempts, the watchdog; and how long a result is there."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_LEASES = "tests/contract/test_leases.py"
_MISHAPS = "tests/contract/test_mishaps.py"
_RETENTION = "tests/contract/test_retention.py"
_LIFECYCLE = "apps/core/lifecycle.py"
_WORKER = "apps/core/work/worker.py"

MUTANTS = (
    Mutant(
        "leases are never renewed",
        _WORKER,
        "lifecycle.renew_leases(claims)",
        "pass",
        f"{_LEASES}::test_leases_of_jobs_in_hand_are_renewed_and_the_heart_beats",
    ),
    Mutant(
        "the heart does not beat",
        _WORKER,
        "broker.beat(self.name, self._facts)  # after the leases",
        "pass  # after the leases",
        f"{_LEASES}::test_leases_of_jobs_in_hand_are_renewed_and_the_heart_beats",
    ),
    Mutant(
        "a worker starts without its watchdog",
        _WORKER,
        "for loop in (self._keep_alive, self._watch):",
        "for loop in (self._keep_alive,):",
        f"{_LEASES}::test_worker_that_starts_keeps_leases_and_watches",
    ),
    Mutant(
        "the watchdog sleeps",
        _WORKER,
        "if age_s > settings.JOB_LIMIT_S:",
        "if False:",
        f"{_LEASES}::test_job_over_its_limit_ends_the_process",
    ),
    Mutant(
        "the watchdog bites whatever runs",
        _WORKER,
        "if age_s > settings.JOB_LIMIT_S:",
        "if True:",
        f"{_LEASES}::test_job_over_its_limit_ends_the_process",
    ),
    Mutant(
        "a job that hangs in every worker never ends",
        _LIFECYCLE,
        "crashes__gte=settings.MAX_ATTEMPTS - 1)",
        "crashes__gte=settings.MAX_ATTEMPTS)",
        f"{_LEASES}::test_job_that_hung_in_every_worker_fails_with_the_last_of_them",
    ),
    Mutant(
        "a job in hand is in nobody's hand",
        "apps/core/tasks.py",
        "with worker.holding(job), structlog",
        "with structlog",
        f"{_LEASES}::test_job_is_in_hand_while_it_runs_and_not_after",
    ),
    Mutant(
        "a worker renews what another has taken over",
        _LIFECYCLE,
        "Job.objects.filter(id=job_id, attempt=attempt, state__in=HELD_STATES)",
        "Job.objects.filter(id=job_id, state__in=HELD_STATES)",
        f"{_LEASES}::test_lease_that_went_to_another_worker_is_not_renewed_by_the_first",
    ),
    Mutant(
        "a worker writes over its successor",
        _LIFECYCLE,
        "return Job.objects.filter(id=job.id, attempt=job.attempt)",
        "return Job.objects.filter(id=job.id)",
        f"{_LEASES}::test_worker_that_lost_its_job_writes_nothing_over_its_successor",
    ),
    Mutant(
        "jobs are taken from workers that live",
        _LIFECYCLE,
        'state__in=HELD_STATES, lease_until__lt=timezone.now()).order_by("lease_until")',
        'state__in=HELD_STATES).order_by("lease_until")',
        f"{_LEASES}::test_only_a_lapsed_job_is_taken_back",
    ),
    Mutant(
        "a lease renewed a moment ago does not count",
        _LIFECYCLE,
        "_mine(job).filter(state=State.RUNNING, lease_until__lt=timezone.now()).update(",
        "_mine(job).filter(state=State.RUNNING).update(",
        f"{_LEASES}::test_job_whose_lease_was_renewed_a_moment_ago_is_left_alone",
    ),
    Mutant(
        "a job may kill workers for ever",
        _LIFECYCLE,
        "crashes = job.crashes + bool(job.worker)",
        "crashes = job.crashes",
        f"{_LEASES}::test_third_worker_that_dies_with_a_job_is_the_last",
    ),
    Mutant(
        "a store that is away counts against the job",
        _LIFECYCLE,
        "crashes = job.crashes + bool(job.worker)",
        "crashes = job.crashes + 1",
        f"{_LEASES}::test_job_that_was_given_back_is_no_crash",
    ),
    Mutant(
        "a worker's namesakes give up what others hold",
        _LIFECYCLE,
        "left = Job.objects.filter(state__in=HELD_STATES, worker=worker)",
        "left = Job.objects.filter(state__in=HELD_STATES)",
        f"{_MISHAPS}::test_restarted_worker_gives_back_what_it_held",
    ),
    Mutant(
        "a settlement that was begun is done again as work",
        _LIFECYCLE,
        "    if job.state == State.SETTLING:\n        settle(job)\n        return",
        "    if job.state == State.SETTLING:\n        return",
        f"{_MISHAPS}::test_restarted_worker_ends_the_settlement_that_it_had_begun",
    ),
    Mutant(
        "a link lives longer than its object",
        "apps/core/results.py",
        "expires_s = max(1, min(settings.RESULT_TTL_S, math.ceil(left_s)))",
        "expires_s = settings.RESULT_TTL_S",
        f"{_RETENTION}::test_links_and_objects_live_as_long_as_asked",
    ),
    Mutant(
        "results are kept for ever",
        _LIFECYCLE,
        "expired = final.filter(expires_at__lt=now)",
        "expired = final.filter(expires_at=None)",
        f"{_RETENTION}::test_links_and_objects_live_as_long_as_asked",
    ),
    Mutant(
        "what has expired is said to be there",
        "apps/core/results.py",
        "if job.state == State.SUCCEEDED and is_over:",
        "if False:",
        f"{_RETENTION}::test_result_of_0_counts_as_deleted_before_the_answer_has_left",
    ),
    Mutant(
        "retention=0 keeps the bytes",
        "apps/core/api/views.py",
        "when_sent(response, partial(lifecycle.purge_if_reachable, answer.job))",
        "pass",
        f"{_RETENTION}::test_with_0_the_bytes_are_gone_once_the_answer_is_sent",
    ),
    Mutant(
        "retention=0 that nobody fetched is kept for a day",
        _LIFECYCLE,
        "timedelta(seconds=row.retention_s or _UNKEPT_S)",
        "timedelta(seconds=row.retention_s or 86_400)",
        f"{_RETENTION}::test_result_of_0_that_nobody_fetched_dies_within_a_minute",
    ),
    Mutant(
        "DELETE leaves the pictures where they are",
        _LIFECYCLE,
        "    if job.results_stored:\n        result_store().delete_prefix(job.result_prefix)",
        "    if False:\n        result_store().delete_prefix(job.result_prefix)",
        "tests/contract/test_remove_background.py::test_deleted_job_is_gone_with_its_objects",
    ),
    Mutant(
        "workers: started under nice, every job fails",
        "apps/core/work/worker.py",
        "nicety = max(NICENESS_BESIDE_NETWORKS, os.getpriority(os.PRIO_PROCESS, thread))",
        "nicety = NICENESS_BESIDE_NETWORKS",
        "tests/core/test_worker_start.py::test_a_thread_gives_way_but_never_takes_back_what_nice_gave",
    ),
)
