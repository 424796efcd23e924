"""The secret store on a real file: encryption, keys, concurrent processes, tokens in texts."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from freehold.errors import SecretMissing, SecretStoreUnusable
from freehold.models.server import secret_token
from freehold.secrets import KEY_VARIABLE, FileSecrets, redact, resolve


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileSecrets:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return FileSecrets(tmp_path / "store" / "secrets.json")


def test_keeps_and_forgets(secrets: FileSecrets) -> None:
    secrets.put("a/b", "one")
    secrets.put("a/b", "two")
    secrets.put("c", "three")
    assert secrets.get("a/b") == "two"
    assert secrets.names() == ("a/b", "c") and secrets.names("a/") == ("a/b",)
    assert secrets.delete("a/b") is True
    assert secrets.delete("a/b") is False
    with pytest.raises(SecretMissing, match="a/b"):
        secrets.get("a/b")


def test_values_are_neither_in_the_file_nor_in_the_repr(secrets: FileSecrets) -> None:
    secrets.put("name-in-the-clear", "value-that-nobody-may-see")
    text = secrets.path.read_text()
    assert "name-in-the-clear" in text and "value-that" not in text
    assert "value-that" not in repr(secrets) + repr(vars(secrets))
    assert {p.stat().st_mode & 0o777 for p in secrets.path.parent.iterdir()} == {0o600}


def test_refuses_a_key_that_others_may_read(secrets: FileSecrets) -> None:
    secrets.put("a", "b")
    secrets.path.with_suffix(".key").chmod(0o640)
    with pytest.raises(SecretStoreUnusable, match=r"mode 0640.*chmod 600"):
        secrets.get("a")


def test_never_makes_a_second_key_for_an_existing_store(secrets: FileSecrets) -> None:
    secrets.put("a", "b")
    secrets.path.with_suffix(".key").unlink()
    with pytest.raises(SecretStoreUnusable, match="is gone"):
        secrets.put("c", "d")
    assert secrets.names() == ("a",)


def test_key_from_the_environment_can_be_changed(secrets: FileSecrets, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv(KEY_VARIABLE, old)
    secrets.put("a", "kept")
    assert not secrets.path.with_suffix(".key").exists()
    monkeypatch.setenv(KEY_VARIABLE, f"{new},{old}")
    assert secrets.get("a") == "kept"
    secrets.put("a", "kept")  # written with the first key
    monkeypatch.setenv(KEY_VARIABLE, new)
    assert secrets.get("a") == "kept"
    monkeypatch.setenv(KEY_VARIABLE, old)
    with pytest.raises(SecretStoreUnusable, match="does not open"):
        secrets.get("a")
    monkeypatch.setenv(KEY_VARIABLE, "too-short")
    with pytest.raises(SecretStoreUnusable, match="32 bytes") as caught:
        secrets.get("a")
    assert "too-short" not in str(caught.value)


def test_values_cannot_be_swapped_between_names(secrets: FileSecrets) -> None:
    secrets.put("a", "one")
    secrets.put("b", "two")
    swapped = secrets.path.read_text().replace('"a"', '"x"').replace('"b"', '"a"').replace('"x"', '"b"')
    secrets.path.write_text(swapped)
    with pytest.raises(SecretStoreUnusable, match="belongs to b"):
        secrets.get("a")


def test_ensure_may_use_the_store(secrets: FileSecrets) -> None:
    def make() -> str:
        secrets.put("inner", "1")
        return secrets.get("inner") + "2"

    assert secrets.ensure("outer", make) is True
    assert secrets.ensure("outer", lambda: pytest.fail("made twice")) is False
    assert secrets.get("outer") == "12"


def _compete(path: Path, number: int, made: multiprocessing.Queue[tuple[int, bool]]) -> None:
    store = FileSecrets(path)
    for turn in range(5):
        store.put(f"{number}/{turn}", f"value {number} {turn}")
    made.put((number, store.ensure("one", lambda: f"made by {number}")))


def test_processes_side_by_side_lose_nothing(secrets: FileSecrets) -> None:
    context = multiprocessing.get_context("spawn")
    made: multiprocessing.Queue[tuple[int, bool]] = context.Queue()
    runs = [context.Process(target=_compete, args=(secrets.path, n, made)) for n in range(4)]
    for run in runs:
        run.start()
    winners = [number for number, was_made in (made.get(timeout=60) for _ in runs) if was_made]
    for run in runs:
        run.join(60)
    assert len(winners) == 1 and secrets.get("one") == f"made by {winners[0]}"
    assert len(secrets.names()) == 21
    assert all(secrets.get(f"{n}/{t}") == f"value {n} {t}" for n in range(4) for t in range(5))
    assert sorted(p.suffix for p in secrets.path.parent.iterdir()) == [".json", ".key", ".lock"]


def test_tokens_and_values(secrets: FileSecrets) -> None:
    secrets.put("short", "hunter22")
    secrets.put("long", "prefix-hunter22-suffix")
    text = f"a={secret_token('short')} b={secret_token('long')}\n"
    clear = resolve(text, secrets)
    assert clear == "a=hunter22 b=prefix-hunter22-suffix\n"
    assert redact(clear, secrets, ("short", "long")) == text
    with pytest.raises(SecretMissing):
        resolve(secret_token("unknown"), secrets)


def test_single_lines_of_a_secret_are_hidden_in_messages(secrets: FileSecrets) -> None:
    secrets.put("pem", "-----BEGIN-----\nMIGHAgEAMBMGByqGSM49\nabc\n")
    told = redact("bad line MIGHAgEAMBMGByqGSM49 and abc", secrets, ["pem"], lines=True)
    assert told == f"bad line {secret_token('pem')} and abc"
