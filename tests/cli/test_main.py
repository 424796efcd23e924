"""The root of the command line: lazy, clear about errors, with the right exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.cli import main


def freehold(*arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "freehold.cli.main", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done
    return done


def test_help_lists_what_is_there() -> None:
    words = freehold("--help").stdout
    assert "up" in words
    assert "Start Temporal, Prometheus and the workers" in words


def test_a_module_is_imported_only_for_its_own_commands() -> None:
    code = (
        "import sys, typer.testing, freehold.cli.main as main;"
        "assert typer.testing.CliRunner().invoke(main.app, ['--help']).exit_code == 0;"
        "print(sorted(name for name in sys.modules if name.startswith(('temporalio', 'freehold.stack'))))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert asked.stdout.strip() == "[]"


def test_every_command_has_a_module_that_has_it() -> None:
    group = main.Commands()
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        assert command
        assert command.load().name == name


def test_an_unknown_command_is_usage_error() -> None:
    assert "No such command 'fly'" in freehold("fly", code=2).stderr


def test_an_error_is_one_sentence(tmp_path: Path) -> None:
    done = freehold("--home", str(tmp_path), "logs", code=1)
    assert done.stdout == ""
    assert done.stderr.strip().count("\n") == 0
    assert "start the stack with `freehold up`" in done.stderr


def test_debug_shows_the_trace(tmp_path: Path) -> None:
    assert "Traceback" in freehold("--debug", "--home", str(tmp_path), "logs", code=1).stderr


def test_an_error_is_json_for_programs() -> None:
    done = freehold("status", "--json", code=1, FREEHOLD_PROMETHEUS_PORT="x")
    assert json.loads(done.stdout)["error"]["type"] == "BadInput"


def test_an_unwritable_home_is_one_sentence() -> None:
    done = freehold("--home", "/proc/nowhere", "up", code=1)
    assert "Traceback" not in done.stderr
    assert "/proc/nowhere" in done.stderr


def test_a_closed_pipe_is_no_crash() -> None:
    command = f"{sys.executable} -m freehold.cli.main --help | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [("freehold u", "1", "up"), ("freehold st", "1", "status"), ("freehold logs --fo", "2", "--follow")],
)
def test_the_shell_completes_commands(words: str, position: str, expected: str) -> None:
    done = freehold(_FREEHOLD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=position)
    assert expected in done.stdout.split()
