"""From the measurements to a table that says which targets are reached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench import around
from tests.bench.bare import Runs
from tests.bench.clients import Load
from tests.bench.measuring import Crowd, Measuring
from tests.bench.others import GARMENTS, LARGE, MARKS, SECOND_CLICK, SMALL
from tests.bench.processor import Processor
from tests.bench.service import NAMES

OVERHEAD_MS = 60
SEAMS_MS = 15
BESIDE_CPU_MS = {"web and servers": 150, "worker": 120}
IDLE_SHARE = 0.04
THROUGHPUT_SHARE = 0.75
WEB_MB = 150
ALL_MB = 1700
GROWTH_SHARE = 0.05
SECOND_START_S = 6
LARGE_MS = 350
NOISY = 1.25

TIMES_BARE = {Processor.AMX: 0.3, Processor.VNNI: 0.5, Processor.AVX2: 0.8}
TIMES_REMBG = {Processor.AMX: 8.0, Processor.VNNI: 4.0, Processor.AVX2: 2.2}
OTHERS_MS = {GARMENTS: 350, MARKS: 400, SECOND_CLICK: 120}
"""On a processor with AMX; what they take on others is told."""


@dataclass(frozen=True)
class Verdict:
    """One row of the issue's table."""

    what: str
    figure: str
    target: str
    is_reached: bool | None


def verdicts(done: Measuring) -> list[Verdict]:
    """Every target with its figure; None where it could not be measured, or holds for other processors."""
    overhead_ms, seams_ms = statistics.median(done.overheads_ms), done.seams["difference_p50_ms"]
    rows = [
        _at_most(
            f"whole request, {done.subject.quality}, 1 client, of bare f32 onnxruntime, p50",
            statistics.median(done.times_bare),
            TIMES_BARE.get(done.subject.processor),
            "{:.2f} x",
        ),
        _at_most(
            f"overhead over the networks in {done.subject.precision}, p50", overhead_ms, OVERHEAD_MS, "{:+.0f} ms"
        ),
        _at_most("authentication, limits, hold, capture, p50", seams_ms, SEAMS_MS, "{:+.1f} ms"),
    ]
    for crowd in done.crowds[1:]:
        share = crowd.throughput_ratio
        name = f"throughput, {crowd.clients} clients, of the networks in {done.subject.precision}"
        rows.append(Verdict(name, f"{share:.0%}", f">= {THROUGHPUT_SHARE:.0%}", share >= THROUGHPUT_SHARE))
    rows += [*_beside(done), *_idle(done)]
    rows.append(_at_most("web memory, peak", done.peak_mb.get("web"), WEB_MB, "{:.0f} MB"))
    name = f"all processes' memory, {done.crowds[-1].clients} clients, peak"
    rows.append(_at_most(name, done.crowds[-1].total_mb or None, ALL_MB, "{:.0f} MB"))
    rows.append(_growth(done.crowds[-1]))
    rows.append(_at_most("second start until ready", done.second_start_s, SECOND_START_S, "{:.1f} s"))
    return [*rows, *_others(done), *_against_rembg(done)]


def _at_most(what: str, figure: float | None, most: float | None, form: str) -> Verdict:
    """A row of a figure that should be small."""
    wanted = "" if most is None else "<= " + form.replace("+", "").format(most)
    if figure is None:
        return Verdict(what, "not seen", wanted, None)
    return Verdict(what, form.format(figure), wanted, None if most is None else figure <= most)


def _others(done: Measuring) -> Iterator[Verdict]:
    took = {other.what: other.ms for other in done.others}
    if LARGE in took:
        yield _at_most(f"{LARGE}, over {SMALL}", took[LARGE] - took[SMALL], LARGE_MS, "{:+.0f} ms")
    for what, most in OTHERS_MS.items():
        is_for_this = done.subject.processor is Processor.AMX
        if what in took:
            yield _at_most(what, took[what], most if is_for_this else None, "{:.0f} ms")


def _against_rembg(done: Measuring) -> Iterator[Verdict]:
    """Keyline's images at most clients over rembg's at a few: it breaks where many ask."""
    if not done.rembg:
        return
    ours, theirs = done.crowds[-1], done.crowds[1]
    least = TIMES_REMBG.get(done.subject.processor, 1.0)
    name = f"images/s at {ours.clients} clients over rembg's at {theirs.clients}"
    if not theirs.rembg.count:
        yield Verdict(name, "it broke", f">= {least:.1f} x", None)
        return
    ratio = ours.load.per_s / theirs.rembg.per_s
    figure = f"{ours.load.per_s:.2f} to {theirs.rembg.per_s:.2f}, {ratio:.2f} x"
    yield Verdict(name, figure, f">= {least:.1f} x", ratio >= least)


