"""What differs, in which order it changes, and what a person gets to see of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from freehold.devices.servers.differences import check_intent, diff_text, find_changes
from freehold.errors import BadInput, CommandRejected, SecretMissing
from freehold.models.server import Directory, File, Filesystem, ServerIntent, Setup, Unit, User, secret_token

TOKEN = secret_token("a/password")
NEW, OLD = "new-value-4711", "old-value-0815"


class Store:
    def __init__(self, **values: str) -> None:
        self.values = {"a/password": NEW} | values

    def get(self, name: str) -> str:
        if name not in self.values:
            raise SecretMissing(name)
        return self.values[name]


def _seen(**parts: Any) -> dict[str, Any]:
    names = ("users", "filesystems", "directories", "files", "setups", "units", "written", "pending")
    return {"packages": [], **{name: {} for name in names}} | parts


def _file(text: str, mode: int = 0o640, owner: str = "root") -> dict[str, Any]:
    content = base64.b64encode(text.encode()).decode()
    return {"kind": "file", "content": content, "owner": owner, "group": "root", "mode": mode}


def _unit(active: str = "active", file_state: str = "enabled", ran_well: bool = False) -> dict[str, Any]:
    return {"active": active, "file_state": file_state, "ran_well": ran_well, "loaded": "loaded", "need_reload": False}


def _secret_file(text: str = f"password={TOKEN}\nport=1\n") -> ServerIntent:
    return ServerIntent(server="s1", files=(File(path="/etc/a.conf", content=text, mode=0o640),))


def test_a_server_as_wanted_has_no_changes() -> None:
    seen = _seen(files={"/etc/a.conf": _file(f"password={NEW}\nport=1\n")})
    assert find_changes(_secret_file(), seen, Store()) == []


def test_the_agent_gets_the_secret_and_people_get_the_token() -> None:
    (change,) = find_changes(_secret_file(), _seen(files={"/etc/a.conf": {"kind": "absent"}}), Store())
    assert base64.b64decode(change.order["content"]).decode() == f"password={NEW}\nport=1\n"
    assert f"+password={TOKEN}" in change.diff and NEW not in change.diff


def test_a_known_secret_stays_a_token_on_both_sides() -> None:
    seen = _seen(files={"/etc/a.conf": _file(f"password={NEW}\nport=2\n")}, written={"/etc/a.conf": ["a/password"]})
    text = diff_text(find_changes(_secret_file(), seen, Store()))
    assert f" password={TOKEN}" in text and "-port=2" in text and "+port=1" in text and NEW not in text


@pytest.mark.parametrize(
    ("written", "mode"),
    [({"/etc/a.conf": ["a/password"]}, 0o640), ({}, 0o640), ({"/etc/a.conf": ["gone"]}, 0o640)],
    ids=["changed secret", "foreign file that others cannot read", "secret that the store has forgotten"],
)
def test_values_that_we_do_not_know_are_never_shown(written: dict[str, Any], mode: int) -> None:
    seen = _seen(files={"/etc/a.conf": _file(f"password={OLD}\nport=1\n", mode)}, written=written)
    text = diff_text(find_changes(_secret_file(), seen, Store()))
    assert OLD not in text and NEW not in text
    assert "(2 lines that are not shown" in text and f"+password={TOKEN}" in text


def test_a_public_file_is_shown_as_it_was() -> None:
    intent = ServerIntent(server="s1", files=(File(path="/etc/motd", content="new\n"),))
    text = diff_text(find_changes(intent, _seen(files={"/etc/motd": _file("old\n", 0o644)}), Store()))
    assert text.splitlines()[2:] == ["@@ -1 +1 @@", "-old", "+new"]


def test_owner_and_mode_are_a_difference_of_their_own() -> None:
    seen = _seen(files={"/etc/a.conf": _file(f"password={NEW}\nport=1\n", 0o600, "daemon")})
    assert diff_text(find_changes(_secret_file(), seen, Store())) == (
        "~ file /etc/a.conf: daemon:root 0600 -> root:root 0640"
    )


def test_restart_reload_and_what_was_noted_before() -> None:
    unit = Unit(name="a.service", restart_on=("/etc/a.conf",), reload_on=("/etc/b.d",))
    restart = File(path="/etc/a.conf", content="1")
    reload = File(path="/etc/b.d/x", content="1")
    absent = {"kind": "absent"}

    def action(files: tuple[File, ...], pending: dict[str, str] | None = None, **state: Any) -> str | None:
        intent = ServerIntent(server="s1", files=files, units=(unit,))
        seen = _seen(files={f.path: absent for f in files}, units={"a.service": _unit(**state)}, pending=pending or {})
        found = [c.order for c in find_changes(intent, seen, Store()) if c.order["do"] == "unit"]
        return found[0]["action"] if found else None

    assert action(()) is None
    assert action((restart,)) == "restart"
    assert action((reload,)) == "reload"
    assert action((restart, reload)) == "restart"
    assert action((restart,), active="inactive") == "start"
    assert action((), pending={"a.service": "restart"}) == "restart"
    assert action((), pending={"a.service": "reload"}) == "reload"
    assert action((), pending={"other.service": "restart"}) is None
    assert action((), file_state="disabled") == ""
    assert action((), file_state="static") is None
    assert action((), active="inactive", ran_well=True) == "start"


def test_a_oneshot_that_ran_well_is_not_run_again() -> None:
    intent = ServerIntent(server="s1", units=(Unit(name="a.service", oneshot=True),))
    assert find_changes(intent, _seen(units={"a.service": _unit("inactive", ran_well=True)}), Store()) == []
    (change,) = find_changes(intent, _seen(units={"a.service": _unit("failed")}), Store())
    assert change.order["action"] == "start"


def test_changes_stand_in_the_order_of_the_intent() -> None:
    intent = ServerIntent(
        server="s1",
        packages=("haproxy",),
        users=(User(name="u"),),
        filesystems=(Filesystem(disk="vdb", mountpoint="/d", label="data"),),
        directories=(Directory(path="/d/x"),),
        files=(File(path="/etc/systemd/system/a.service", content="x"),),
        setups=(
            Setup(name="late", check=("c",), apply=("a",), after_units=True),
            Setup(name="early", check=("c",), apply=("a",)),
        ),
        units=(Unit(name="a.service", ready=("true",)),),
    )  # fmt: skip
    seen = _seen(
        users={"u": {"exists": False, "groups": []}},
        filesystems={"/d": {"exists": True, "signatures": [], "mounted": [], "comes_back": False}},
        directories={"/d/x": {"kind": "absent"}},
        files={"/etc/systemd/system/a.service": {"kind": "absent"}},
        setups={"late": False, "early": False},
        units={"a.service": _unit("inactive", "")},
    )
    done = [change.order["do"] for change in find_changes(intent, seen, Store())]
    assert done == [
        "packages", "user", "filesystem", "directory", "file", "daemon-reload", "setup", "unit", "ready", "setup"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        ({"exists": False}, "has no disk vdb"),
        ({"mounted": ["/other"]}, "is mounted at /other"),
        ({"signatures": [{"type": "xfs", "label": "old"}]}, "carries xfs 'old'.*erase it first"),
        ({"signatures": [{"type": "ext4", "label": "other"}]}, "carries ext4 'other'"),
        ({"signatures": [{"type": "gpt", "label": ""}, {"type": "PMBR", "label": ""}]}, "carries gpt, PMBR"),
    ],
)
def test_a_foreign_disk_is_refused_in_words(disk: dict[str, Any], words: str) -> None:
    intent = ServerIntent(server="s1", filesystems=(Filesystem(disk="vdb", mountpoint="/d", label="data"),))
    seen = {"exists": True, "signatures": [], "mounted": [], "comes_back": False} | disk
    with pytest.raises(CommandRejected, match=words):
        find_changes(intent, _seen(filesystems={"/d": seen}), Store())


def test_secrets_in_commands_and_open_files_are_refused() -> None:
    setup = Setup(name="db", check=("true",), apply=("mariadb", f"-p{TOKEN}"))
    with pytest.raises(BadInput, match="process list"):
        check_intent(ServerIntent(server="s1", setups=(setup,)))
    with pytest.raises(BadInput, match="process list"):
        check_intent(ServerIntent(server="s1", units=(Unit(name="a.service", ready=("curl", TOKEN)),)))
    with pytest.raises(BadInput, match="mode 0644 lets everybody read"):
        check_intent(ServerIntent(server="s1", files=(File(path="/etc/a", content=TOKEN),)))
