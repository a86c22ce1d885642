"""The files of deploy/ agree with the application, with each other and with themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.cli import parse_settings
from app.replicas.flags import parse_plan, plan_of
from app.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
ENGINES = {
    "vllm": r"vllm/vllm-openai:v\d+\.\d+\.\d+",
    "llama-server": r"\$\{LLAMA_IMAGE:-ghcr\.io/ggml-org/llama\.cpp:server\}",
}
# Those that were run, or read in the engine's source.
KNOWN_FLAGS = {
    "vllm": {"--trust-remote-code", "--interleave-mm-strings", "--generation-config", "--max-model-len", "--host",
             "--port"},
    "llama-server": {"-m", "--mmproj", "--alias", "-c", "-np", "--metrics", "--host", "--port"},
}  # fmt: skip


def page_settings(arguments: list[str]) -> Settings:
    """The settings of the page's container: the image's own flags and those of the file."""
    entry = re.search(r'ENTRYPOINT \["python", "(\S+\.py)", ([^]]*)\]', DOCKERFILE)
    assert entry and (ROOT / entry[1]).is_file()
    return parse_settings("openbmb/MiniCPM-V-2_6", 8885, [*re.findall(r'"([^"]+)"', entry[2]), *arguments])


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def targets() -> set[str]:
    return set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE))


@pytest.mark.parametrize("name", ENGINES)
def test_compose_puts_the_page_in_front_of_the_engine(name: str) -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / f"{name}.yaml").read_text("utf-8"))["services"]
    engine, page = services["engine"], services["page"]
    assert re.fullmatch(ENGINES[name], engine["image"])
    assert {word for word in engine["command"] if word.startswith("-")} == KNOWN_FLAGS[name]
    settings = page_settings(page["command"])
    assert (settings.backend, settings.engine, settings.host) == ("openai", name, "0.0.0.0")
    url = urlsplit(settings.base_urls[0])
    assert url.hostname in services and str(url.port) == value_of(engine["command"], "--port")
    assert page["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"], "open to this machine alone"
    assert page["build"]["target"] in targets() and page["depends_on"] == ["engine"]
    built = (DEPLOY / "compose" / page["build"]["context"]).resolve()
    assert built == ROOT and (built / page["build"]["dockerfile"]).is_file()


def kubernetes() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "kuberay" / "rayservice.yaml").read_text("utf-8")))
    return {document["kind"]: document for document in documents}


def test_kuberay_runs_our_application() -> None:
    service = kubernetes()["RayService"]
    serve = yaml.safe_load(service["spec"]["serveConfigV2"])
    (application,) = serve["applications"]
    module, _, builder = application["import_path"].partition(":")
    assert callable(getattr(import_module(module), builder))
    plan = plan_of(application["args"])
    cluster = service["spec"]["rayClusterConfig"]
    pinned = re.search(r"ray\[serve\]==(\S+)", (ROOT / "requirements-replicas.txt").read_text("utf-8"))
    assert pinned and cluster["rayVersion"] == pinned[1]
    assert cluster["authOptions"] == {"mode": "token"}
    head = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    (group,) = cluster["workerGroupSpecs"]
    pod = group["template"]["spec"]
    worker = pod["containers"][0]
    assert head["image"] == worker["image"] and f"-t {worker['image']} " in DOCKERFILE
    assert float(worker["resources"]["limits"]["nvidia.com/gpu"]) == plan.gpus_per_replica
    assert float(worker["resources"]["limits"]["cpu"]) >= plan.cpus_per_replica
    assert (group["minReplicas"], group["maxReplicas"]) == (plan.min_replicas, plan.max_replicas)
    assert serve["http_options"]["port"] in [port["containerPort"] for port in head["ports"]]


def test_answers_have_the_time_that_draining_takes() -> None:
    service = kubernetes()["RayService"]["spec"]
    drain = plan_of(yaml.safe_load(service["serveConfigV2"])["applications"][0]["args"]).drain_timeout
    assert service["rayClusterDeletionDelaySeconds"] > drain
    cluster = service["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        assert float(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) == drain
        assert pod["terminationGracePeriodSeconds"] > drain


def test_the_images_user_may_write_the_weights() -> None:
    cluster = kubernetes()["RayService"]["spec"]["rayClusterConfig"]
    user = re.search(r"useradd .*--uid (\d+)", DOCKERFILE)
    assert user
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/weights"
        # A volume that was just made belongs to root.
        context = pod["securityContext"]
        assert {str(context[name]) for name in ("runAsUser", "runAsGroup", "fsGroup")} == {user[1]}


def test_kubernetes_puts_the_page_in_front_of_the_replicas() -> None:
    files = kubernetes()
    serve = yaml.safe_load(files["RayService"]["spec"]["serveConfigV2"])
    container = files["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    settings = page_settings(container["args"])
    url = urlsplit(settings.base_urls[0])
    # The name that KubeRay gives the service of an application.
    assert url.hostname == f"{files['RayService']['metadata']['name']}-serve-svc"
    assert url.port == serve["http_options"]["port"] and settings.engine == "minicpm"
    assert container["ports"][0]["containerPort"] == settings.port == files["Service"]["spec"]["ports"][0]["targetPort"]
    assert files["Service"]["spec"]["selector"] == files["Deployment"]["spec"]["selector"]["matchLabels"]
    assert f"-t {container['image']} " in DOCKERFILE
    claim = files["RayService"]["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["volumes"][0]
    assert claim["persistentVolumeClaim"]["claimName"] == files["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_dockerfile_copies_what_is_there() -> None:
    assert targets() == {"base", "page", "replicas"}
    for line in re.findall(r"^COPY (.+)", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    command = re.search(r'CMD \["python", "-m", "app.replicas", ([^]]*)\]', DOCKERFILE)
    assert command and parse_plan(re.findall(r'"([^"]+)"', command[1])).settings.host == "0.0.0.0"


def test_the_pages_image_lacks_nothing_that_the_page_needs() -> None:
    left_out = re.search(r"grep -Ev '\^\(([^)]+)\)='", DOCKERFILE)
    assert left_out
    names = [name.replace("-", "_") for name in left_out[1].split("|")]
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    assert all(re.search(rf"^{name}=", requirements, re.MULTILINE) for name in left_out[1].split("|"))
    code = (
        f"import sys\nfor name in {names}: sys.modules[name] = None\n"
        "from app.backends.table import make_backend\nfrom app.cli import parse_settings\n"
        "settings = parse_settings('m', 8885, ['--backend', 'openai', '--base-url', 'http://127.0.0.1:9'])\n"
        "from app.ui.quick_start import no_stubs\nwith no_stubs(): from app.ui.demo import build_demo\n"
        "build_demo(make_backend(settings), settings)\nprint('built')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip().endswith("built"), done.stderr