def _growth(crowd: Crowd) -> Verdict:
    seen = [mb for mb in crowd.worker_mb if mb]
    if len(seen) < 2:
        return Verdict("worker memory, growth", "not seen", "flat", None)
    growth = seen[-1] / seen[0] - 1
    steps = ", ".join(f"{mb:.0f}" for mb in seen)
    name = f"worker memory over {crowd.load.count} requests, MB"
    return Verdict(name, f"{steps} ({growth:+.1%})", f"<= {GROWTH_SHARE:+.0%}", growth <= GROWTH_SHARE)


def table(done: Measuring) -> str:
    """Everything that was measured, and the verdicts."""
    sections = [
        [
            f"{done.subject.model} in {done.subject.precision}, quality={done.subject.quality}, {done.subject.cores} cores "
            f"({done.subject.processor}); {done.subject.about_photo}",
            _quietness(done),
        ],
        _grid(("", "p50 ms", "p95 ms", "images/s", "of bare", "CPU-s each", "peak MB", "refused"), _speed_rows(done)),
        _grid(("CPU-ms a request", *NAMES, "all"), _cpu_rows(done)),
        *_around(done),
        _grid(("memory, MB", *NAMES), _memory_rows(done)),
        _grid(("1 client, p50 ms", *_stages(done)), [("stages", *(f"{ms:.0f}" for ms in _stages(done).values()))]),
        _grid(
            ("target", "figure", "wanted", ""),
            [(v.what, v.figure, v.target, _word(v.is_reached)) for v in verdicts(done)],
        ),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _quietness(done: Measuring) -> str:
    """Whether anything else took the cores: bare runs of one kind should all take the same time."""
    p50, p95 = percentiles([ms for crowd in done.crowds for ms in crowd.bare.latencies_ms])
    spread = f"of {p50:.0f} ms at p50, {p95:.0f} ms at p95"
    if p95 > NOISY * p50:
        return f"Something else ran meanwhile (bare runs {spread}): repeat it on a quiet machine."
    return f"The machine was quiet (bare runs {spread})."


def _speed_rows(done: Measuring) -> Iterator[tuple[str, ...]]:
    for crowd in done.crowds:
        load = crowd.load
        plural = "s" * (crowd.clients > 1)
        for networks, runs in ((done.bare, crowd.bare), (done.served, crowd.served)):
            figures = (f"{runs.per_s:.2f}", "", f"{runs.cpu_s_each:.2f}", f"{runs.peak_mb:.0f}", "")
            yield (networks.name, *_latency(runs), *figures)
        yield (
            f"Keyline, {crowd.clients} client{plural}",
            *_latency(load),
            f"{load.per_s:.2f}",
            f"{crowd.throughput_ratio:.0%}",
            f"{crowd.cpu_s_each:.2f}" if crowd.cpu_s else "",
            f"{crowd.peak_mb:.0f}" if crowd.peak_mb else "",
            str(load.refusals),
        )
        if done.rembg and crowd.rembg.count:
            rival = crowd.rembg
            share = f"{rival.per_s / crowd.served.per_s:.0%}"
            yield (
                f"{done.rembg.name}, {crowd.clients} client{plural}",
                *_latency(rival),
                *(f"{rival.per_s:.2f}", share, "", f"{crowd.rembg_mb:.0f}", str(rival.refusals)),
            )


def _cpu_rows(done: Measuring) -> Iterator[tuple[str, ...]]:
    for crowd in done.crowds:
        if crowd.cpu_s:
            each = [crowd.cpu_s.get(name, 0.0) * 1000 / crowd.load.count for name in NAMES]
            yield (
                f"{crowd.clients} client{'s' * (crowd.clients > 1)}",
                *(f"{ms:.0f}" for ms in each),
                f"{sum(each):.0f}",
            )
    if done.idle_share:
        idle = [done.idle_share.get(name, 0.0) for name in NAMES]
        yield ("idle, % of a core", *(f"{share:.1%}" for share in idle), f"{sum(idle):.1%}")


def _around(done: Measuring) -> Iterator[list[str]]:
    """Where the CPU of a request goes when its networks cost nothing: a table each for web, worker and servers."""
    stages, web = done.around["stages_cpu_ms"], {around.REST, *(name for _, name in around.WEB_STAGES)}
    parts = {
        "web": {name: ms for name, ms in stages.items() if name in web},
        "worker": {name: ms for name, ms in stages.items() if name not in web},
        "servers": done.around["servers_cpu_ms"],
    }
    for part, spent in parts.items():
        ordered = sorted(spent.items(), key=lambda pair: -pair[1])
        head = (f"{part}, CPU-ms around the networks", "all", *(name for name, _ in ordered))
        yield _grid(head, [("a request", f"{sum(spent.values()):.1f}", *(f"{ms:.1f}" for _, ms in ordered))])


def _beside(done: Measuring) -> Iterator[Verdict]:
    """CPU that no network took, of requests of one client; what the processes take without any is not theirs."""
    crowd = done.crowds[0]
    for part, spent_ms in crowd.beside_cpu_ms(done.idle_share).items():
        yield _at_most(f"CPU-ms of a request outside the networks, {part}", spent_ms, BESIDE_CPU_MS[part], "{:.0f} ms")


def _idle(done: Measuring) -> Iterator[Verdict]:
    if done.idle_share:
        share = sum(done.idle_share.values())
        yield Verdict("idle, all processes, of a core", f"{share:.1%}", f"<= {IDLE_SHARE:.0%}", share <= IDLE_SHARE)


def _memory_rows(done: Measuring) -> Iterator[tuple[str, ...]]:
    if done.peak_mb:
        yield ("peak, largest process", *(f"{done.peak_mb.get(name, 0):.0f}" for name in NAMES))
        yield ("now, all its processes", *(f"{done.share_mb.get(name, 0):.0f}" for name in NAMES))


def _stages(done: Measuring) -> dict[str, float]:
    """Medians of the worker's stages, and what is left of the request's time."""
    load = done.crowds[0].load
    stages = {name: statistics.median(values) for name, values in load.stages_ms.items()}
    rest = statistics.median(load.latencies_ms) - sum(stages.values())
    alone_ms = statistics.median(done.crowds[0].served.latencies_ms)
    return {"networks alone": alone_ms, **stages, "all else": rest}


def _latency(timed: Runs | Load) -> tuple[str, str]:
    p50, p95 = percentiles(timed.latencies_ms)
    return f"{p50:.0f}", f"{p95:.0f}"


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 50th and 95th percentile; the largest value stands for the latter where there are few."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]


def _word(is_reached: bool | None) -> str:
    return {True: "reached", False: "MISSED", None: "?"}[is_reached]


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up in a terminal too; nothing where there are no rows."""
    cells = [list(head), *map(list, rows)]
    if len(cells) == 1:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (width - 1) if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return [line(cells[0]), f"| {' | '.join(rule)} |", *map(line, cells[1:])]


def comparison(reports: Sequence[Measuring]) -> str:
    """What each precision reaches, side by side; the rows are the verdicts'."""
    rows: dict[str, list[str]] = {}
    for place, done in enumerate(reports):
        for verdict in verdicts(done):
            what = verdict.what.replace(f" in {done.subject.precision}", " in the same precision")
            rows.setdefault(what, [""] * len(reports))[place] = verdict.figure
    return "\n".join(_grid(("", *(done.subject.precision for done in reports)), [(k, *v) for k, v in rows.items()]))


def as_json(done: Measuring) -> dict[str, Any]:
    """Every figure, for another program."""
    return {
        "model": done.subject.model,
        "precision": done.subject.precision,
        "processor": done.subject.processor.value,
        "quality": done.subject.quality,
        "cores": done.subject.cores,
        "photo": done.subject.about_photo,
        "clients": {str(crowd.clients): _crowd_figures(crowd) for crowd in done.crowds},
        "overheads_ms": done.overheads_ms,
        "times_bare": done.times_bare,
        "second_start_s": done.second_start_s,
        "others_ms": {other.what: other.ms for other in done.others},
        "stages_ms": _stages(done),
        "seams": done.seams,
        "around": done.around,
        "idle_share": done.idle_share,
        "peak_mb": done.peak_mb,
        "share_mb": done.share_mb,
        "verdicts": [vars(verdict) for verdict in verdicts(done)],
    }


def _crowd_figures(crowd: Crowd) -> dict[str, Any]:
    spent = {name: cpu / crowd.load.count for name, cpu in crowd.cpu_s.items()}
    return {
        "keyline": _figures(crowd.load) | {"cpu_s": spent, "refusals": crowd.load.refusals},
        **{
            name: _figures(runs) | {"cpu_s": runs.cpu_s_each, "peak_mb": runs.peak_mb}
            for name, runs in (("bare", crowd.bare), ("served", crowd.served))
        },
        "rembg": _figures(crowd.rembg) | {"peak_mb": crowd.rembg_mb} if crowd.rembg.count else None,
        "throughput_ratio": crowd.throughput_ratio,
        "total_mb": crowd.total_mb,
        "worker_mb": crowd.worker_mb,
    }


def _figures(timed: Runs | Load) -> dict[str, float]:
    p50, p95 = percentiles(timed.latencies_ms)
    return {"count": timed.count, "p50_ms": p50, "p95_ms": p95, "per_s": timed.per_s}
