"""The compose file, its container and its secrets: everything they name exists, and nothing is open."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bmv import config
from tests.test_docs import options_of, resolve

OPS = Path(__file__).parents[2] / "ops"
ROOT = OPS.parent
COMPOSE: dict[str, Any] = yaml.safe_load((OPS / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("bmv:")}
PASSPHRASE = "correct horse battery"
METRICS = "9101"


def loaded(name: str) -> Any:
    return yaml.safe_load((OPS / name).read_text(encoding="utf-8"))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return where each mount of a service comes from, by where it is."""
    parts = (volume.split(":") for volume in service.get("volumes", []))
    return {target: source for source, target, *_ in parts}


def test_the_services_are_those_the_product_needs() -> None:
    assert set(SERVICES) == {"postgres", "valkey", "signer", "engine", "prometheus", "grafana"}
    assert set(OURS) == {"signer", "engine"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_watched_and_open_to_this_machine_alone(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+(\.\d+)?$", service["image"])
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "max-size" in service["logging"]["options"]


def test_what_is_declared_is_used_and_what_is_used_is_there() -> None:
    sources = {source for service in SERVICES.values() for source in mounts(service).values()}
    assert {one for one in sources if not one.startswith(".")} == set(COMPOSE["volumes"])
    assert all((OPS / one).is_dir() for one in sources if one.startswith("."))
    networks = {one for service in SERVICES.values() for one in service.get("networks", [])}
    assert networks == set(COMPOSE["networks"])
    used = {one for service in SERVICES.values() for one in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        values = [str(value) for value in service.get("environment", {}).values()]
        for secret in re.findall(r"/run/secrets/([\w.-]+)", " ".join([*values, *service.get("command", [])])):
            assert secret in service["secrets"]
    assert all(set(service.get("depends_on", {})) <= set(SERVICES) for service in SERVICES.values())


def test_only_the_engine_and_what_people_look_at_reach_further_than_their_own_network() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", [])}
    assert outside == {"engine", "prometheus", "grafana"}
    assert SERVICES["signer"]["network_mode"] == "none"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights_and_say_what_the_command_line_knows(name: str) -> None:
    service = OURS[name]
    assert (service["read_only"], service["cap_drop"], service["init"]) == (True, ["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    command, words = resolve(list(service["command"]))
    assert command.name == {"engine": "run"}.get(name, name)
    assert {word for word in words if word.startswith("-")} <= options_of(command)
    keys = {key: str(value) for key, value in service["environment"].items() if key.startswith("BMV_")}
    settings = config.load(None, environ=keys)
    assert (settings.metrics_port, settings.metrics_host) == (int(METRICS), "0.0.0.0")
    assert mounts(service) == {"/state": "state"}
    kind, program, flag, script = service["healthcheck"]["test"]
    assert (kind, program, flag) == ("CMD", "python", "-c")
    refused = subprocess.run([sys.executable, flag, script], capture_output=True, text=True, check=False)
    assert "Refused" in refused.stderr or "No such file" in refused.stderr


def test_what_watches_finds_what_it_watches() -> None:
    for file in ("prometheus/compose.yml", "prometheus/prometheus.yml"):
        found = loaded(file)
        assert all((OPS / "prometheus" / rules).is_file() for rules in found["rule_files"])
    (job,) = loaded("prometheus/compose.yml")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"engine:{METRICS}"]
    assert mounts(SERVICES["prometheus"])["/etc/prometheus"] == "./prometheus"
    assert "--config.file=/etc/prometheus/compose.yml" in SERVICES["prometheus"]["command"]
    (source,) = loaded("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert (source["url"], source["isDefault"]) == ("http://prometheus:9090", True)
    (provider,) = loaded("grafana/provisioning/dashboards/bmv.yml")["providers"]
    folders = mounts(SERVICES["grafana"])
    assert len(list((OPS / folders[provider["options"]["path"]]).glob("*.json"))) == 7
    assert (OPS / folders["/etc/grafana/provisioning"] / "dashboards" / "bmv.yml").is_file()


def prepare(folder: Path, words: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "prepare.sh"], input=words, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_secrets_are_drawn_once_and_are_for_their_readers_alone(tmp_path: Path) -> None:
    shutil.copy(OPS / "prepare.sh", tmp_path)
    done = prepare(tmp_path, f"{PASSPHRASE}\n")
    assert done.returncode == 0, done.stderr
    secrets = {path.name: path for path in (tmp_path / "secrets").iterdir()}
    assert {Path(one["file"]).name for one in COMPOSE["secrets"].values()} == set(secrets)
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.values()} == {0o600}
    texts = {name: path.read_text() for name, path in secrets.items()}
    assert texts["bmv-passphrase"] == f"{PASSPHRASE}\n"
    assert len(set(texts.values())) == len(texts)
    settings = config.load(secrets["bmv.toml"], environ={})
    assert settings.database_url is not None
    assert settings.redis_url is not None
    postgres, valkey = settings.database_url.reveal(), settings.redis_url.reveal()
    assert postgres == f"postgresql://bmv:{texts['postgres-password'].strip()}@postgres/bmv"
    assert re.search(r"^requirepass (.{30,})$", texts["valkey.conf"], re.MULTILINE)[1] in valkey  # type: ignore[index]
    if os.geteuid() == 0:
        assert secrets["bmv.toml"].stat().st_uid == secrets["bmv-passphrase"].stat().st_uid == 10001
    assert prepare(tmp_path).returncode == 0
    assert {name: path.read_text() for name, path in secrets.items()} == texts
    assert PASSPHRASE not in done.stdout + done.stderr


def test_a_short_passphrase_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    shutil.copy(OPS / "prepare.sh", tmp_path)
    assert prepare(tmp_path, "short\n").returncode == 2
    assert list((tmp_path / "secrets").iterdir()) == []


def test_no_secret_can_be_committed() -> None:
    for path in ("ops/secrets/bmv.toml", "ops/secrets/bmv-passphrase"):
        done = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
        assert done.returncode == 0


def test_the_container_is_made_of_hashed_packages_and_runs_without_rights() -> None:
    text = (OPS / "Containerfile").read_text(encoding="utf-8")
    base = re.findall(r"^FROM python:(\d\.\d+)-slim", text, re.MULTILINE)
    assert set(base) == {"3.11"}
    assert "--require-hashes" in text
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["bmv"]
    admitted = (ROOT / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()
        assert f"!{source.split('/')[0]}" in admitted
    assert 'ENTRYPOINT ["python", "-m", "bmv"]' in text


def test_the_package_runs_from_a_plain_copy(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src" / "bmv", tmp_path / "bmv")
    done = subprocess.run(
        [sys.executable, "-m", "bmv", "--version"], cwd=tmp_path, timeout=60, check=True,
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.startswith("bmv ")
