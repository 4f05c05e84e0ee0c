"""What the launcher settles before it starts anything."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from apps.stack import env_file, locks
from apps.stack.errors import StackError
from apps.stack.plan import PARTS, plan


def test_values_survive_the_file_whatever_they_hold(tmp_path: Path) -> None:
    values = {"A": "plain", "B": 'it\'s "quoted" $HOME `x`; #', "C": "", "D": "a=b c"}

    env_file.write(tmp_path / "stack.env", values)

    assert env_file.read(tmp_path / "stack.env") == values
    assert stat.S_IMODE((tmp_path / "stack.env").stat().st_mode) == 0o600


def test_everything_is_kept_over_a_restart() -> None:
    first = plan({}, {}).env

    assert plan({}, first).env == first


def test_a_value_from_outside_wins() -> None:
    before = plan({}, {}).env

    after = plan({"KEYLINE_ADMIN_PASSWORD": "mine", "S3_BUCKET": "other"}, before).env

    assert (after["KEYLINE_ADMIN_PASSWORD"], after["S3_BUCKET"]) == ("mine", "other")


@pytest.mark.parametrize(("part", "variable"), PARTS.items())
def test_a_part_whose_url_is_set_outside_is_not_started(part: str, variable: str) -> None:
    env = plan({variable: "scheme://elsewhere:1234/x"}, plan({}, {}).env).env

    assert part not in env["KEYLINE_EMBEDDED"].split(",")
    assert env[variable] == "scheme://elsewhere:1234/x"


@pytest.mark.parametrize(("part", "variable"), PARTS.items())
def test_an_outside_part_is_embedded_again_when_its_url_is_gone(part: str, variable: str) -> None:
    before = plan({variable: "scheme://elsewhere:1234/x"}, {}).env

    env = plan({}, before).env

    assert part in env["KEYLINE_EMBEDDED"].split(",")
    assert "elsewhere" not in env[variable]


def test_a_sourced_stack_env_is_not_taken_for_outside_servers() -> None:
    before = plan({}, {}).env

    assert plan(before, before).env == before


def test_a_taken_port_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]

        settled = plan({}, {"KEYLINE_PORT": str(taken)})

    assert settled.env["KEYLINE_PORT"] != str(taken)
    assert str(taken) in settled.notes[0]


@pytest.mark.parametrize("name", ["KEYLINE_PORT", "KEYLINE_URL"])
def test_a_port_that_was_asked_for_is_not_swapped_for_another(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        value = f"http://127.0.0.1:{taken}" if name == "KEYLINE_URL" else str(taken)

        with pytest.raises(StackError, match="is taken"):
            plan({name: value}, {})


def test_a_port_that_is_none_is_refused_with_a_sentence() -> None:
    with pytest.raises(StackError, match="is no port"):
        plan({"KEYLINE_PORT": "eighty"}, {})


def test_a_public_url_leaves_the_port_alone() -> None:
    env = plan({"KEYLINE_URL": "https://api.example.com"}, {}).env

    assert env["KEYLINE_URL"] == "https://api.example.com"
    assert env["KEYLINE_PORT"].isdigit()


def test_no_two_ports_are_the_same() -> None:
    env = plan({}, {}).env
    urls = [env[variable].rpartition(":")[2].partition("/")[0] for variable in PARTS.values()]
    ports = [env["KEYLINE_PORT"], *urls, *env["KEYLINE_S3_PORTS"].split(",")]

    assert len(set(ports)) == len(ports)


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    held = locks.try_hold(lock)
    assert held is not None

    while_held = locks.holder(lock), locks.try_hold(lock)
    held.close()

    assert while_held[0] is not None
    assert while_held[1] is None
    assert locks.holder(lock) is None
