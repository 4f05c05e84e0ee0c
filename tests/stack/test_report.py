"""What the supervisor writes as JSON, the launcher shows as words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.stack import launch, report
from apps.stack.report import for_people, last_lines, say, step


@pytest.fixture
def _as_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_speaks_json", True)


def speak() -> None:
    say("first\nsecond")
    with step("Starting"):
        pass
    with pytest.raises(ZeroDivisionError), step("Breaking"):
        raise ZeroDivisionError


@pytest.mark.usefixtures("_as_a_log")
def test_log_of_the_supervisor_is_json_and_reads_as_it_would_have_been_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speak()
    log = capsys.readouterr().out
    monkeypatch.setattr(report, "_speaks_json", False)
    speak()
    said = capsys.readouterr().out

    assert {"time", "level", "logger", "event"} <= set.intersection(
        *(set(json.loads(line)) for line in log.splitlines())
    )
    assert "".join(for_people(line) for line in log.splitlines()) == said
    assert said == "first\nsecond\nStarting ... 0.0 s\nBreaking ... \n"


def test_half_a_line_waits_for_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    rest = launch._show('plain\n{"event": "one"}\n{"event": "tw')

    assert launch._show(rest + 'o"}\n') == ""
    assert capsys.readouterr().out == "plain\none\ntwo\n"


def test_end_of_a_log_is_shown_in_words(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text('{"event": "it broke", "exception": "Traceback\\nKeyError"}\nplain\n')

    assert last_lines(log) == "    it broke\n    Traceback\n    KeyError\n    plain"
