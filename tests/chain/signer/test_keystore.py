"""Keys at rest and on their way in: what is sealed comes back, and nothing shows what it is."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from tests.chain.signer.orders import policy

from fillwright.chain.signer import commands, keystore
from fillwright.chain.signer.keystore import Costs
from fillwright.chain.signer.policy import check_policy, read_policy
from fillwright.chain.signer.secret import (
    REDACTED,
    SecretKey,
    holds_secret,
    key_from_environment,
    parse_key,
    read_key,
    redact,
    take_passphrase,
)
from fillwright.config import Mode
from fillwright.domain.errors import ConfigError

CHEAP = Costs(memory_kib=64, iterations=1, lanes=1)
CANARY = Keypair.from_seed(b"a canary that must never be seen")
BASE58, ARRAY = str(CANARY), json.dumps(list(bytes(CANARY)))
PASSPHRASE = "correct horse"


@pytest.mark.parametrize(
    "text", [BASE58, ARRAY, f"  {BASE58}\n", json.dumps(list(bytes(CANARY)), separators=(",", ":"))]
)
def test_a_key_is_read_from_base58_and_from_a_json_array(text: str) -> None:
    assert parse_key(text).wallet == CANARY.pubkey()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[1,2,3]", "[256]" * 3, BASE58[:-1], BASE58 + "1", ARRAY[:-1], ARRAY.replace("[", "[1,", 1), "null",
     "é" * 88, json.dumps(list(bytes(CANARY)[:32]) + [0] * 32)],
)  # fmt: skip
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_key(text)
    error: BaseException | None = refused.value
    while error is not None:
        assert not text.strip() or text.strip() not in str(error)
        error = error.__cause__


@given(st.text(max_size=200))
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        parse_key(text)
    except ConfigError:
        pass


def test_a_sealed_key_comes_back_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    assert keystore.load(path, PASSPHRASE).reveal() == bytes(CANARY)
    assert keystore.wallet_of(path) == str(CANARY.pubkey())
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="wrong passphrase"):
        keystore.load(path, PASSPHRASE + " ")
    with pytest.raises(ConfigError, match="never overwritten"):
        keystore.save(path, SecretKey(Keypair()), PASSPHRASE, CHEAP)
    with pytest.raises(ConfigError, match="passphrase has at least"):
        keystore.save(tmp_path / "other", SecretKey(CANARY), "short", CHEAP)


def test_a_keystore_whose_header_was_changed_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    held = json.loads(path.read_text())
    for change in ({"wallet": str(Keypair().pubkey())}, {"salt": base64.b64encode(bytes(16)).decode()}, {"version": 2}):
        path.write_text(json.dumps({**held, "header": {**held["header"], **change}}))
        with pytest.raises(ConfigError):
            keystore.load(path, PASSPHRASE)
    path.write_text(json.dumps(held))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="read by others"):
        keystore.load(path, PASSPHRASE)


def test_a_draft_that_somebody_left_open_to_others_does_not_become_the_keystore(tmp_path: Path) -> None:
    path, target = tmp_path / "keystore.json", tmp_path / "elsewhere"
    (tmp_path / "keystore.draft").symlink_to(target)
    target.write_text("theirs")
    target.chmod(0o666)
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.is_symlink()
    assert target.read_text() == "theirs"


@pytest.mark.parametrize("size", [0, 1, 50, 300])
def test_a_keystore_that_was_cut_off_does_not_open(tmp_path: Path, size: int) -> None:
    path = tmp_path / "keystore.json"
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ConfigError, match="no keystore"):
        keystore.load(path, PASSPHRASE)


@pytest.mark.parametrize(
    "costs", [{"memory_kib": 2**40}, {"memory_kib": 8, "lanes": 64}, {"iterations": 0}, {"lanes": 0}, {"lanes": -1}]
)
def test_costs_that_nobody_chose_do_not_open_a_keystore(tmp_path: Path, costs: dict[str, int]) -> None:
    path = tmp_path / "keystore.json"
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    held = json.loads(path.read_text())
    held["header"]["costs"] |= costs
    path.write_text(json.dumps(held))
    with pytest.raises(ConfigError):
        keystore.load(path, PASSPHRASE)


def test_nothing_in_a_keystore_shows_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    keystore.save(path, SecretKey(CANARY), PASSPHRASE, CHEAP)
    assert not shows_canary(path.read_bytes())


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "id.json"
    path.write_text(ARRAY)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    assert commands.import_file(tmp_path / "ks", path, lambda: PASSPHRASE) == str(CANARY.pubkey())


@pytest.mark.parametrize("given", [BASE58, ARRAY, BASE58 + "x", BASE58[:-4], ARRAY[1:-9], bytes(CANARY).hex()])
def test_a_key_that_is_given_for_its_file_is_not_repeated(given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_key(Path(given))
    assert given[:20] not in str(refused.value)
    assert given[-20:] not in str(refused.value)


def test_a_key_in_the_environment_is_warned_of_and_refused_on_mainnet() -> None:
    for mode in (Mode.PAPER, Mode.DEVNET):
        environment = {"PRIVATE_KEY": BASE58}
        found = key_from_environment(mode, environment)
        assert found is not None
        assert found[0].wallet == CANARY.pubkey()
        assert "keystore" in found[1]
        assert not environment
    with pytest.raises(ConfigError, match="refused on mainnet"):
        key_from_environment(Mode.MAINNET, {"PRIVATE_KEY": BASE58})
    assert key_from_environment(Mode.MAINNET, {}) is None


def test_a_passphrase_leaves_the_environment_when_it_is_read(tmp_path: Path) -> None:
    environment = {"FILLWRIGHT_SIGNER_PASSPHRASE": PASSPHRASE}
    assert take_passphrase(environment) == PASSPHRASE
    assert not environment
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    assert take_passphrase({"FILLWRIGHT_SIGNER_PASSPHRASE_FILE": str(path)}) == PASSPHRASE


TAKE = """
import os
from fillwright.chain.signer.secret import key_from_environment, take_passphrase
from fillwright.config import Mode
before = open("/proc/self/environ", "rb").read()
assert os.environ["PRIVATE_KEY"].encode() in before and b"correct horse" in before
assert key_from_environment(Mode.DEVNET, os.environ) is not None
assert take_passphrase() == "correct horse"
after = open("/proc/self/environ", "rb").read()
assert b"correct horse" not in after and os.environ["AFTER"].encode() in after
assert "PRIVATE_KEY" not in os.environ and take_passphrase() is None
print(after.count(b"PRIVATE_KEY=" + bytes(16)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process' environment as it was")
def test_a_secret_that_was_read_does_not_stand_in_proc(tmp_path: Path) -> None:
    secrets = {"PRIVATE_KEY": BASE58, "FILLWRIGHT_SIGNER_PASSPHRASE": PASSPHRASE, "AFTER": "stays"}
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **secrets}
    done = subprocess.run([sys.executable, "-c", TAKE], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_secret_key_can_not_be_shown_or_copied() -> None:
    key = SecretKey(CANARY)
    assert not shows_canary(repr(key).encode() + str(key).encode() + f"{key!r}".encode())
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(
    "value",
    [BASE58, f"key={BASE58}!", ARRAY, bytes(CANARY).hex(), bytes(CANARY), bytes(CANARY)[:32], CANARY, SecretKey(CANARY),
     {"a": [BASE58]}, list(bytes(CANARY)), tuple(bytes(CANARY)), {"deep": {"er": (ARRAY,)}}],
)  # fmt: skip
def test_logs_are_cleaned_of_keys(value: object) -> None:
    cleaned = redact(None, "info", {"event": "x", "value": value})
    assert REDACTED in str(cleaned)
    assert not shows_canary(str(cleaned).encode())


def test_signatures_and_addresses_stay_in_logs() -> None:
    signature = str(CANARY.sign_message(b"message"))
    event = {"signature": signature, "wallet": str(CANARY.pubkey()), "amounts": [1, 2, 3], "n": 7, "none": None}
    assert redact(None, "info", dict(event)) == event
    assert not holds_secret(signature)


def test_the_policy_template_can_be_followed_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    commands.write_policy_template(path)
    assert read_policy(path).mode is Mode.DEVNET
    with pytest.raises(ConfigError):
        commands.write_policy_template(path)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="written by others"):
        read_policy(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_policy_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    commands.write_policy_template(path)
    os.chown(path, 12_345, -1)
    with pytest.raises(ConfigError, match="another user"):
        read_policy(path)


@pytest.mark.parametrize(
    "text",
    ["", "mode = 'paper'\n[spend]",
     "mode = 'devnet'", "mode = 'moon'\n[spend]", "mode = 'devnet'\nspend = {}\nvenues = ['x']",
     "mode = 'devnet'\nspend = {}\n[instructions]\nraydium_cpmm = ['00']",
     "mode = 'devnet'\nspend = {}\n[instructions]\nx = []",
     "mode = 'devnet'\nspend = {}\nunknown = 1", "mode = 'devnet'\n[spend.x]\nper_order = 1\nper_day = 1", "= ="],
)  # fmt: skip
def test_a_policy_that_can_not_be_followed_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        read_policy(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_slippage_bps": 10_001},
        {"max_tip_lamports": -1},
        {"tip_accounts": ("x",)},
        {"lookup_tables": ("1" * 32,)},
        {"rpc_url": "node.example"},
    ],
)
def test_contradictions_in_a_policy_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        check_policy(policy(**changes))


def shows_canary(raw: bytes) -> bool:
    """Whether the canary's secret stands in `raw` in any usual spelling."""
    secret, seed = bytes(CANARY), bytes(CANARY)[:32]
    spellings = [secret, seed, BASE58.encode()]
    for each in (secret, seed):
        spellings += [each.hex().encode(), each.hex().upper().encode(), base64.b64encode(each).rstrip(b"=")[:-2]]
        for separator in (",", ", "):
            spellings.append(separator.join(map(str, each)).encode())
    return any(spelling in raw for spelling in spellings)
